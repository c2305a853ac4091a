"""Settings of the documentation site; `make docs` builds it.

The source folder is the root of the checkout, so that links between documents, inside `docs/` and
beyond it, lead to the same files here and on the host of the repository.
"""

from pathlib import Path

from sphinx.application import Sphinx

import ahl

project = "ahl"
author = "The AHL authors"
project_copyright = author
version = release = ahl.__version__

root_doc = "docs/index"
include_patterns = ["docs/**", "*.md", "benchmarks/results/**.md"]
exclude_patterns = [".*", "build", "demo", "dist", "tests", "src", "runtime"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
default_role = "code"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"ahl {version}"
html_show_sphinx = False


def leave_out_of_the_menu(app: Sphinx, page: str, source: list[str]) -> None:
    """Reports of benchmark runs are reached by links alone."""
    if page.endswith("/report"):
        source[0] = f"---\norphan: true\n---\n{source[0]}"


def leave_out_of_sklearn(
    app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object
) -> bool | None:
    """Skip members that AHL inherits from scikit-learn, which documents them."""
    return True if (getattr(thing, "__module__", None) or "").startswith("sklearn.") else None


def redirect(app: Sphinx, failure: Exception | None) -> None:
    """Lead from the site's root to its first page."""
    if not failure and app.builder.name == "html":
        page = '<!doctype html><meta http-equiv="refresh" content="0; url=docs/index.html">\n'
        (Path(app.outdir) / "index.html").write_text(page)


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.connect("source-read", leave_out_of_the_menu)
    app.connect("autodoc-skip-member", leave_out_of_sklearn)
    app.connect("build-finished", redirect)
