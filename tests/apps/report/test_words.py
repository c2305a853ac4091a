"""The summary says what the figures say, and gives advice that fits them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ahl._common.types import Sample, ScoredSample, Skipped
from ahl.apps.report.counts import count, weakest
from ahl.apps.report.words import summarise
from ahl.config import preset
from ahl.model.decision import decide
from ahl.scoring.evaluation import Evaluation, LabelConflict
from ahl.scoring.localisation import PixelFigures


def scored(class_name, scores, *, seen=False):
    samples = (
        Sample(path=Path("x"), name=f"{class_name}/{i}", class_name=class_name) for i in range(99)
    )
    return [
        ScoredSample(sample=s, score=float(x), seen=seen)
        for s, x in zip(samples, scores, strict=False)
    ]


def told(groups, threshold_of=None, rate=0.1, skipped=0, reasons=(), threshold_images=0, **others):
    decision = None if threshold_of is None else decide(np.array(threshold_of, float), rate)
    result = Evaluation(
        auroc=None,
        average_precision=None,
        auroc_seen=None,
        auroc_unseen=None,
        fpr95=None,
        threshold=None if decision is None else decision.threshold,
        classes={},
        left_out=0,
        left_out_known_class=0,
        threshold_images=threshold_images,
        skipped=tuple(Skipped(name="x", reason="bad") for _ in range(skipped)),
        scored=tuple(one for group in groups for one in group),
        **others,
    )
    model = SimpleNamespace(decision=decision, config=preset("default", image_size=224))
    alarms = [SimpleNamespace(wrong=True, reasons=((one, "+1.0"),)) for one in reasons]
    return summarise(result, count(result), model, alarms), count(result)


GOOD = scored("good", range(20))
HOLES = scored("hole", [0, 17, 30, 31], seen=True)


def test_seen_and_unseen_kinds_are_compared_with_their_intervals():
    groups = [GOOD, scored("hole", [30, 31, 32, 33] * 5, seen=True), scored("dent", [1] * 20)]
    summary, counts = told(groups)
    assert counts.separation("seen").auroc == 1.0
    assert counts.separation("unseen").auroc == pytest.approx(0.075)
    assert any("a difference beyond chance" in one for one in summary.how_good)
    assert any("in training have AUROC 1.000, 95 %" in one for one in summary.how_good)
    few = [GOOD, scored("hole", [30, 31], seen=True), scored("dent", [18, 30])]
    assert any("no difference beyond chance" in one for one in told(few)[0].how_good)


def test_without_a_threshold_one_is_asked_for_and_weak_classes_named():
    groups = [GOOD, scored("hole", [30] * 9, seen=True), scored("dent", [1] * 9)]
    summary, _ = told(groups)
    assert "ahl threshold" in summary.what_to_do[0]
    assert any("class dent" in one for one in summary.what_to_do)
    assert any("Found least often: class dent (unseen" in one for one in summary.where_it_fails)


def test_the_headline_says_what_is_found():
    summary, _ = told([GOOD, HOLES], threshold_of=range(10))
    assert summary.headline == "Finds 75 % of the defects, calls 50 % of the good parts defective."
    assert told([GOOD, HOLES])[0].headline == (
        "With a threshold it could find 50 % of the defects, calling 5 % of the good parts "
        "defective."
    )
    assert told([GOOD])[0].headline.startswith("Not measured: the test needs")


def test_misses_and_false_alarms_are_counted_at_the_threshold():
    groups = [GOOD, scored("hole", [0, 17, 30, 31], seen=True)]
    summary, counts = told(groups, threshold_of=range(10), reasons=["odd", "odd", "torn"])
    assert (counts.found.hits, counts.alarms.hits) == (3, 10)  # of 20, above 9
    assert any("3 of 4 (75 %" in one for one in summary.how_good)
    assert "1 of 4 anomalies missed." in summary.where_it_fails
    assert any("--missed FILES --kind CLASS`" in one for one in summary.what_to_do)
    assert any("they are odd (2 of 3)" in one for one in summary.where_it_fails)
    assert any(
        "set it again" in one for one in summary.what_to_do
    )  # where a share of 0.1 was allowed


@pytest.mark.parametrize(("good", "bad"), [(1, 1), (9, 30), (30, 9)])
def test_few_images_earn_no_praise(good, bad):
    groups = [scored("good", range(good)), scored("hole", range(100, 100 + bad), seen=True)]
    words = " ".join(told(groups)[0].how_good)
    assert "too few to tell" in words
    assert "tells the two apart" not in words
    enough = [scored("good", range(10)), scored("hole", range(100, 110), seen=True)]
    words = " ".join(told(enough)[0].how_good)
    assert "tells the two apart almost perfectly" in words
    assert "too few" not in words


def test_good_images_that_set_the_threshold_are_no_news_of_it():
    groups = [GOOD, scored("hole", [0, 17, 30, 31], seen=True)]
    summary, _ = told(groups, threshold_of=range(10), threshold_images=7)
    assert any(
        "7 good images are among those that the threshold was set on" in s for s in summary.how_good
    )
    summary, _ = told(groups, threshold_of=range(10))
    assert not any("was set on" in one for one in summary.how_good)


def test_heat_maps_are_put_into_words_where_they_are_measured():
    pixels = PixelFigures(auroc=0.9, aupro=None, peak_near=0.5, masked=4, unmasked=1)
    (words,) = [one for one in told([GOOD, HOLES], pixels=pixels)[0].how_good if "heat" in one]
    assert "within 16 pixels of it, in 50% of 4 images" in words
    assert words.endswith("over pixels AUROC is 0.900, AUPRO -.")
    assert not any("heat" in one for one in told([GOOD, HOLES])[0].how_good)


def test_images_of_trained_parts_are_counted_with_the_figure_without_them():
    groups = [GOOD, scored("hole", [0, 17, 30, 31], seen=True)]
    summary, _ = told(groups, trained_parts=3, of_new_parts=SimpleNamespace(auroc=0.75))
    assert "3 tested images are of parts that it was trained on; without them AUROC is 0.750." in (
        summary.how_good
    )
    assert not any("of parts" in one for one in told(groups)[0].how_good)


def test_a_threshold_higher_than_need_be_is_noticed():
    groups = [GOOD, scored("hole", [25, 26, 99], seen=True)]
    summary, _ = told(groups, threshold_of=range(10, 60))
    assert any(
        "2 missed anomalies are above every good image:" in one for one in summary.what_to_do
    )


def test_nothing_wrong_needs_nothing():
    many = [
        scored("good", range(99)),
        scored("hole", range(100, 190), seen=True),
        scored("dent", range(100, 190)),
    ]
    summary, counts = told(many, threshold_of=range(109))
    assert summary.where_it_fails == ()
    assert summary.what_to_do == ("These figures suggest no change.",)
    assert weakest(counts) is not None


@pytest.mark.parametrize("groups", [[GOOD], [scored("dent", [1, 2])]])
def test_one_kind_alone_is_nothing_to_compare(groups):
    summary, counts = told(groups, threshold_of=range(20), skipped=2)
    assert "nothing to compare" in summary.how_good[0]
    assert not counts.both
    assert "2 images could not be read." in summary.where_it_fails


def test_labels_that_contradict_training_are_named():
    one = LabelConflict(name="a", class_name="good", trained="b", trained_class="dent")
    said = told([GOOD, HOLES], conflicts=(one,) * 7)[0].where_it_fails
    assert said.count(f"{one.in_words()}.") == 5
    assert "And 2 more such pairs." in said
    assert not any("labels may be wrong" in words for words in told([GOOD])[0].where_it_fails)
