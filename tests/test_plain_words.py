"""Words: lines that fit, docstrings that say something, and phrases that stay out."""

import ast
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import ahl
from ahl.apps.cli import main

ROOT = Path(__file__).parents[1]
PACKAGE = Path(ahl.__file__).parent
MODULES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "runtime").glob("*.py")])
SCRIPTS = sorted((ROOT / "benchmarks").rglob("*.py"))
PAGES = [path for kind in ("*.html", "*.j2", "*.js") for path in PACKAGE.rglob(kind)]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "runtime" / "README.md"]
CHANGELOG = ROOT / "CHANGELOG.md"  # names what was renamed

SAYS_NOTHING = """
This That It Here There Function Helper Helpers Utility Utilities Wrapper Various
Something What Where How Whether When Likewise Also Simply Just Used Does Is Are Has And Or But
""".split()  # noqa: SIM905
"""First words of a docstring that neither name a thing nor say what it does."""

WORST = [
    *(r"\blikewise\b", r"\bhears\b", r"says nothing of", r"\btelling\b", r"told_of"),
    *(r"\b(is|are|be|was|were) told\b(?! (apart|from))", r"\b(is|was) said of\b"),
    *(r"\bis none (of|that)\b", r"that there is not\b", r"(?<!there )\b(is|are) no (whole|such)\b"),
    *(
        r"\b(it|which|that) is no (regular|model|file|image|folder|dataset|text|number)\b",
        r"\bare no images\b",
    ),
    *(r"tampered with", r"in spreads of", r"\bfor want of\b", r"\bof before\b", r"\bat work on\b"),
    *(r"by turns", r"cross[-_ ]?fit", r"neighbourhood", r"\bentrants?\b", r"\bobservers?\b"),
    *(r"passed over", r"\bspeaks? (most )?against\b"),
    *(r"\bplugs?\b", r"\bwants (a|an|the|some|more|\d)", r"without the mark\b", r"--base\b"),
    *(
        r"\breview[-_]dir\b",
        r"\bthat day\b",
        r"\bhalf as fast\b",
        r"\b(since|commit) [0-9a-f]{7}\b",
    ),
]


def docstrings(path):
    """(Name, docstring) of a module and of everything in it that has one."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            yield getattr(node, "name", path.stem), text


def verbs(command=main, words=()):
    """(Words, command) of `ahl` and of each verb below it."""
    yield words, command
    for name, one in getattr(command, "commands", {}).items():
        yield from verbs(one, (*words, name))


def test_docstrings_begin_with_what_a_thing_is_or_does():
    found = [
        (path.name, name, text.splitlines()[0])
        for path in [*MODULES, *SCRIPTS]
        for name, text in docstrings(path)
        if re.match(r"\w*", text).group() in SAYS_NOTHING
    ]
    assert not found


@pytest.mark.parametrize("phrase", WORST)
def test_no_phrase_that_a_reader_stumbles_over(phrase):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*MODULES, *PAGES, *DOCUMENTS]
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if path != CHANGELOG and re.search(phrase, line, flags=re.I)
    ]
    assert not found


@pytest.mark.parametrize("words", [words for words, _ in verbs()], ids=" ".join)
def test_help_fits_into_a_terminal_and_is_not_cut_off(words):
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(main, [*words, "--help"])
    lines = shown.stdout.splitlines()
    assert shown.exit_code == 0
    assert not [line for line in lines if len(line) > 80]
    assert not [line for line in lines if line.endswith("...") and "Usage" not in line]
