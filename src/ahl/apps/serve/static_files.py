"""The pages for people: files of this package, and nothing from anywhere else."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import Annotated, Final

from fastapi import APIRouter, Header, Response

_HTML: Final = "text/html; charset=utf-8"
_SCRIPT: Final = "text/javascript; charset=utf-8"
_STYLE: Final = "text/css; charset=utf-8"
_SCRIPTS: Final = (
    "docs",
    "main",
    "api",
    "words",
    "pictures",
    "items",
    "facts",
    "scoring",
    "inspector",
    "results",
    "review",
    "marks",
)

FILES: Final = {
    "/": ("page.html", _HTML),
    "/docs": ("docs.html", _HTML),
    "/static/page.css": ("page.css", _STYLE),
    "/static/docs.css": ("docs.css", _STYLE),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
    **{f"/static/{name}.js": (f"{name}.js", _SCRIPT) for name in _SCRIPTS},
}
"""Addresses, with the file in `static/` that lies there and what it is."""


def page_routes() -> APIRouter:
    """All of `FILES`. They tell nothing of model or images, and are open without the token."""
    router = APIRouter(include_in_schema=False)
    folder = resources.files("ahl.apps.serve").joinpath("static")
    for address, (name, kind) in FILES.items():
        _add(router, address, folder.joinpath(name).read_bytes(), kind)
    return router


def _add(router: APIRouter, address: str, content: bytes, kind: str) -> None:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    # Kept by browsers, but asked about each time: scripts of two versions never meet.
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    @router.get(address)
    async def page(if_none_match: Annotated[str, Header()] = "") -> Response:
        known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
        if tag in known or if_none_match.strip() == "*":
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)
