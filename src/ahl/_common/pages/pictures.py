"""Pictures that stand inside a page or an answer."""

from __future__ import annotations

import base64
import io
from typing import Literal

from PIL import Image

from ahl._common.types import Pixels


def data_uri(pixels: Pixels, kind: Literal["JPEG", "PNG"], **settings: int) -> str:
    """An image (H, W, 3) as an address that holds its data; the settings are Pillow's."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind, **settings)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{data}"
