"""Identities of JSON values."""

from __future__ import annotations

import hashlib
import json


def json_hash(value: object) -> str:
    """SHA-256 of a JSON value, in whatever order its keys stand."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
