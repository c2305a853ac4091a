"""Audits of the dependencies say what they did not look up."""

import json

import pytest

from reliability_runs import module

KNOWN = {"name": "a", "version": "1", "vulns": []}
FLAWED = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "status", "words"),
    [
        ([KNOWN], 0, "1 of 1 packages were audited"),
        ([KNOWN, FLAWED, UNKNOWN], 1, "b 2: CVE-1"),
        ([KNOWN, UNKNOWN], 3, "did not know: c"),
        ([UNKNOWN], 3, "0 of 1 packages"),
    ],
)
def test_what_was_found_and_what_was_not_looked_up(packages, status, words):
    told, printed = module("audit").verdict(json.dumps({"dependencies": packages}), "")
    assert told == status
    assert words in printed


def test_without_a_database_nothing_was_audited():
    told, printed = module("audit").verdict("", "Traceback\nConnectionError: no host")
    assert told == 3
    assert "Nothing was audited" in printed
    assert "no host" in printed
