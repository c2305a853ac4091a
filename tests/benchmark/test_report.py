"""A results folder becomes four files, the same bytes each time."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from ahl._common.errors import DataError
from ahl.apps.cli.benchmark import report
from ahl.benchmark.report import write_benchmark_report
from benchmark.made_results import grid, write_results

NAMES = ["report.md", "results.csv", "table.tex", "report.html"]


@pytest.fixture
def folder(tmp_path):
    write_results(tmp_path / "results", grid(["ahl-dra", "dra", "fs-dra"]))
    return tmp_path / "results"


def bytes_of(paths):
    return [path.read_bytes() for path in paths]


def test_four_files_are_written(folder, tmp_path):
    assert write_benchmark_report(folder).paths == tuple(folder / name for name in NAMES)
    elsewhere = write_benchmark_report(folder, tmp_path / "new" / "place").paths
    assert bytes_of(elsewhere) == bytes_of([folder / name for name in NAMES])
    assert [
        path.name for path in (tmp_path / "new" / "place").iterdir() if path.suffix == ".part"
    ] == []


def test_same_results_same_bytes_in_another_process_and_order(folder, tmp_path):
    before = bytes_of(write_benchmark_report(folder).paths)
    file = folder / "results.jsonl"
    file.write_text("\n".join(reversed(file.read_text().splitlines())) + "\n")
    code = (
        "import sys, ahl; from pathlib import Path\n"
        "ahl.write_benchmark_report(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "again")],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert bytes_of([tmp_path / "again" / name for name in NAMES]) == before


def test_a_folder_without_results_is_an_error_and_stays_as_it_is(tmp_path):
    with pytest.raises(DataError, match="no results"):
        write_benchmark_report(tmp_path / "missing")
    assert not (tmp_path / "missing").exists()
    (tmp_path / "results.jsonl").write_text("")
    with pytest.raises(DataError, match="no finished trial"):
        write_benchmark_report(tmp_path)


def test_the_command_prints_verdicts_and_paths(folder, tmp_path):
    result = CliRunner().invoke(report, [str(folder), "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "No rival is better than AHL" in result.output
    assert str(tmp_path / "out" / "report.html") in result.output


def test_the_command_prints_json(folder):
    result = CliRunner().invoke(report, [str(folder), "--json"])
    values = json.loads(result.output)
    assert [path.rpartition("/")[2] for path in values["files"]] == NAMES
    assert values["trials"] == 12
    first = values["figures"][0]
    assert (first["method"], first["dataset"], first["seeds"]) == ("AHL(DRA)", "SDD", 2)
    assert first["auroc"] == pytest.approx(0.945)


def test_the_command_says_what_is_wrong(tmp_path):
    result = CliRunner().invoke(report, [str(tmp_path / "missing")])
    assert result.exit_code == 1
    assert "holds no results.jsonl" in result.output


def test_the_command_explains_itself_without_anything_heavy():
    code = (
        "import sys; from ahl.apps.cli.benchmark import report\n"
        "try: report(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'matplotlib', 'numpy', 'jinja2'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--output" in out.stdout
    assert "[]" in out.stdout
