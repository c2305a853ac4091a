"""`ahl.__all__`: all that documents import; each name is there, and imported when asked for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ahl

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("name", ahl.__all__)
def test_every_name_is_there_and_says_what_it_is(name):
    found = getattr(ahl, name)
    assert name in dir(ahl)
    if callable(found):
        assert (found.__doc__ or "").strip(), name


def test_no_other_name_is():
    with pytest.raises(AttributeError, match="has no attribute 'Detector'"):
        ahl.Detector  # noqa: B018
    assert sorted(ahl._MODULES) == sorted(set(ahl.__all__) - {"__version__"})


def test_documents_import_from_the_map_alone():
    for path in DOCUMENTS:
        for block in re.findall(r"^```python\n(.*?)^```", path.read_text(), flags=re.S | re.M):
            for module, names in re.findall(
                r"^ *from (ahl[.\w]*) import (\([^)]*\)|[^\n]+)", block, flags=re.M
            ):
                assert module == "ahl", f"{path.name} imports from {module}"
                assert set(re.findall(r"\w+", names)) <= set(ahl.__all__), path.name


def test_the_map_itself_loads_no_torch():
    code = "import ahl, sys; dir(ahl); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_of_the_api_has_every_name_once():
    page = (ROOT / "docs" / "api.md").read_text()
    documented = re.findall(r"^\.\. (?:auto\w+|data):: (\w+)$", page, flags=re.M)
    assert sorted(documented) == sorted(set(ahl.__all__) - {"__version__"})
