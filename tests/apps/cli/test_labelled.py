"""Labelled images as people have them, through the verbs that read labels."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ahl.apps.cli.labelled import Labels
from ahl.data import open_dataset
from commands import run, train_options
from small_images import SIZE, write_class


def outline(path, *, empty=False):
    values = np.zeros((SIZE, SIZE), np.uint8)
    values[10:20, 8:19] = 0 if empty else 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture(scope="module")
def loose(tmp_path_factory):
    """OK/ and NG/, each with masks beside the photographs, and a table."""
    root = tmp_path_factory.mktemp("loose")
    rows = ["path,label,split"]
    for folder, name, count in (("OK", "good", 12), ("NG", "dot", 4)):
        for number, path in enumerate(write_class(root / folder, name, count)):
            outline(path.with_name(f"{path.stem}_mask.png"), empty=name == "good")
            split = ("train", "train", "val", "test")[number % 4]
            rows.append(f"{folder}/{path.name},{name},{split}")
    (root / "t.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def loose_model(loose, tmp_path_factory):
    folder = tmp_path_factory.mktemp("of_table")
    options = (*train_options(folder), "--json")
    result = run("train", "--table", loose / "t.csv", "-o", folder / "m.ahl", *options)
    assert json.loads(result.stdout)["images"] == {"dot": 2, "good": 6}
    return folder / "m.ahl"


def test_masks_beside_photographs_do_not_train(loose, tmp_path):
    shutil.copytree(loose / "OK", tmp_path / "good")
    shutil.copytree(loose / "NG", tmp_path / "dot")
    result = run("train", tmp_path, "-o", tmp_path / "m.ahl", "--json", *train_options(tmp_path))
    summary = json.loads(result.stdout)
    assert summary["images"] == {"dot": 4, "good": 12}
    assert summary["notes"][0] == "16 masks are kept apart from the images: 4 in dot, 12 in good."
    assert any("4 training defects with masks" in note for note in summary["notes"])


def test_masks_are_not_scored(loose, loose_model):
    result = run("predict", loose_model, loose / "NG", "--json")
    assert len(result.stdout.splitlines()) == 4
    assert result.stderr == f"4 masks are kept apart from the images: 4 in {loose / 'NG'}.\n"


def test_folders_with_labels_train_and_are_evaluated(loose, tmp_path):
    given = ("--good", loose / "OK", "--defect", f"dot={loose / 'NG'}")
    result = run("train", *given, "-o", tmp_path / "m.ahl", "--json", *train_options(tmp_path))
    summary = json.loads(result.stdout)
    assert summary["images"] == {"dot": 4, "good": 12}
    assert any("4 training defects with masks" in note for note in summary["notes"])
    result = run("evaluate", tmp_path / "m.ahl", *given, code=1)
    assert "is left to test" in result.stderr


def test_splits_of_a_table_go_to_their_verbs(loose, loose_model, tmp_path):
    values = json.loads(run("evaluate", loose_model, "--table", loose / "t.csv", "--json").stdout)
    assert {name: one["count"] for name, one in values["classes"].items()} == {"dot": 1, "good": 3}
    options = ("--max-false-alarm-rate", 0.3, "-o", tmp_path / "t.ahl", "--json")
    values = json.loads(run("threshold", loose_model, "--table", loose / "t.csv", *options).stdout)
    assert values["normals"] == 3, "val alone: what is tested sets no threshold"
    rows = [f"OK/{number:03d}.png,good,{number // 4}" for number in (2, 3, 6, 7, 10, 11)]
    (loose / "g.csv").write_text("\n".join(["path,label,group", *rows]))
    values = json.loads(run("threshold", loose_model, "--table", loose / "g.csv", *options).stdout)
    assert (values["normals"], values["same_part"]) == (3, 3)
    result = run("threshold", loose_model, loose / "OK", "--table", loose / "t.csv", code=2)
    assert "Give NORMALS or the options" in result.stderr


def test_training_on_a_table_names_it_for_evaluation(loose, tmp_path):
    words = ("--table", loose / "t.csv", "-o", tmp_path / "m.ahl", *train_options(tmp_path))
    result = run("train", *words)
    assert result.stdout.strip().endswith(f"m.ahl --table {loose / 't.csv'}")
    rows = (loose / "t.csv").read_text().replace(",val", ",train").replace(",test", ",train")
    (loose / "all.csv").write_text(rows)
    result = run("train", "--table", loose / "all.csv", *words[2:])
    assert result.stdout.strip().endswith("m.ahl LABELLED_FOLDER")


def test_a_table_of_both_kinds_updates(loose, loose_model, tmp_path):
    rows = ["path,label", "OK/003.png,good", "NG/003.png,speck"]
    (loose / "wrong.csv").write_text("\n".join(rows))
    options = ("--table", loose / "wrong.csv", "-o", tmp_path / "u.ahl", "--force", "--json")
    values = json.loads(run("update", loose_model, *options).stdout)
    assert [(one["name"], one["label"]) for one in values["corrected"]] == [
        ("NG/003.png", "defect"),
        ("OK/003.png", "good"),
    ]
    kinds = json.loads(run("info", tmp_path / "u.ahl", "--json").stdout)
    assert "speck" in str(kinds)


def test_arrange_writes_the_layout(loose, tmp_path):
    given = ("--good", loose / "OK", "--defect", f"dot={loose / 'NG'}")
    result = run("datasets", "arrange", *given, "-o", tmp_path / "out", "--json")
    assert json.loads(result.stdout)["datasets"][0]["images"] == {"good": 12, "dot": 4}
    dataset = Labels().dataset(tmp_path / "out", note=lambda _: None)
    assert len(dataset.train_normals) == 12
    assert len(dataset.anomalies) == 4
    assert all(len(sample.masks) == 1 for sample in dataset.anomalies)
    assert (tmp_path / "out" / "ground_truth" / "dot" / "NG_000_mask.png").exists()
    run("datasets", "arrange", *given, "-o", tmp_path / "out", code=2)


@pytest.mark.parametrize("array", [np.uint16(4000), np.float32(0.5), np.uint8(7)])
def test_arranged_arrays_keep_all_their_numbers(tmp_path, array):
    """A PNG of 8 bits would lose twelve bits, floats, and channels beyond the third."""
    for name, shape in (("good", (6, 8)), ("dot", (6, 8, 5))):
        (tmp_path / "in" / name).mkdir(parents=True)
        numbers = np.arange(np.prod(shape)).reshape(shape) / 1000 + array
        np.save(tmp_path / "in" / name / "0.npy", numbers.astype(array.dtype))
    run("datasets", "arrange", tmp_path / "in", "-o", tmp_path / "out")
    for name in ("good", "dot"):
        copy = tmp_path / "out" / name / f"{name}_0.npy"
        assert copy.read_bytes() == (tmp_path / "in" / name / "0.npy").read_bytes()


def test_arranged_images_of_one_stem_keep_their_own_masks(tmp_path):
    """`a.png` and `a.bmp` of a table would both have `a_mask.png`."""
    rows = ["path,label,mask"]
    for number, name in enumerate(("g.png", "a.png", "a.bmp")):
        mask = np.zeros((SIZE, SIZE), dtype=np.uint8)
        mask[number : 9 * number] = 255
        Image.fromarray(mask).save(tmp_path / f"{number}-of.png")
        Image.fromarray(np.full((SIZE, SIZE), 50 * number, dtype=np.uint8)).save(tmp_path / name)
        rows.append(f"{name},dot,{number}-of.png" if number else f"{name},good,")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    run("datasets", "arrange", "--table", tmp_path / "t.csv", "-o", tmp_path / "out")
    arranged = open_dataset(tmp_path / "out")
    assert len(arranged.anomalies) == 2
    for one in arranged.anomalies:
        number = 1 if one.path.suffix == ".png" else 2
        (mask,) = one.masks
        assert mask.read_bytes() == (tmp_path / f"{number}-of.png").read_bytes()


def test_arrange_says_that_groups_are_lost(loose, tmp_path):
    (loose / "a.csv").write_text("path,label,group\nOK/000.png,good,7\nOK/001.png,good,\n")
    result = run("datasets", "arrange", "--table", loose / "a.csv", "-o", tmp_path / "out")
    assert "The groups of 1 image are not kept" in result.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "in one way: DATA, --good with --defect, or --table"),
        (("DATA", "--good", "x"), "in one way"),
        (("DATA", "--table", "t.csv"), "in one way"),
        (("DATA", "--masks", "m"), "(--masks needs --good); given: DATA --masks m."),
        (("--defect", "a=b"), "--good is missing"),
        (("--good", "x", "--defect", "b"), "expected KIND=PATH"),
        (("--good", "x", "--defect", "=b"), "expected KIND=PATH"),
        (("--good", "x", "--defect", "good=b"), "give good images by --good"),
    ],
)
def test_contradicting_options_are_refused(model, given, message):
    assert message in run("evaluate", model, *given, code=2).stderr


def test_a_public_dataset_is_recognised(tmp_path, model):
    for name in ("no", "yes"):
        write_class(tmp_path / name, name, 3)
    result = run("evaluate", model, tmp_path, code=1)
    assert f"is BrainMRI as downloaded: give brainmri={tmp_path} instead" in result.stderr
    values = json.loads(run("evaluate", model, f"brainmri={tmp_path}", "--json").stdout)
    assert {name: one["count"] for name, one in values["classes"].items()} == {
        "defect": 3,
        "good": 3,
    }


def test_what_was_given_can_be_typed_again(tmp_path):
    labels = Labels(good=("a b",), defects=("x=y",), masks=("m",))
    assert labels.again(None) == "--good 'a b' --defect x=y --masks m"
    assert Labels().again(tmp_path) == str(tmp_path)
