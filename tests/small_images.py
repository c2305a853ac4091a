"""48 px pictures of a striped part in two tints, with dots, bars or frames as defects."""

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 48


def small_image(class_name: str, number: int) -> np.ndarray:
    random = np.random.default_rng([number, sum(class_name.encode())])
    tint = np.array([150, 140, 120] if number % 2 else [110, 125, 150])
    stripes = 18 * np.sin(np.arange(SIZE) * 0.9 + random.uniform(0, 6.28))
    pixels = tint + stripes[:, None, None] + random.normal(0, 5, (SIZE, SIZE, 1))
    row, column = random.integers(4, SIZE - 16, size=2)
    if class_name == "dot":
        pixels[row : row + 9, column : column + 9] = 25
    elif class_name == "bar":
        pixels[row : row + 4, 4:-4] = 235
    elif class_name == "frame":
        pixels[row : row + 11, column : column + 11] -= 70
        pixels[row + 3 : row + 8, column + 3 : column + 8] += 70
    return np.clip(pixels, 0, 255).astype(np.uint8)


def write_class(folder: Path, class_name: str, count: int, *, first: int = 0) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(first, first + count):
        path = folder / f"{number:03d}.png"
        Image.fromarray(small_image(class_name, number)).save(path)
        paths.append(path)
    return paths


def blotched(number: int, light: float = 1.0) -> np.ndarray:
    """A part with blotches of its own, photographed under some light."""
    blotches = np.random.default_rng(number).integers(60, 200, (12, 12, 3), dtype=np.uint8)
    part = np.asarray(Image.fromarray(blotches).resize((SIZE, SIZE)), dtype=float)
    return (part * light).clip(0, 255).astype(np.uint8)
