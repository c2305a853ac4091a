"""Drawn groups on disk: drawn once, by all cores, and read many times."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ahl.errors import DataError
from ahl.files import written_whole
from ahl.randomness import numpy_generator
from ahl.synthetic import DrawnGroup, draw_group
from ahl.synthetic.groups import MASKS, PICTURES

SHARD: Final = 100
"""Groups in a shard."""

VERSION: Final = 1
"""Raised whenever the same seed would draw other groups."""

Progress = Callable[[int, int], None]
"""Called with (shards drawn, all)."""


@dataclass(frozen=True, kw_only=True)
class ShardFolder:
    """Where the groups of one seed and size are.

    Attributes:
        root: folder of all of them.
        size: side of the pictures, in pixels.
        seed: of the drawing.
    """

    root: Path
    size: int
    seed: int

    @property
    def folder(self) -> Path:
        """Of this size and seed, and of this version of the drawing."""
        return self.root / f"v{VERSION}-{self.size}px-seed{self.seed}"

    def pictures(self, shard: int) -> Path:
        """File of (SHARD, 9, S, S, 3) uint8: normals, like, sound, spoilt."""
        return self.folder / f"{shard:05d}.pictures.npy"

    def masks(self, shard: int) -> Path:
        """File of (SHARD, 4, S, S) uint8."""
        return self.folder / f"{shard:05d}.masks.npy"

    def has(self, shard: int) -> bool:
        """Whether a shard is drawn."""
        return self.pictures(shard).exists() and self.masks(shard).exists()

    def draw(self, shard: int) -> None:
        """Draw a shard, the same whoever draws it and when."""
        groups = [
            draw_group(self.size, numpy_generator(self.seed, "drawn", shard * SHARD + i))
            for i in range(SHARD)
        ]
        parts = (
            (self.masks(shard), np.stack([group.masks for group in groups])),
            (self.pictures(shard), np.stack([_in_order(group) for group in groups])),
        )
        for path, array in parts:
            with written_whole(path) as temporary, temporary.open("wb") as file:
                np.save(file, array, allow_pickle=False)


def _in_order(group: DrawnGroup) -> NDArray[np.uint8]:
    return np.concatenate([group.normals, group.like, group.sound[None], group.spoilt[None]])


def draw_shards(
    shards: ShardFolder, count: int, *, processes: int, progress: Progress | None = None
) -> None:
    """Draw the first `count` shards; those that are there are kept.

    Args:
        shards: where.
        count: how many there shall be.
        processes: that draw.
        progress: hears of every shard.

    Raises:
        OSError: if the folder cannot be written.
        DataError: if the system ends a drawing process.
    """
    shards.folder.mkdir(parents=True, exist_ok=True)
    missing = [shard for shard in range(count) if not shards.has(shard)]
    done = count - len(missing)
    tell = progress or (lambda _done, _all: None)
    tell(done, count)
    # Spawned, not forked: a forked torch may hang in its threads.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        drawn = [pool.submit(shards.draw, shard) for shard in missing]
        try:
            for future in as_completed(drawn):
                future.result()
                done += 1
                tell(done, count)
        except BrokenProcessPool as error:
            raise DataError(
                "The system ended a process that drew pictures, perhaps for want of memory. Run "
                "again with fewer --threads; what is drawn is kept."
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class DrawnGroups:
    """All groups of the first shards, memory-mapped.

    Args:
        shards: where they are.
        count: how many shards.

    Raises:
        DataError: if a shard is missing or damaged.
    """

    def __init__(self, shards: ShardFolder, count: int) -> None:
        side = shards.size
        self._pictures, self._masks = [], []
        for shard in range(count):
            shape = (SHARD, PICTURES, side, side, 3)
            self._pictures.append(_mapped(shards.pictures(shard), shape))
            self._masks.append(_mapped(shards.masks(shard), (SHARD, MASKS, side, side)))

    def __len__(self) -> int:
        return len(self._pictures) * SHARD

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """A group's pictures (9, S, S, 3) and masks (4, S, S)."""
        shard, place = divmod(index, SHARD)
        return self._pictures[shard][place], self._masks[shard][place]


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        array: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}): delete it and run again.") from error
    if array.shape != shape or array.dtype != np.uint8:
        raise DataError(f"{path} is not a shard of this version: delete it and run again.")
    return array
