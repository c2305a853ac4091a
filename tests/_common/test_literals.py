"""Values as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.literals import literal


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4", 4),
        (" 1e-9 ", 1e-9),
        ("False", False),
        ("None", None),
        ("(1, 2)", (1, 2)),
        ("'4'", "4"),
        (" k-means ", "k-means"),
        ("", ""),
        ("(" * 10_000, "(" * 10_000),
    ],
)
def test_what_is_no_literal_is_text(text, value):
    assert literal(text) == value
    assert type(literal(text)) is type(value)


@given(st.text())
def test_any_text_is_read(text):
    literal(text)
