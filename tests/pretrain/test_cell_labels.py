"""Masks to labels of cells."""

import numpy as np
import pytest
import torch

from ahl.pretrain.cells import UNKNOWN, cell_labels
from ahl.synthetic.groups import CLASSES, DEFECTIVE, UNSURE


def mask(side=32):
    return torch.zeros(1, side, side, dtype=torch.uint8)


def test_a_good_picture_is_sound_everywhere():
    assert (cell_labels(mask(), 4) == 0).all()


def test_a_defect_marks_its_cell_and_leaves_the_neighbours_out():
    masks = mask()
    masks[0, 9:12, 9:12] = DEFECTIVE + 5
    labels = cell_labels(masks, 4)[0]
    expected = np.full((4, 4), 0)
    expected[0:3, 0:3] = UNKNOWN
    expected[1, 1] = 1
    np.testing.assert_array_equal(labels.numpy(), expected)


def test_a_trace_leaves_its_surroundings_out():
    masks = mask()
    masks[0, 0, 0] = UNSURE
    labels = cell_labels(masks, 4)[0]
    assert (labels[:2, :2] == UNKNOWN).all()
    assert (labels[2:] == 0).all()


def test_two_pixels_are_too_few():
    masks = mask()
    masks[0, 0, :2] = DEFECTIVE
    assert cell_labels(masks, 4)[0, 0, 0] == UNKNOWN
    masks[0, 0, 2] = DEFECTIVE
    assert cell_labels(masks, 4)[0, 0, 0] == 1


@pytest.mark.parametrize("kind", [0, CLASSES - 1])
def test_every_class_is_a_defect(kind):
    masks = mask()
    masks[0, :16] = DEFECTIVE + kind
    assert cell_labels(masks, 2).max() == 1
