"""Templates filled to HTML pages that need nothing else: no network, no script."""

from __future__ import annotations

from importlib import resources


def render_page(package: str, template: str, **values: object) -> str:
    """Fill a template; every value that is not `markupsafe.Markup` is escaped.

    Args:
        package: where the template lies.
        template: its file name. It finds the shared style sheet as `style`.
        values: what else it names; a name that is not given is an error.
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
