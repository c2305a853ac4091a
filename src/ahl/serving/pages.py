"""The pages for people: files of this package, and nothing from anywhere else."""

from __future__ import annotations

from importlib import resources
from typing import Final

from fastapi import APIRouter, Response

_HTML: Final = "text/html; charset=utf-8"
_SCRIPT: Final = "text/javascript; charset=utf-8"
_STYLE: Final = "text/css; charset=utf-8"

FILES: Final = {
    "/docs": ("docs.html", _HTML),
    "/static/docs.js": ("docs.js", _SCRIPT),
    "/static/docs.css": ("docs.css", _STYLE),
}
"""Addresses, with the file in `static/` that lies there and what it is."""


def page_routes() -> APIRouter:
    """All of `FILES`. They tell nothing of model or images, and are open without the token."""
    router = APIRouter(include_in_schema=False)
    folder = resources.files("ahl.serving").joinpath("static")
    for address, (name, kind) in FILES.items():
        _add(router, address, folder.joinpath(name).read_bytes(), kind)
    return router


def _add(router: APIRouter, address: str, content: bytes, kind: str) -> None:
    @router.get(address)
    async def page() -> Response:
        return Response(content, media_type=kind)
