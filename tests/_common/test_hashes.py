"""Identities of JSON values."""

import hashlib

from ahl._common.hashes import json_hash


def test_the_order_of_keys_does_not_matter_and_values_do():
    assert json_hash({"a": 1, "b": [2]}) == json_hash({"b": [2], "a": 1})
    assert json_hash({"a": 1}) != json_hash({"a": 2})


def test_results_of_before_keep_their_identities():
    assert json_hash({"b": 1, "a": None}) == hashlib.sha256(b'{"a": null, "b": 1}').hexdigest()
