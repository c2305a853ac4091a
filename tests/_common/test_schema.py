"""Values of files: read as typed, or refused."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from ahl._common.schema import Count, Finite, json_hash, read_json, read_values


@dataclass(frozen=True, kw_only=True)
class Inner:
    number: Finite
    note: str | None = None


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: tuple[Inner, ...]
    count: Count
    free: dict[str, Any]


VALUES = {"inner": [{"number": 0.1, "note": None}], "count": 3, "free": {"a": [1, None]}}


def test_values_come_back():
    found = read_values(VALUES, Outer)
    assert found == Outer(inner=(Inner(number=0.1),), count=3, free={"a": [1, None]})
    assert json.loads(json.dumps(asdict(found))) == VALUES
    undecodable = {"number": 1.0, "note": "name \udc80 of a file"}
    assert read_values(undecodable, Inner).note == undecodable["note"]
    whole = read_values({"number": 2, "note": None}, Inner).number
    assert (whole, type(whole)) == (2.0, float)


def nested(depth):
    values = []
    for _ in range(depth):
        values = [values]
    return values


@pytest.mark.parametrize(
    "change",
    [
        *({"count": value} for value in (-1, 10**10, 10**400, 1.0, True, "1", None)),
        *(
            {"inner": [{"number": value, "note": None}]}
            for value in (float("nan"), float("inf"), 1e39, 10**400, True, "1", None)
        ),
        {"inner": [{"number": 1.0}]},
        {"inner": [{"number": 1.0, "note": None, "evil": 1}]},
        {"inner": {}},
        {"evil": 10**400},
        {"free": {"a": nested(10**5)}},
        {"inner": nested(10**5)},
        {"free": nested(10**5)},
    ],
)
def test_what_would_not_be_written_so_is_refused(change):
    with pytest.raises(ValueError, match=r".") as caught:
        read_values(VALUES | change, Outer)
    assert len(str(caught.value)) < 300


def test_the_order_of_keys_does_not_matter_and_values_do():
    assert json_hash({"a": 1, "b": [2]}) == json_hash({"b": [2], "a": 1})
    assert json_hash({"a": 1}) != json_hash({"a": 2})


def test_results_of_before_keep_their_identities():
    assert json_hash({"b": 1, "a": None}) == hashlib.sha256(b'{"a": null, "b": 1}').hexdigest()


HOSTILE = [
    "",
    "{",
    "NaN",
    "[-Infinity]",
    "1e999",
    "-1e999",
    "1" * 5000,
    "[" * 100_000,
    '{"a":' * 100_000,
    b"\xff\xfe",
    b"\x00",
    "[1] [2]",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        read_json(text, Any)


def test_json_is_read_as_its_kind():
    text = r'{"number": 1.5, "note": "\udc80"}'
    assert read_json(text, Inner) == Inner(number=1.5, note="\udc80")
    assert read_json(b'{"a": [1, null]}', dict[str, Any]) == {"a": [1, None]}
    for text, kind in (("[]", dict[str, Any]), ('{"number": "1"}', Inner), ("1e39", Finite)):
        with pytest.raises(ValueError, match=r"."):
            read_json(text, kind)
