"""The images in a request's body, raw or as a form, and never more of it than is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import ClientDisconnect, Request

from ahl.apps.serve.admission import Place
from ahl.apps.serve.forms import LONGEST_NAME, FormReader, Upload, check_image
from ahl.apps.serve.refusals import RefusedError, too_large, too_slow
from ahl.apps.serve.settings import Limits

_FORM: Final = "multipart/form-data"
# The last is what curl calls any --data.
_RAW: Final = (
    "application/octet-stream",
    "application/x-npy",
    "application/x-www-form-urlencoded",
)


async def read_uploads(
    request: Request, limits: Limits, place: Place, until: float
) -> list[Upload]:
    """Read the images of a request.

    Args:
        request: whose body was not read yet.
        limits: of bytes, images and time.
        place: takes what is read, as it is read.
        until: when the body has to be there, in seconds of the event loop's clock.

    Returns:
        one at least.

    Raises:
        RefusedError: if there is none, or more than is allowed, or the body is damaged or late.
    """
    try:
        async with asyncio.timeout_at(until):
            return await _read(request, limits, place)
    except TimeoutError:
        raise too_slow(limits.seconds) from None


async def _read(request: Request, limits: Limits, place: Place) -> list[Upload]:
    content_type = request.headers.get("content-type", "")
    kind = content_type.split(";")[0].strip().lower()
    _check_length(request, limits)
    body = _body(request, limits, place)
    try:
        if kind == _FORM:
            form = FormReader(content_type, limits)
            async for chunk in body:
                form.write(chunk)
            uploads = form.finish()
        elif not kind or kind.startswith("image/") or kind in _RAW:
            uploads = await _read_raw(request, body, limits)
        else:
            raise RefusedError(
                415,
                "unsupported_type",
                f"Send an image as image/*, or several as {_FORM}, not {kind[:100]}.",
            )
    except ClientDisconnect:
        raise RefusedError(400, "cut_off", "The connection ended before the body did.") from None
    if not uploads:
        raise RefusedError(
            400,
            "no_image",
            f"There is no image in the body; send one as image/*, or several as files of {_FORM}.",
        )
    place.take(images=len(uploads) - 1)
    return uploads


async def _read_raw(request: Request, body: AsyncIterator[bytes], limits: Limits) -> list[Upload]:
    """The body as one image; none if it is empty."""
    name = (request.query_params.get("name") or "image")[:LONGEST_NAME]
    data = bytearray()
    async for chunk in body:
        data += chunk
        check_image(name, len(data), limits)
    return [Upload(name=name, data=bytes(data))] if data else []


def _check_length(request: Request, limits: Limits) -> None:
    """Refuse a body by what is said of its length, before any of it is read."""
    text = request.headers.get("content-length")
    if text is None:
        return
    if not (text.isascii() and text.isdecimal()):
        raise RefusedError(400, "bad_length", "The Content-Length is no number.")
    if len(text) > 18 or int(text) > limits.request_bytes:
        raise _too_long(limits)


async def _body(request: Request, limits: Limits, place: Place) -> AsyncIterator[bytes]:
    """The body's bytes, counted whatever its headers say."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.request_bytes:
            raise _too_long(limits)
        place.take(size=len(chunk))
        yield chunk


def _too_long(limits: Limits) -> RefusedError:
    return too_large(
        f"The body is longer than the {limits.request_bytes:,} bytes of a request; send fewer "
        "images at once."
    )
