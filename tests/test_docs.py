"""What the documents show works as shown."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from small_images import small_image, write_class
from tiny import fit

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
OTHERS = (
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
    "runtime/README.md",
    "benchmarks/results/README.md",
)
PROSE = [*DOCUMENTS, *(ROOT / name for name in OTHERS)]
CHANGELOG = ROOT / "CHANGELOG.md"  # names options that are gone


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), flags=re.S | re.M)


def execute(script):
    """Run a document's example in the current folder; its names."""
    names: dict = {}
    exec(compile(script, "example", "exec"), names)  # our own document
    return names


def options_of(command):
    return {text for one in command.params for text in (*one.opts, *one.secondary_opts)}


@pytest.mark.parametrize("example", blocks(ROOT / "docs" / "extending.md", "python"))
def test_the_extension_examples_train_and_score(example, tmp_path):
    from ahl import AHL
    from ahl.config import DEFAULT_BACKBONE
    from tiny import TinyBackbone, tiny_config

    detector = execute(example)["detector"].set_params(config=tiny_config(epochs=2))
    if detector.backbone == DEFAULT_BACKBONE:
        detector.set_params(backbone=TinyBackbone())
    fit(detector, [small_image("good", i) for i in range(6)], [small_image("dot", 0)])
    detector.save(tmp_path / "model.ahl")
    loaded = AHL.load(
        tmp_path / "model.ahl",
        backbones=[type(detector.model_.backbone)],
        heads=[type(detector.model_.detector)],
    )
    image = small_image("bar", 1)
    assert loaded.decision_function([image]) == detector.decision_function([image])


def test_the_readmes_python_example_runs(tmp_path, monkeypatch):
    from ahl.config import preset
    from ahl.pipeline import settings

    (example,) = blocks(ROOT / "README.md", "python")
    for name, count in (("good", 6), ("scratch", 2), ("new", 3)):
        write_class(tmp_path / "parts" / name, "dot" if name == "scratch" else "good", count)
    own = preset("default")  # but for the number of epochs
    short = replace(own, learning=replace(own.learning, epochs=2))
    monkeypatch.setattr(settings, "preset", {"default": short}.get)
    monkeypatch.chdir(tmp_path)
    assert execute(example)["detector"].model_.config.learning.epochs == 2


def test_the_log_documents_example_runs(tmp_path, monkeypatch):
    (example,) = blocks(ROOT / "docs" / "logs.md", "python")
    for name, kind, count in (("good", "good", 6), ("scratch", "dot", 2)):
        write_class(tmp_path / "parts" / name, kind, count)
    small = example.replace(
        "AHL(run", "AHL(backbone=TinyBackbone(), config=tiny_config(epochs=2), run"
    )
    assert small != example
    monkeypatch.chdir(tmp_path)
    execute(f"from tiny import *\n{small}")
    lines = (tmp_path / "parts.jsonl").read_text().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert (events[0], *events[-2:]) == ("start", "saved", "end"), events


def test_the_benchmark_documents_examples_run(tmp_path, monkeypatch):
    method, dataset = blocks(ROOT / "docs" / "benchmark.md", "python")
    for name, kind, count in (("good", "good", 16), ("dot", "dot", 8), ("bar", "bar", 8)):
        write_class(tmp_path / "parts" / name, kind, count)
    write_class(tmp_path / "raw" / "ok", "good", 4)
    (tmp_path / "raw" / "nok").mkdir()
    for number, path in enumerate(write_class(tmp_path / "loose", "dot", 3)):
        path.rename(tmp_path / "raw" / "nok" / f"dot_{number}.png")
    small = method.replace(
        "Benchmark(datasets=[parts],",
        "Benchmark(anomalies=(3,), backbone=BackboneChoice(backbone=TinyBackbone()), "
        "config=tiny_config(), datasets=[parts],",
    )
    assert small != method
    header = (
        "from ahl.features.backbones.choice import BackboneChoice\n"
        "from tiny import TinyBackbone, tiny_config\n"
    )
    monkeypatch.chdir(tmp_path)
    execute(header + small)
    assert (tmp_path / "results" / "report.html").exists()
    assert execute(dataset)["screws"].subsets[0].classes == ("dot",)


