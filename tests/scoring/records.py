"""Printed JSON lines of two runs, compared."""

import json


def records(output):
    return [json.loads(line) for line in output.splitlines()]


def assert_same(found, expected, close):
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key], close)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other, close)
    elif isinstance(expected, float):
        assert abs(found - expected) <= close * max(1.0, abs(expected))
    else:
        assert found == expected
