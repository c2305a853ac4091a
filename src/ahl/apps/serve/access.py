"""Who may ask: a secret token, compared in constant time, and no pages of other sites."""

from __future__ import annotations

import hmac
import ipaddress
import re
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ahl._common.errors import ConfigurationError

SHORTEST: Final = 16
"""Characters of a token at least."""

_LONGEST: Final = 4096
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")  # what RFC 6750 allows in a header
_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: Path) -> str:
    """Read the secret that clients have to show.

    Args:
        path: a file with nothing else in it, that others on this machine cannot read.

    Raises:
        ConfigurationError: if it is missing, open to others, empty, short or no token.
    """
    advice = "Make one with: (umask 077; openssl rand -hex 32 > FILE)"
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ConfigurationError(f"The token file {path} is no regular file. {advice}")
        with path.open("rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            f"The token file {path} cannot be read: {error.strerror}. {advice}"
        ) from None
    if status.st_mode & _OTHERS:
        raise ConfigurationError(
            f"Others may read or write the token file {path}; close it with: chmod 600 {path}"
        )
    token = content.decode("ascii", errors="replace").strip()
    if not token:
        raise ConfigurationError(f"The token file {path} is empty. {advice}")
    if len(content) > _LONGEST or not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            f"The token file {path} holds more than one word of letters, digits and ._~+/=-. "
            f"{advice}"
        )
    if len(token) < SHORTEST:
        raise ConfigurationError(
            f"The token in {path} has {len(token)} characters; at least {SHORTEST} are needed. "
            f"{advice}"
        )
    return token


def may_ask(token: str | None, authorization: str | None) -> bool:
    """Whether a request shows the token; how long this takes tells nothing of it.

    Args:
        token: that is asked for; None asks for none.
        authorization: the request's header.
    """
    if token is None:
        return True
    scheme, _, shown = (authorization or "").partition(" ")
    equal = hmac.compare_digest(shown.strip().encode(), token.encode())
    return scheme.lower() == "bearer" and equal


def is_own(
    host: str | None, origin: str | None, *, token: str | None, names: Collection[str] = ()
) -> bool:
    """Whether a request is none that a page of another site makes a browser send.

    Programs send no Origin and name the service by its address. A page of another site has an
    origin of its own, or (after DNS rebinding) a name of its own for this machine; with a token,
    which it cannot know, the name does not matter.

    Args:
        host: the request's Host header.
        origin: its Origin header.
        token: that the service asks for.
        names: of the service besides those of this machine.
    """
    try:
        name = urlsplit(f"//{host or ''}").hostname or ""
        if token is None and not is_loopback(name) and name not in names:
            return False
        return origin is None or urlsplit(origin).netloc == host
    except ValueError:
        return False
