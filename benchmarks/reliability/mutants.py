"""Damaged and hostile files: images of every readable format, and models of every kind."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import picture
from PIL import Image

from ahl._common.tensor_file import read_tensor_file, write_tensor_file
from ahl.scoring.artefact import read_artefact, write_artefact

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000)
HOSTILE_VALUES: Sequence[Any] = (
    *(None, True, -1, 0, 1e308, 10**400, -(10**30), 0.5, "", "x" * 10_000, "nan", "inf"),
    *([], {}, [[]], [None] * 3, {"kind": "evil"}, "../../../etc/passwd", [1e308] * 9, "\x00\ud800"),
)


def image_files() -> dict[str, bytes]:
    """Undamaged image files of all formats, by name."""
    rgb = Image.fromarray(picture(48, 3, defect=True))
    grey = rgb.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[274] = 6
    ways: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "rgb.png": (rgb, {}),
        "rgba.png": (rgb.convert("RGBA"), {"exif": exif}),
        "palette.png": (rgb.convert("P"), {"transparency": 0}),
        "deep.png": (deep, {}),
        "plain.jpg": (rgb, {"exif": exif}),
        "progressive.jpg": (rgb, {"progressive": True}),
        "grey.jpg": (grey, {}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "plain.bmp": (rgb, {}),
        "palette.bmp": (rgb.convert("P"), {}),
        "plain.tiff": (rgb, {"exif": exif}),
        "lzw.tiff": (rgb, {"compression": "tiff_lzw"}),
        "deflate.tiff": (rgb, {"compression": "tiff_adobe_deflate"}),
        "jpeg.tiff": (rgb, {"compression": "jpeg"}),
        "packbits.tiff": (grey, {"compression": "packbits"}),
        "deep.tiff": (deep, {}),
        "float.tiff": (Image.fromarray(np.asarray(grey) / np.float32(255)), {}),
        "lossy.webp": (rgb, {"exif": exif}),
        "lossless.webp": (rgb, {"lossless": True}),
        "animated.webp": (rgb, {"save_all": True, "append_images": [rgb.rotate(90)]}),
        "plain.gif": (rgb, {}),
        "animated.gif": (rgb, {"save_all": True, "append_images": [rgb.rotate(90)]}),
    }
    files = {}
    for name, (image, options) in ways.items():
        stream = io.BytesIO()
        kind = {"jpg": "JPEG", "tiff": "TIFF"}.get(name.split(".")[1], name.split(".")[1].upper())
        image.save(stream, format=kind, **options)
        files[name] = stream.getvalue()
    arrays = {"u8": np.uint8, "u16": np.uint16, "f4": np.float32}
    for name, kind in arrays.items():
        stream = io.BytesIO()
        np.save(stream, (np.asarray(rgb) / 255).astype(kind))
        files[f"{name}.npy"] = stream.getvalue()
    return files


def damaged(data: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    """Damage a file's bytes in one or two ways."""
    for _ in range(draw.choice((1, 1, 2))):
        data = draw.choice((_flip, _flip, _flip, _cut, _splice, _number, _move, _blank))(
            data, others, draw
        )
    return data


def _place(data: bytes, draw: random.Random) -> int:
    """Draw an offset; half of them lie in the headers."""
    return draw.randrange(max(1, min(200, len(data)) if draw.random() < 0.5 else len(data)))


