"""The house: imports follow the data, one way."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ahl

PACKAGE = Path(ahl.__file__).parent

ORDER = """
_common config data features distributions heads learning evidence model scoring pipeline
estimator benchmark apps __main__
""".split()  # noqa: SIM905
"""Rooms in the order data meets them; each imports from those before it only."""

APPS = sorted(path.name for path in (PACKAGE / "apps").iterdir() if path.name[0] != "_")
"""They know what comes before them, but not each other; the command line knows them all."""

LONGEST = 300
"""Lines of the longest module: beyond, it holds more than one concept."""

FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def name_of(path: Path) -> tuple[str, ...]:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports_of(path: Path) -> set[tuple[str, ...]]:
    """What a file imports of ahl, also inside its functions: ("data", "images", "reading")."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ahl":
            within = tuple(node.module.split(".")[1:])
            found |= {(*within, a.name) for a in node.names}
        elif isinstance(node, ast.Import):
            names = [tuple(a.name.split(".")) for a in node.names]
            found |= {name[1:] for name in names if name[0] == "ahl"}
    return found


def test_every_room_has_its_place():
    assert {name_of(path)[0] for path in FILES} == set(ORDER)


def test_the_top_is_read_at_a_glance():
    assert len([p for p in PACKAGE.iterdir() if p.suffix == ".py" or p.is_dir()]) <= 17


def test_imports_lead_backwards_only():
    for path in FILES:
        here = name_of(path)[0]
        for imported in {name[0] for name in imports_of(path)} - {here}:
            assert imported in ORDER, f"{path} imports {imported} from the top"
            assert ORDER.index(imported) < ORDER.index(here), f"{path} imports {imported}"


@pytest.mark.parametrize("app", [app for app in APPS if app != "cli"])
def test_no_application_knows_another(app):
    for path in (PACKAGE / "apps" / app).rglob("*.py"):
        others = {name[1] for name in imports_of(path) if name[0] == "apps"} - {app}
        assert not others, path


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES} - {PACKAGE}))
def test_within_a_folder_no_import_comes_back(folder):
    """Its modules and folders have an order in which each imports from those before it only."""
    place = folder.relative_to(PACKAGE).parts
    graph: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        name = name_of(path)
        if len(name) == len(place):
            continue
        graph.setdefault(name[len(place)], set()).update(
            imported[len(place)]
            for imported in imports_of(path)
            if imported[: len(place)] == place
            and len(imported) > len(place) + 1
            and imported[len(place)] != name[len(place)]
        )
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_no_two_test_modules_share_a_name():
    """The folders of tests are no packages: pytest would then stop before the first test."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)


def test_no_module_has_grown_beyond_one_concept():
    long = {p.name: n for p in FILES if (n := len(p.read_text().splitlines())) > LONGEST}
    assert not long
