"""The files in a form (multipart/form-data), read as it comes, in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ahl.apps.serve.refusals import RefusedError, too_large
from ahl.apps.serve.settings import Limits

LONGEST_NAME: Final = 255
"""Characters of an image's name."""

_MOST_FIELDS: Final = 64  # that are no files, and are not looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One image as it came.

    Attributes:
        name: that the client gave it.
        data: bytes of the file.
    """

    name: str
    data: bytes


class FormReader:
    """Reads one form; every file counts as an image, whatever its field is called.

    Args:
        content_type: header of the request.
        limits: of bytes and images.

    Raises:
        RefusedError: if the header is none of a form; from all methods, if the form is damaged or
            too large.
    """

    def __init__(self, content_type: str, limits: Limits) -> None:
        self._limits = limits
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""
        self._name: str | None = None
        self._data = bytearray()
        self._fields = 0
        self._uploads: list[Upload] = []
        self._ended = False
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _damaged("its Content-Type names no boundary")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise _damaged(str(error)) from None

    def write(self, chunk: bytes) -> None:
        """Read on."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _damaged(str(error)) from None

    def finish(self) -> list[Upload]:
        """The images, in their order."""
        if not self._ended:
            raise _damaged("it has no end")
        return self._uploads

    def _on_part_begin(self) -> None:
        self._disposition, self._name, self._data = b"", None, bytearray()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        name = parse_options_header(self._disposition)[1].get(b"filename")
        if name is None:
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise _damaged("it has many fields that are no files; send images as files")
            return
        if len(self._uploads) == self._limits.images:
            raise too_large(
                f"There are more than {self._limits.images} images in the request; send fewer at "
                "once."
            )
        self._name = name.decode(errors="replace")[:LONGEST_NAME] or "image"

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name is not None:
            self._data += data[start:end]
            check_image(self._name, len(self._data), self._limits)

    def _on_part_end(self) -> None:
        if self._name is not None:
            self._uploads.append(Upload(name=self._name, data=bytes(self._data)))

    def _on_end(self) -> None:
        self._ended = True


def check_image(name: str, size: int, limits: Limits) -> None:
    """Refuse a file that is too large.

    Args:
        name: of the image.
        size: in bytes.
        limits: of the service.

    Raises:
        RefusedError: if it is.
    """
    if size > limits.image_bytes:
        raise too_large(f"{name} has more than the {limits.image_bytes:,} bytes of an image.")


def _damaged(what: str) -> RefusedError:
    return RefusedError(400, "bad_form", f"The form is damaged: {what[:200]}.")
