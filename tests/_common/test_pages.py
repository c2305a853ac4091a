"""Pictures inside a page or an answer."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ahl._common.pages import data_uri


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_an_address_holds_the_picture(kind):
    pixels = np.full((8, 12, 3), 90, dtype=np.uint8)
    head, data = data_uri(pixels, kind).split(",")
    assert head == f"data:image/{kind.lower()};base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert (image.format, image.size) == (kind, (12, 8))
        assert np.array_equal(np.array(image), pixels)