def test_the_commands_in_the_documents_exist():
    from ahl.apps.cli import main

    for path in DOCUMENTS:
        for block in blocks(path, "(?:bash|sh|console|text)?"):
            for line in block.replace("\\\n", " ").splitlines():
                words = line.removeprefix("$ ").split()
                if len(words) < 2 or words[0] != "ahl" or not words[1].isalpha():
                    continue
                command, rest = main, words[1:]
                while hasattr(command, "commands"):
                    assert rest[0] in command.commands, (path.name, line)
                    command, rest = command.commands[rest[0]], rest[1:]
                known = options_of(command)
                used = {w.split("=")[0] for w in rest if w.startswith("-")}
                assert used <= known | {"--help"}, (path.name, line)


def test_links_between_documents_lead_somewhere():
    for path in [*PROSE, CHANGELOG, ROOT / "benchmarks" / "results" / "README.md"]:
        for target, place in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", path.read_text()):
            file = path.parent / target if target else path
            assert file.exists(), (path.name, target)
            assert not place or place in headings(file), (path.name, place)


def headings(path):
    """Addresses of a document's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.M)
    return [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in found]


@pytest.mark.parametrize("path", [*PROSE, CHANGELOG], ids=lambda path: path.name)
def test_lines_of_prose_fit_into_100_columns(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.S | re.M)
    for line in text.splitlines():
        if not line.startswith(("|", "    ", "![")):  # tables, code, pictures
            assert len(re.sub(r"\]\([^)]*\)", "]", line)) <= 100, line


def test_the_changelog_is_read_in_minutes():
    newest = CHANGELOG.read_text().split("\n## ")[1]
    assert len(newest.split()) <= 700


def test_the_readme_is_read_in_five_minutes():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert not [line for line in lines if len(line) > 100]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_public_names_in_prose_are_on_the_map(path):
    import ahl

    names = set(re.findall(r"`ahl\.(\w+)", path.read_text()))
    assert names <= set(ahl.__all__)


def test_options_in_prose_exist():
    from ahl.apps.cli import main

    verbs = [main]
    known = {
        "--help",
        "--data-binary",
        "--logdir",
        "--only",
    }  # the last three are of other programs
    for verb in verbs:
        verbs += getattr(verb, "commands", {}).values()
        known |= options_of(verb)
    for path in PROSE:
        prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.S | re.M)
        spans = [span for span in re.findall(r"`([^`]+)`", prose) if ".py" not in span]
        options = {one for span in spans for one in re.findall(r"(?<!\S)--[a-z][\w-]*", span)}
        assert options <= known, (path.name, options - known)


def test_what_the_method_page_names_is_there():
    page = (ROOT / "docs" / "method.md").read_text()
    places = re.findall(r"`([\w/]+(?:\.py|/))(?::([\w,\s]+))?`", page)
    assert len(places) > 20
    for file, names in places:
        path = ROOT / "src" / "ahl" / file
        assert path.exists(), file
        for name in re.findall(r"\w+", names):
            assert re.search(rf"^(def|class) {name}\b", path.read_text(), flags=re.M), (file, name)


def test_the_example_of_parts_runs(tmp_path, monkeypatch, capsys):
    (example,) = blocks(ROOT / "docs" / "parts.md", "python")
    for name, kind, count, first in (("good", "good", 16, 0), ("scratch", "dot", 8, 100)):
        for path in write_class(tmp_path / "parts" / name, kind, count, first=first):
            path.rename(path.with_name(f"IMG_{path.name}"))
    small = example.replace(
        "AHL(image_size=64)", "AHL(backbone=TinyBackbone(), config=tiny_config(epochs=2))"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AHL_CACHE", str(tmp_path / "cache"))
    execute(f"from tiny import *\n{small}\n")
    assert "images share their part with others" in capsys.readouterr().out
