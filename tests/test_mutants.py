"""The lists of mutants fit the source, and the runner tells a survivor from a killed one."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import ahl

TESTS = Path(__file__).parent
RUNNER = TESTS / "mutants" / "run.py"


def load_runner():
    spec = importlib.util.spec_from_file_location("mutants_run", RUNNER)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


MUTANTS = load_runner().read_mutants()


def source_of(mutant):
    return (Path(ahl.__file__).parent / mutant.file).read_text()


def test_every_mutant_fits_the_source():
    """The old text stands in its file once, the new one can be compiled: no list has rotted."""
    for mutant in MUTANTS:
        mutant.applied_to(source_of(mutant))


def test_every_mutant_says_what_it_breaks_and_which_tests_know():
    assert len(MUTANTS) >= 150
    assert len({(one.file, one.old, one.new) for one in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        assert mutant.breaks
        assert mutant.tests
        for test in mutant.tests:
            module, _, name = test.partition("::")
            written = (TESTS.parent / module).read_text()
            assert f"def {name.partition('[')[0]}(" in written or not name, test


@pytest.mark.parametrize("old", ["no such text", "import", "return score > self.threshold"])
def test_a_mutant_that_does_not_fit_is_an_error(old):
    """Text that is absent or ambiguous, or a defect that changes nothing, would count as killed."""
    mutant = next(one for one in MUTANTS if one.file == "model/decision.py")
    other = replace(mutant, old=old, new="return score > self.threshold")
    with pytest.raises(ValueError, match="not once"):
        other.applied_to(source_of(other))


def test_survivors_are_named_and_too_many_are_an_error(tmp_path):
    """Of two defects of one line the one that its test does not notice; the source stays."""
    folder = tmp_path / "tests"
    (folder / "mutants").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "src" / "ahl").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    source = tmp_path / "src" / "ahl" / "__init__.py"
    source.write_text("def half(x):\n    return x / 2\n")
    (folder / "test_half.py").write_text(
        "from ahl import half\ndef test_half(): assert half(2) == 1\n"
    )
    entry = '[[mutant]]\nfile = "__init__.py"\nold = "x / 2"\nnew = "{}"\nbreaks = "{}"\n'
    entry += 'tests = ["test_half.py"]\n'
    (folder / "mutants" / "room.toml").write_text(
        entry.format("x / 3", "a third") + entry.format("x // 2", "rounded")
    )
    (folder / "mutants" / "run.py").write_text(RUNNER.read_text())
    without_torch = "import sys, run; run.LOADED = (); sys.exit(run.main())"
    run = subprocess.run(
        [sys.executable, "-c", without_torch],
        cwd=folder / "mutants",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stderr
    assert "survived: __init__.py: rounded" in run.stdout
    assert "third" not in run.stdout
    assert "1 of   2 killed" in run.stdout
    assert source.read_text() == "def half(x):\n    return x / 2\n"
