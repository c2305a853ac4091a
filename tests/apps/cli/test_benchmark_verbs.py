"""`ahl benchmark` and `ahl adapt` as people type them."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from ahl.apps.cli import main
from ahl.apps.cli.benchmark import _methods
from ahl.benchmark.methods import METHODS
from ahl.benchmark.protocol import TOGETHER
from ahl.benchmark.results import Results
from ahl.benchmark.variants import ABLATIONS
from commands import small_backbone
from small_images import write_class


def ahl(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def small(folder, *others):
    return (*others, *small_backbone(folder), "--image-size", 64, "--threads", 1)


def test_run_then_report(benchmark_folder, tmp_path):
    output = tmp_path / "results"
    run = ("benchmark", "run", "--dataset", f"Parts={benchmark_folder}", "--output", output)
    methods = ("--method", "logistic", "--method", "patchcore")
    options = small(tmp_path, *methods, "--seeds", 2, "--first-seed", 7, "--anomalies", 3)
    first = ahl(*run, *options)
    assert first.exit_code == 0, first.output
    assert "4 trials computed, 0 already there, 0 failed" in first.output
    assert {result.seed for result in Results(output).trials.values()} == {7, 8}
    refused = ahl(*run, *options)
    assert refused.exit_code == 2
    assert "--resume" in refused.output
    again = ahl(*run, *options, "--resume", "--json")
    assert json.loads(again.stdout) == {"computed": 0, "kept": 4, "failed": []}
    report = ahl("benchmark", "report", output)
    assert report.exit_code == 0, report.output
    assert "Logistic regression" in (output / "report.md").read_text()


def test_copies_are_looked_for_unless_told_not_to(tmp_path):
    parts = tmp_path / "parts"
    write_class(parts / "good", "good", 16)
    write_class(parts / "dot", "dot", 6)
    with Image.open(parts / "good" / "003.png") as image:
        image.point(lambda level: level * 0.8).save(parts / "good" / "copy.png")
    run = ("benchmark", "run", "--dataset", f"Parts={parts}", "--method", "logistic")
    options = small(tmp_path, "--seeds", 1, "--anomalies", 3)
    both = ahl(*run, *options, "--output", tmp_path / "both")
    assert both.exit_code == 0, both.output
    assert "2 of 23 images share their part with others: measured both ways" in both.stderr
    names = {result.dataset for result in Results(tmp_path / "both").trials.values()}
    assert names == {"Parts", f"Parts{TOGETHER}"}
    once = ahl(*run, *options, "--as-published", "--output", tmp_path / "once")
    assert "copies found" not in once.stderr
    assert [result.dataset for result in Results(tmp_path / "once").trials.values()] == ["Parts"]


def test_help_names_every_method_and_ablation():
    text = " ".join(ahl("benchmark", "run", "--help").output.split())
    assert f"Methods: {' '.join(method.name for method in METHODS)}." in text
    assert f"Ablations: {' '.join(sorted(ABLATIONS))}." in text


def test_a_transfer_measures_by_default_what_can_be_adapted():
    assert _methods((), ()) == [method.name for method in METHODS]
    adapting = ["ahl-dra", "ahl-devnet", "dra", "devnet", "flos", "saoe", "mlep"]
    assert _methods((), (), transfer=True) == adapting
    assert _methods(("logistic",), (), transfer=True) == ["logistic"], "to be refused"


def test_fine_tuned_rows_are_by_default_those_with_a_base_detector():
    based = ["ahl-dra", "ahl-devnet", "dra", "devnet", "flos", "saoe", "mlep", "fs-dra"]
    assert _methods((), (), finetune=True) == based
    assert _methods(("logistic",), (), finetune=True) == ["logistic"], "to be refused"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--dataset", "nowhere"), "NAME=PATH"),
        (("--dataset", "headct"), "no Python package"),
        (("--dataset", "x={folder}", "--method", "magic"), "Unknown method 'magic'"),
        (("--dataset", "nowhere", "--method", "magic"), "Unknown method"),  # before any image
        (("--dataset", "x={folder}", "--ablation", "magic"), "Unknown ablation 'magic'"),
        (("--dataset", "x={folder}", "--anomalies", "99"), "enough anomalies"),
        (("--dataset", "x={folder}", "--stages", "one"), "--stages"),
        (("--dataset", "x={folder}", "--cache", "x", "--no-cache"), "not both"),
        (("--dataset", "x={folder}", "--method", "kdad,heads.margin=1"), "takes no settings"),
        (("--dataset", "x={folder}", "--method", "fs-dra", "--transfer"), "every class: fs-dra"),
        (("--dataset", "nowhere", "--method", "kdad", "--finetune"), "kdad cannot take part"),
        (("--dataset", "x={folder}", "--group-by", "a", "--as-published"), "--as-published does"),
        (("--dataset", "x={folder}", "--group-by", "a", "--transfer"), "--transfer does not use"),
    ],
)
def test_mistakes_get_a_line_and_no_traceback(benchmark_folder, tmp_path, arguments, reason):
    filled = [text.format(folder=benchmark_folder) for text in arguments]
    result = ahl("benchmark", "run", *filled, "--output", tmp_path / "results")
    assert result.exit_code in (1, 2)
    assert reason in result.output
    assert "Traceback" not in result.output


def test_adapt_writes_a_model_for_the_new_product(inspection_folder, tmp_path):
    old, new = tmp_path / "old.ahl", tmp_path / "new.ahl"
    options = small(tmp_path, "--epochs", 2, "--no-cache")
    trained = ahl("train", inspection_folder, "--output", old, *options)
    assert trained.exit_code == 0, trained.output
    write_class(tmp_path / "other", "good", 5, first=500)
    (tmp_path / "other" / "broken.png").write_text("no image")
    result = ahl("adapt", old, tmp_path / "other", "--output", new, "--epochs", 2, "--json")
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert (values["normals"], len(values["skipped"])) == (5, 1)
    assert values["threshold_dropped"] is False
    shown = ahl("info", new).stdout
    assert "3 bar, 3 dot, 24 good; adapted to 5 good" in " ".join(shown.split())
    assert "adapted" not in ahl("info", old).stdout
    assert ahl("threshold", old, "--max-false-alarm-rate", 0.2).exit_code == 0
    shown = ahl("adapt", old, tmp_path / "other", "--output", new, "--epochs", 1).stdout
    assert f"threshold {new} GOOD_IMAGES... --max-false-alarm-rate 0.2" in shown
    assert ahl("adapt", old, tmp_path / "nowhere", "--output", new).exit_code in (1, 2)