def _flip(data: bytes, _: Sequence[bytes], draw: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    for _n in range(draw.randint(1, 8)):
        changed[_place(changed, draw)] ^= draw.randint(1, 255)
    return bytes(changed)


def _cut(data: bytes, _: Sequence[bytes], draw: random.Random) -> bytes:
    return data[: draw.randint(0, len(data))]


def _splice(data: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    other = draw.choice(others)
    return data[: _place(data, draw)] + other[_place(other, draw) :]


def _number(data: bytes, _: Sequence[bytes], draw: random.Random) -> bytes:
    size, order = draw.choice((1, 2, 4)), draw.choice(("big", "little"))
    value = (draw.choice(EXTREMES) & (256**size - 1)).to_bytes(size, order)  # type: ignore[arg-type]
    at = _place(data, draw)
    return data[:at] + value + data[at + size :]


def _move(data: bytes, _: Sequence[bytes], draw: random.Random) -> bytes:
    begin, to = _place(data, draw), _place(data, draw)
    block = data[begin : begin + draw.randint(1, 64)]
    rest = data if draw.random() < 0.5 else data[:begin] + data[begin + len(block) :]
    return rest[:to] + block + rest[to:]


def _blank(data: bytes, _: Sequence[bytes], draw: random.Random) -> bytes:
    at, length = _place(data, draw), draw.randint(1, 400)
    return data[:at] + bytes([draw.choice((0, 255))]) * length + data[at + length :]


def image_mutants(count: int, draw: random.Random) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of damaged images, of every format in turn."""
    files = image_files()
    names, contents = [*files], [*files.values()]
    for number in range(count):
        name = names[number % len(names)]
        yield name, damaged(files[name], contents, draw)


def model_mutants(
    models: Sequence[Path], count: int, draw: random.Random, scratch: Path
) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of damaged models, and of hostile ones with a valid checksum."""
    whole = {model: model.read_bytes() for model in models}
    for number in range(count):
        model = models[number % len(models)]
        if number // len(models) % 2:
            yield f"damaged{model.suffix}", damaged(whole[model], [*whole.values()], draw)
        else:
            output = scratch / f"hostile{model.suffix}"
            {".ahl": _hostile_ahl, ".onnx": _hostile_onnx}[model.suffix](model, output, draw)
            yield output.name, output.read_bytes()


def _hostile_ahl(model: Path, output: Path, draw: random.Random) -> None:
    """Change a model's header or tensors and write it with a valid checksum."""
    header, groups = read_tensor_file(model, "model")
    header = json.loads(json.dumps(header))
    for _ in range(draw.randint(1, 2)):
        if draw.random() < 0.7:
            _change_value(header, draw)
        else:
            group = groups[draw.choice([*groups])]
            if group:
                _change_tensor(group, draw)
    try:
        write_tensor_file(output, "model", header, groups)
    except (UnicodeError, ValueError):
        _hostile_ahl(model, output, draw)  # it cannot even be written: another


def _change_value(values: Any, draw: random.Random) -> None:
    """Replace or delete a random entry of JSON values, in place."""
    keys = [*values] if isinstance(values, dict) else [*range(len(values))]
    if not keys:
        return
    key = draw.choice(keys)
    if isinstance(values[key], dict | list) and values[key] and draw.random() < 0.8:
        _change_value(values[key], draw)
    elif draw.random() < 0.15:
        del values[key]
    else:
        values[key] = draw.choice(HOSTILE_VALUES)


def _change_tensor(group: dict[str, torch.Tensor], draw: random.Random) -> None:
    name = draw.choice([*group])
    tensor = group[name]
    changes = (
        lambda: torch.zeros(0),
        lambda: torch.zeros(()),
        lambda: tensor[:1].contiguous() if tensor.ndim else tensor,
        lambda: tensor.flatten().contiguous(),
        tensor.double,
        lambda: tensor.to(torch.int64),
        lambda: torch.full_like(tensor, 3) if tensor.dtype == torch.uint8 else tensor * 0,
        lambda: torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor * 0,
        lambda: tensor if tensor.dtype == torch.uint8 else torch.full_like(tensor, -6e4),
        lambda: torch.zeros(2, 3, 4, 5, 6),
    )
    if draw.random() < 0.2:
        del group[name]
    else:
        group[name] = draw.choice(changes)()


def _hostile_onnx(model: Path, output: Path, draw: random.Random) -> None:
    data = read_artefact(model)
    end = data.rindex(b"ahl.sha256") - 4  # of what the checksum is of
    body = data[:end]
    if draw.random() < 0.4:  # within what is ours, which is JSON
        begin = body.rindex(b'{"card"')
        at = draw.randrange(begin, len(body))
        changed = body[:at] + bytes([draw.choice(b'0123456789-e"[]{},:nul')]) + body[at + 1 :]
    else:
        changed = damaged(body, [body], draw)
    write_artefact(output, changed)
