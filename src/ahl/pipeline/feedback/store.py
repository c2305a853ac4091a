"""A folder of answered images: `good/` beside one folder per kind, as `ahl train` reads it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import Final

from filelock import FileLock, Timeout

from ahl._common.errors import AHLError, ConfigurationError, ImageError
from ahl._common.files import naming, written_whole
from ahl._common.types import GOOD
from ahl.data.images.formats import LONGEST_START, format_of, formats_in_words
from ahl.pipeline.feedback.answers import LOG, Answer, Suffix, check_kind, place_of, read_answers
from ahl.scoring.prediction import Prediction

_LOCK: Final = ".lock"
_PATIENCE: Final = 10.0  # seconds to wait for others that write
_LINE: Final = 1024  # bytes reckoned for a line of the log


class FeedbackFullError(AHLError):
    """The feedback folder has reached its size limit."""


class FeedbackStore:
    """Stores answered images; several threads and processes may write into one folder.

    An answer counts once its line is in the log. A process that is killed before leaves at most an
    image without an answer; one that is killed after it may leave the image in the folder of an
    earlier answer, where it is found, and from where the next store moves it.

    Args:
        folder: the folder, created if missing.
        max_bytes: largest size of all files in it.

    Raises:
        ConfigurationError: if the folder cannot be written to.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._known = (-1, 0)  # length of the log, and bytes of all files when it was that long
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._alone():
                for left in folder.rglob(".*.part"):  # by a process that was killed
                    left.unlink(missing_ok=True)
                (folder / LOG).open("ab").close()
                for answer in read_answers(folder):  # of one that was killed before it moved
                    self._move(answer)
        except OSError as error:
            raise ConfigurationError(
                f"The feedback folder {folder} cannot be written to: {error.strerror or error}."
            ) from None

    def add(
        self, data: bytes, name: str, class_name: str, prediction: Prediction, model: str
    ) -> Answer:
        """Store an image and a person's answer; it replaces an earlier answer on the image.

        Args:
            data: bytes of an image file.
            name: name under which the image was sent.
            class_name: `"good"`, or the kind of defect.
            prediction: the model's prediction for the image, with a score.
            model: hash of the model's content.

        Returns:
            the answer that was written.

        Raises:
            ConfigurationError: if the name of the kind cannot be a folder's name.
            ImageError: if the bytes are not an image file.
            FeedbackFullError: if the folder would exceed its size limit.
            OSError: if it cannot be written, or other processes keep it locked.
        """
        assert prediction.score is not None
        answer = Answer(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            sha256=hashlib.sha256(data).hexdigest(),
            suffix=suffix_of(data),
            name=name.encode(errors="replace").decode(),
            class_name=class_name if class_name == GOOD else check_kind(class_name),
            score=prediction.score,
            probability=prediction.probability,
            verdict=prediction.verdict,
            anomalous=prediction.anomalous,
            model=model,
        )
        path = self.folder / answer.file
        with self._alone():
            there = list(self.folder.glob(f"*/{path.name}"))
            new = _LINE + (0 if there else len(data))
            # Counted anew before it is refused: somebody may have taken images out.
            if self.size() + new > self.max_bytes and self._counted() + new > self.max_bytes:
                raise FeedbackFullError(
                    f"The feedback folder holds {self.size():,} of {self.max_bytes:,} bytes; "
                    "update the model with it and empty it, or allow more by --max-feedback-mib."
                )
            path.parent.mkdir(exist_ok=True)
            if not there:
                with written_whole(path) as part:
                    part.write_bytes(data)
            # Before the image moves: an answer that cannot be written leaves the last one whole.
            try:
                written = self._log(answer) + (0 if there else len(data))
            except OSError:
                with suppress(OSError):
                    path.parent.rmdir()  # unless something is in it
                raise
            self._known = (self._log_length(), self._known[1] + written)
            self._move(answer)
        return answer

    def _move(self, answer: Answer) -> None:
        """Move an image to the folder of its last answer."""
        path, found = self.folder / answer.file, place_of(self.folder, answer)
        if found is not None and found != path:
            path.parent.mkdir(exist_ok=True)
            found.replace(path)
            if not any(found.parent.iterdir()):
                found.parent.rmdir()

    def answers(self) -> list[Answer]:
        """The last answer on each stored image."""
        return read_answers(self.folder) if (self.folder / LOG).exists() else []

    def size(self) -> int:
        """Size in bytes of all files in the folder; recounted if others have written to its log."""
        return self._known[1] if self._known[0] == self._log_length() else self._counted()

    def _log_length(self) -> int:
        try:
            return (self.folder / LOG).stat().st_size
        except FileNotFoundError:
            return 0

    def _counted(self) -> int:
        length, size = self._log_length(), 0
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):  # moved meanwhile, by others that write
                status = path.stat()
                size += status.st_size if S_ISREG(status.st_mode) else 0
        self._known = (length, size)
        return size

    def _log(self, answer: Answer) -> int:
        """Append an answer to the log, by which it counts; return the number of bytes written."""
        path = self.folder / LOG
        with naming(path), path.open("ab+") as file:
            start = b""
            if file.tell():
                file.seek(-1, os.SEEK_END)
                start = b"" if file.read(1) == b"\n" else b"\n"  # after a line that was cut off
            return file.write(start + answer.line().encode())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with FileLock(self.folder / _LOCK, timeout=_PATIENCE):
                yield
        except Timeout:
            raise OSError(f"others kept writing for {_PATIENCE:g} s") from None


def suffix_of(data: bytes) -> Suffix:
    """The suffix for an image file, by its first bytes.

    Raises:
        ImageError: if its format is unknown.
    """
    found = format_of(data[:LONGEST_START])
    if found is None:
        raise ImageError(f"it is not a {formats_in_words()} file")
    return found.suffixes[0]
