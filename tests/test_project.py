"""What the ecosystem expects of a project, and reads by machine."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import ahl

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
MATRIX = WORKFLOW["jobs"]["make"]["strategy"]["matrix"]


def test_the_version_stands_in_one_place():
    holders = [
        path.relative_to(ROOT).as_posix()
        for path in (*ROOT.glob("*.toml"), *ROOT.glob("*.cff"), *(ROOT / "src").rglob("*.py"))
        if re.search(rf"\b{re.escape(ahl.__version__)}\b", path.read_text())
    ]
    assert holders == ["src/ahl/_common/version.py"]
    assert PROJECT["dynamic"] == ["version"]


def test_the_citation_names_the_project_and_its_papers():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in PROJECT["authors"]] == [
        author["name"] for author in citation["authors"]
    ]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert citation["references"][0]["title"] in readme
    for paper in citation["references"]:
        assert {"type", "title", "authors", "year"} <= set(paper), paper


def test_the_workflow_calls_targets_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert set(MATRIX["target"]) <= targets
    runs = [step["run"] for step in WORKFLOW["jobs"]["make"]["steps"] if "run" in step]
    assert all(run.startswith("make ") for run in runs), runs


def test_the_workflow_tests_what_the_classifiers_promise():
    promised = [
        one.rpartition(" ")[2]
        for one in PROJECT["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", one)
    ]
    assert promised == MATRIX["python"]
    assert PROJECT["requires-python"] == f">={promised[0]}"


def test_the_runtime_promises_the_same():
    runtime = tomllib.loads((ROOT / "runtime" / "pyproject.toml").read_text())["project"]
    assert runtime["requires-python"] == PROJECT["requires-python"]
    pythons = [
        [one for one in project["classifiers"] if ":: Python" in one]
        for project in (PROJECT, runtime)
    ]
    assert pythons[0] == pythons[1]


def test_hooks_are_local():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [place["repo"] for place in hooks["repos"]] == ["local"]
    assert {hook["language"] for hook in hooks["repos"][0]["hooks"]} == {"system"}


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_issue_forms_have_what_the_host_demands(form):
    found = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= set(found)
    fields = [field for field in found["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 0
    assert all(field["attributes"]["label"] for field in fields)
