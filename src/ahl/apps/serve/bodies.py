"""The images in a request's body, raw or as a form, read into memory within the limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from ahl.apps.serve.admission import Place, RefusedError, too_large
from ahl.apps.serve.settings import Limits

Body = AsyncGenerator[bytes, None]

_FORM: Final = "multipart/form-data"
# The last is what curl calls any --data.
_RAW: Final = (
    "application/dicom",
    "application/octet-stream",
    "application/x-npy",
    "application/x-www-form-urlencoded",
)
_LONGEST_NAME: Final = 255
_MOST_FIELDS: Final = 64  # of a form, that are not files; they are ignored


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One image as it came: the bytes of a file, and the client's name for it."""

    name: str
    data: bytes


async def read_uploads(request: Request, place: Place, until: float) -> list[Upload]:
    """Read the images of a request.

    Args:
        request: one whose body has not been read yet.
        place: counts what is read, as it is read, and has the limits.
        until: deadline of the body, in seconds of the event loop's clock.

    Returns:
        at least one.

    Raises:
        RefusedError: if there is none, or more than is allowed, or the body is damaged or late.
    """
    try:
        async with asyncio.timeout_at(until):
            uploads = await _read(request, place)
    except TimeoutError:
        raise RefusedError(
            408,
            "slow_body",
            f"The request's body did not arrive within {place.limits.seconds:g} s.",
        ) from None
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


async def _read(request: Request, place: Place) -> list[Upload]:
    limits = place.limits
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()):
        raise RefusedError(
            400,
            "bad_length",
            "Content-Length is not a number; expected the body's length in bytes.",
        )
    if len(length) > 18 or int(length) > limits.request_bytes:
        raise _long_body(limits)
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    body = _body(request, place)
    if kind == _FORM:
        return await _read_form(request, body, limits)
    if not kind or kind.startswith("image/") or kind in _RAW:
        return await _read_raw(request, body, limits)
    raise RefusedError(
        415,
        "unsupported_type",
        f"Send an image as image/*, or several as {_FORM}, not {kind[:100]}.",
    )


async def _body(request: Request, place: Place) -> Body:
    """The body's bytes, counted whatever its headers say."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > place.limits.request_bytes:
            raise _long_body(place.limits)
        place.take(size=len(chunk))
        yield chunk


async def _read_raw(request: Request, body: Body, limits: Limits) -> list[Upload]:
    """The body as one image; none if it is empty."""
    name = _name(request.query_params.get("name"))
    data = bytearray()
    async for chunk in body:
        data += chunk
        if len(data) > limits.image_bytes:
            raise _large_image(name, limits)
    return [Upload(name=name, data=bytes(data))] if data else []


async def _read_form(request: Request, body: Body, limits: Limits) -> list[Upload]:
    """The files of a form; each counts as an image, whatever its field is called."""
    try:
        form = await _Form(request, body, limits).parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise too_large(
                f"There are more than {limits.images} images in the request; send fewer at once."
            ) from None
        raise _damaged(str(error.__cause__ or error.message)) from None
    except UnicodeError:  # of a codec, by a charset that nobody means
        raise _damaged("its names do not fit its charset") from None
    uploads = []
    for _, part in form.multi_items():
        if isinstance(part, UploadFile):
            uploads.append(Upload(name=_name(part.filename), data=await part.read()))
            await part.close()
    return uploads


class _Form(MultiPartParser):
    """Starlette's form parser that also refuses large files as they come, and unfinished forms."""

    spool_max_size = 0  # files stay in memory: the service may have no disk to write to

    def __init__(self, request: Request, body: Body, limits: Limits) -> None:
        whole = self._whole(body)
        super().__init__(request.headers, whole, max_files=limits.images, max_fields=_MOST_FIELDS)
        self._limits, self._size, self._ended = limits, 0, False

    async def _whole(self, body: Body) -> Body:
        async for chunk in body:
            yield chunk
        if not self._ended:
            raise _damaged("its end is missing")

    def on_headers_finished(self) -> None:
        super().on_headers_finished()
        self._size = 0

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        super().on_part_data(data, start, end)
        file = self._current_part.file
        self._size += end - start
        if file is not None and self._size > self._limits.image_bytes:
            raise _large_image(_name(file.filename), self._limits)

    def on_end(self) -> None:
        self._ended = True


def _name(given: str | None) -> str:
    """The name to answer with: short, and valid UTF-8, which some charsets do not ensure."""
    return (given or "image")[:_LONGEST_NAME].encode(errors="replace").decode()


def _long_body(limits: Limits) -> RefusedError:
    return too_large(
        f"The body is longer than the {limits.request_bytes:,} bytes of a request; send fewer "
        "images at once."
    )


def _large_image(name: str, limits: Limits) -> RefusedError:
    return too_large(f"{name} has more than the {limits.image_bytes:,} bytes of an image.")


def _damaged(what: str) -> RefusedError:
    return RefusedError(400, "bad_form", f"The form is damaged: {what[:200]}.")
