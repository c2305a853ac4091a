"""Style, plots and templating shared by our HTML pages."""

from __future__ import annotations

import base64
import io
from importlib import resources
from typing import Literal

from PIL import Image

from ahl._common.types import Pixels


def render_page(package: str, template: str, **values: object) -> str:
    """Fill a template; every value that is not `markupsafe.Markup` is escaped.

    Args:
        package: package that holds the template.
        template: its file name. The shared style sheet is its variable `style`.
        values: its other variables; an undefined variable is an error.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    source = resources.files(package).joinpath(template).read_text(encoding="utf-8")
    style = resources.files("ahl._common.pages").joinpath("style.css").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # The style sheet is ours; so are drawings marked as safe, their texts escaped as XML.
    return environment.from_string(source).render(style=Markup(style), **values)


def data_uri(pixels: Pixels, kind: Literal["JPEG", "PNG"], **settings: int) -> str:
    """Encode an image (H, W, 3) as a data URI; `settings` are those of Pillow's `save`."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format=kind, **settings)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f"data:image/{kind.lower()};base64,{data}"
