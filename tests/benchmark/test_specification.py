"""Specifications are taken apart and put together in one place."""

from hypothesis import given
from hypothesis import strategies as st

from ahl.benchmark import MethodSpec
from ahl.benchmark.specification import Specification

TEXT = "ahl-dra, distributions.clusters=4,importance.source=equal"


def test_name_fields_and_values():
    read = Specification.read(TEXT)
    assert read.name == "ahl-dra"
    assert read.settings == (("distributions.clusters", "4"), ("importance.source", "equal"))
    assert read.titled("AHL") == "AHL, distributions.clusters=4, importance.source=equal"
    assert read.without("distributions.clusters").titled("AHL") == "AHL, importance.source=equal"
    spec = MethodSpec.parse(TEXT)
    assert (spec.method.name, spec.text) == ("ahl-dra", TEXT)
    assert spec.settings == (("distributions.clusters", 4), ("importance.source", "equal"))


@given(st.text(alphabet="ab.=, x1"))
def test_what_is_taken_apart_can_be_put_together(text):
    read = Specification.read(text)
    assert Specification.read(read.titled(read.name)) == read
