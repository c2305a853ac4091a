"""What is being moved just now, in a file that is whole or absent: the state a kill leaves."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from ahl._common.errors import DataError
from ahl._common.files import written_whole

_VERSION: Final = 1
_HIDDEN: Final = re.compile(r"\.ahl-[0-9a-f]{16}\b.*")  # the names that files have on their way


class Stage(StrEnum):
    """How far a file has come, for certain."""

    INTENDED = "intended"
    TAKEN = "taken"
    COPIED = "copied"


@dataclass(frozen=True, kw_only=True)
class Intent:
    """One file on its way.

    Attributes:
        source: where it was found.
        taken: the hidden name beside it under which nobody else finds it.
        wished: where it should go.
        target: where it goes: the same, or numbered because that was taken.
        size: bytes.
        mtime_ns: when it was changed last.
        sha256: hash of its content.
        facts: what was found out about it, as JSON values, for the log.
        stage: it has, or will next have, its hidden name; it has that or is at its target; it
            has been copied onto another file system.
        copy: the hidden copy beside the target; None where the file need not be copied.
    """

    source: Path
    taken: Path
    wished: Path
    target: Path
    size: int
    mtime_ns: int
    sha256: str
    facts: Mapping[str, Any]
    stage: Stage = Stage.INTENDED
    copy: Path | None = None

    def values(self) -> dict[str, Any]:
        """JSON values; `rebuild` is the inverse."""
        values = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in asdict(self).items()
        }
        return {"version": _VERSION, **values}

    @classmethod
    def rebuild(cls, values: Mapping[str, Any]) -> Self:
        """Read JSON values back.

        Raises:
            KeyError, TypeError, ValueError: if they are none of an intent of this version.
        """
        if values["version"] != _VERSION:
            raise ValueError("of another version")
        copy = values["copy"]
        return cls(
            source=Path(values["source"]),
            taken=Path(values["taken"]),
            wished=Path(values["wished"]),
            target=Path(values["target"]),
            size=int(values["size"]),
            mtime_ns=int(values["mtime_ns"]),
            sha256=str(values["sha256"]),
            facts=dict(values["facts"]),
            stage=Stage(values["stage"]),
            copy=None if copy is None else Path(copy),
        )

    def is_between(self, watched: Path, goals: Collection[Path]) -> bool:
        """Whether it leads from the watched folder to one of others, and nowhere else.

        Args:
            watched: the folder that files come from.
            goals: those that they are moved to.
        """
        on_the_way = (self.taken,) if self.copy is None else (self.taken, self.copy)
        goal = self.target.parent.resolve()
        return (
            all(_HIDDEN.fullmatch(path.name) for path in on_the_way)
            and self.source.parent == self.taken.parent
            and self.wished.parent == self.target.parent
            and (self.copy is None or self.copy.parent == self.target.parent)
            and self.taken.parent.resolve().is_relative_to(watched.resolve())
            and any(goal.is_relative_to(one.resolve()) for one in goals)
        )


class Journal:
    """At most one intent, on the disk before anything is done about it.

    It lies where others may write, and says which files are renamed: an intent that this watch
    would not have noted is refused.

    Args:
        path: the file; its folder is made.
        watched: the folder that files come from.
        goals: folders that they are moved to.
    """

    def __init__(self, path: Path, *, watched: Path, goals: Collection[Path]) -> None:
        self._path, self._watched, self._goals = path, watched, goals
        path.parent.mkdir(parents=True, exist_ok=True)
        for torn in path.parent.glob(f".{path.name}.*.part"):  # of a writer that was killed
            torn.unlink()

    def write(self, intent: Intent) -> None:
        """Replace the intent.

        Raises:
            OSError: if it cannot be written.
        """
        with written_whole(self._path) as temporary, temporary.open("wb") as file:
            file.write(json.dumps(intent.values()).encode("ascii"))
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self._path.parent)

    def read(self) -> Intent | None:
        """The intent, or None if there is none.

        Raises:
            DataError: if the file is none of this version, or is about other folders.
        """
        try:
            intent = Intent.rebuild(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self._path} should say which file was being moved, but is damaged or of another "
                f"version of ahl ({error}). See where that file is, then remove {self._path}."
            ) from error
        if not intent.is_between(self._watched, self._goals):
            raise DataError(
                f"{self._path} says that {intent.taken} is being moved to {intent.target}, which "
                "is none of the folders given now. Start once with the folders of before, or see "
                f"where that file is, then remove {self._path}."
            )
        return intent

    def clear(self) -> None:
        """There is nothing on its way any more."""
        self._path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have a folder's names on the disk, where the system offers that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError:  # some network shares
        pass
    finally:
        os.close(descriptor)
