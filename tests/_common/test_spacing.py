"""Evenly spaced choices."""

from ahl._common.spacing import evenly_spaced


def test_few_are_all_taken_and_of_many_both_ends():
    assert evenly_spaced(0, 4).tolist() == []
    assert evenly_spaced(3, 4).tolist() == [0, 1, 2]
    assert evenly_spaced(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly_spaced(9, 4).tolist() == [0, 3, 5, 8], "the nearest"
    assert evenly_spaced(10, 1).tolist() == [0]
