"""Predictions in words."""

from ahl.scoring.places import in_thirds
from ahl.scoring.prediction import Nearest, Prediction
from ahl.scoring.words import Tally, called, in_words, why_in_words


class Card:
    meanings = {
        "seen": "like a defect seen in training",
        "memory": "unlike any good part seen in training",
    }


def test_verdicts_are_called_as_they_are_sure():
    assert called(True, "anomalous") == "anomalous"
    assert called(True, "uncertain") == "anomalous?"
    assert called(False, "uncertain") == "normal?"
    assert in_words(Prediction(index=0, score=1.234)) == "score 1.23"
    one = Prediction(index=0, score=1.0, probability=0.5, anomalous=True, verdict="uncertain")
    assert in_words(one) == "anomalous?  score 1.00  probability 0.50"


def test_why_names_the_main_reason_the_others_the_place_and_what_it_is_like():
    near = Nearest(
        name="hole/1.png", class_name="hole", distance=0.1, picture=None, place=(0.9, 0.5)
    )
    good = Nearest(name="good/2.png", class_name="good", distance=0.1, picture=None)
    one = Prediction(
        index=0,
        score=3.0,
        evidence={"seen": 1.0, "memory": 2.0},
        nearest_anomaly=near,
        nearest_normal=good,
    )
    assert list(why_in_words(one, Card)) == [
        "Above all it is unlike any good part seen in training; it is also like a defect seen in "
        "training.",
        "Its most anomalous place, bottom centre, looks most like hole/1.png.",
        "The good image most like it is good/2.png.",
    ]
    alone = Prediction(index=0, score=3.0, evidence={"seen": 1.0, "memory": -2.0})
    assert list(why_in_words(alone, Card)) == ["Above all it is like a defect seen in training."]
    none = Prediction(index=0, score=-3.0, evidence={"seen": -1.0})
    assert list(why_in_words(none, Card)) == ["Nothing about it looks anomalous."]


def test_points_in_words():
    words = {(0.0, 0.0): "top left", (0.99, 0.5): "bottom centre", (0.5, 0.5): "centre"}
    for point, expected in words.items():
        assert in_thirds(*point) == expected
    assert in_thirds(1.0, 1.0) == "bottom right"
    assert in_thirds(0.4, 0.7) == "middle right"


def scored(verdict, *, anomalous, probability=None):
    return Prediction(
        index=0, score=0.0, verdict=verdict, anomalous=anomalous, probability=probability
    )


def test_a_tally_counts_by_verdict():
    tally = Tally()
    for one in (
        *[scored("anomalous", anomalous=True)] * 1200,
        scored("uncertain", anomalous=True),
        *[scored("uncertain", anomalous=False)] * 2,
        *[scored("normal", anomalous=False)] * 3,
        Prediction(index=0, error="cut off"),
    ):
        tally.add(one)
    tally.add(scored("normal", anomalous=False), trained_on=True)
    first, question, trained = tally.sentences()
    assert first == (
        "1,208 images: 1,200 anomalous, 1 anomalous?, 2 normal?, 4 normal, 1 could not be read."
    )
    assert question.startswith("?: too close to call")
    assert trained.startswith("1 image was trained on")
    assert tally.unreadable == 1


def test_a_tally_without_a_threshold_counts_by_probability():
    tally = Tally()
    tally.add(scored(None, anomalous=None, probability=0.6))
    tally.add(scored(None, anomalous=None, probability=0.4))
    first, likely = tally.sentences()
    assert first == "2 images: 2 without a verdict."
    assert likely.startswith("With a probability above 0.5: 1.")
    uncalibrated = Tally()
    uncalibrated.add(scored(None, anomalous=None))
    assert list(uncalibrated.sentences()) == ["1 image: 1 without a verdict."]
