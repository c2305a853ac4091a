"""Trials: what a key depends on, and which draws a dataset has enough images for."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahl._common.types import GOOD, Sample
from ahl.benchmark.protocol import BenchmarkDataset, Draw, plan_draws, plan_transfers
from ahl.benchmark.trials import make_trial
from ahl.benchmark.variants import Variant
from ahl.config import AnomalyOverlap, Config, ErrorForm, Grouping, ImportanceSource, default
from ahl.data import Dataset

DRAW = Draw(dataset="tiles", subset="", setting="general", known_class="", anomalies=10, seed=0)
CONTEXT = {"backbone": {"name": "resnet18", "stages": [2, 3]}, "device": "cpu", "dataset": "ab"}


def key(draw=DRAW, text="dra", config=None, context=CONTEXT):
    return make_trial(draw, Variant.parse(text), config or default(), context).key


# --- keys ------------------------------------------------------------------------------------

DRAWS = st.builds(
    Draw,
    dataset=st.sampled_from(["tiles", "cables"]),
    subset=st.sampled_from(["", "tiles", "hole"]),
    setting=st.sampled_from(["general", "hard"]),
    known_class=st.sampled_from(["", "hole"]),
    anomalies=st.sampled_from([1, 10]),
    seed=st.sampled_from([0, 1]),
    source=st.sampled_from(["", "hole"]),
)
TEXTS = st.sampled_from(
    ["dra", "devnet", "ahl-dra", "dra,heads.margin=4.5", "dra,importance.source=equal"]
)
CONTEXTS = st.fixed_dictionaries(
    {
        "backbone": st.fixed_dictionaries(
            {
                "name": st.sampled_from(["resnet18", "tiny"]),
                "stages": st.sampled_from([None, [2, 3]]),
            }
        ),
        "device": st.sampled_from(["cpu", "cuda"]),
        "dataset": st.sampled_from(["ab", "cd"]),
    }
)
TRIALS = st.tuples(DRAWS, TEXTS, st.sampled_from([24, 48]), CONTEXTS)


def with_batches_of(size):
    return replace(default(), learning=replace(default().learning, batch_size=size))


@given(TRIALS, TRIALS, st.tuples(*[st.booleans()] * 4))
def test_keys_are_equal_exactly_where_draw_method_config_and_context_are(one, change, where):
    other = tuple(b if there else a for a, b, there in zip(one, change, where, strict=True))
    keys = [
        key(draw, text, with_batches_of(size), context)
        for draw, text, size, context in (one, other)
    ]
    assert (keys[0] == keys[1]) == (one == other)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "cables"},
        {"subset": "a"},
        {"setting": "hard"},
        {"known_class": "hole"},
        {"anomalies": 1},
        {"seed": 1},
        {"source": "cables"},
    ],
    ids=str,
)
def test_every_field_of_the_draw_is_in_the_key(change):
    assert key(replace(DRAW, **change)) != key()


CHOICES = [get_args(literal) for literal in (AnomalyOverlap, ErrorForm, Grouping, ImportanceSource)]


def another(value):
    """A value of the same type that any field takes."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        options = next(choice for choice in CHOICES if value in choice)
        return next(option for option in options if option != value)
    if value is None:  # the image size, still to be chosen
        return [64, 96]
    return 2 * value + 2 if isinstance(value, int) else value * 0.75 + 1e-4


FIELDS = [
    (section, name)
    for section, values in default().to_dict().items()
    for name in values
    if section != "finetune"
]


@pytest.mark.parametrize(("section", "name"), FIELDS)
def test_every_constant_is_in_the_key_whoever_sets_it(section, name):
    values = default().to_dict()
    changed = another(values[section][name])
    values[section][name] = changed
    by_config = key(text="ahl-dra", config=Config.from_dict(values))
    if (section, name) == ("learning", "episodes"):
        assert by_config == key(text="ahl-dra"), "what a method fixes is so in every run"
        return
    assert by_config != key(text="ahl-dra")
    if section != "features":  # these are the run's: all methods of a draw share them
        assert key(text=f"ahl-dra,{section}.{name}={changed!r}") == by_config


def test_the_spelling_of_a_specification_is_not_in_the_key():
    spellings = ["dra,heads.margin=4.5,memory.patches=0", "dra, memory.patches=0, heads.margin=4.5"]
    assert len({key(text=text) for text in spellings}) == 1
    margin = default().heads.margin
    assert key(text=f"dra,heads.margin={margin + 1:.1f}") == key(
        text=f"dra,heads.margin={int(margin) + 1}"
    )
    restated = key(text=f"dra,heads.margin={margin}")
    assert restated != key(), "a row of its own in a sweep"
    assert restated == key(text=f"dra,heads.margin={margin:.3f}")


def test_methods_with_equal_constants_have_keys_of_their_own():
    texts = ["dra", "ahl-dra", "fs-dra", "+ramfull", "+cdl-", "patchcore"]
    assert len({key(text=text) for text in texts}) == len(texts)


def test_the_order_of_the_context_is_not_in_the_key_but_every_value_is():
    assert key(context=dict(reversed(CONTEXT.items()))) == key()
    for changed in (
        {**CONTEXT, "device": "cuda"},
        {**CONTEXT, "further": 1},
        {**CONTEXT, "backbone": {"name": "resnet18", "stages": [3, 2]}},
    ):
        assert key(context=changed) != key()


def with_episodes(config):
    return replace(config, learning=replace(config.learning, episodes=True))


def test_a_trial_carries_the_methods_own_constants():
    trial = make_trial(DRAW, Variant.parse("ahl-dra,heads.margin=4.5"), default(), CONTEXT)
    expected = with_episodes(default())
    assert trial.config == replace(expected, heads=replace(expected.heads, margin=4.5))
    assert trial.draw is DRAW


@pytest.mark.parametrize("name", ["dra", "devnet", "flos", "saoe", "mlep", "fs-dra", "+ramfull"])
def test_rivals_have_no_part_of_ours_unless_asked(name):
    """Whatever the run's config says: they are compared as published."""
    published = Variant.parse(name).configure(default())
    assert (published.memory.patches, published.calibration.folds) == (0, 0)
    assert published.vectors.components == 0
    asked = Variant.parse(f"{name},memory.patches=7,calibration.folds=2").configure(default())
    assert (asked.memory.patches, asked.calibration.folds) == (7, 2)


@pytest.mark.parametrize("name", ["patchcore", "kdad", "logistic"])
def test_methods_without_constants_record_no_part_of_ours(name):
    published = Variant.parse(name).configure(default())
    assert (published.vectors.components, published.memory.patches) == (0, 0)
    assert published.calibration.folds == 0


@pytest.mark.parametrize("config", [default(), with_episodes(default())])
def test_the_base_detector_may_have_all_that_ahl_has_but_its_episodes(config):
    learning = replace(config.learning, episodes=False)
    assert Variant.parse("+alone").configure(config) == replace(config, learning=learning)


@pytest.mark.parametrize("name", ["ahl-dra", "ahl-devnet"])
def test_ahl_has_what_the_run_says_and_its_episodes(name):
    assert Variant.parse(name).configure(default()) == with_episodes(default())


# --- draws -----------------------------------------------------------------------------------


def dataset(name, **classes):
    """A dataset with so many anomalies of each class."""

    def samples(folder, count):
        names = [f"{folder}/{index}.png" for index in range(count)]
        return tuple(Sample(path=Path(n), name=n, class_name=folder) for n in names)

    return Dataset(
        name=name,
        root=Path(name),
        layout="inspection",
        train_normals=samples(GOOD, 4),
        test_normals=(),
        anomalies=tuple(s for kind, count in sorted(classes.items()) for s in samples(kind, count)),
    )


def planned(*subsets, settings=("general",), anomalies=(3,), seeds=(0,), **fields):
    whole = BenchmarkDataset(name="parts", subsets=subsets, **fields)
    draws = list(plan_draws(whole, settings, anomalies, seeds))
    assert all(draw.dataset == "parts" and draw.source == "" for _, draw in draws)
    return [
        (subset, d.subset, d.setting, d.known_class, d.anomalies, d.seed) for subset, d in draws
    ]


def test_the_general_setting_needs_an_anomaly_left_to_test():
    one = dataset("folder", dent=2, hole=2)
    found = planned(one, anomalies=(1, 3, 4, 5), seeds=(0, 7))
    assert found == [
        (one, "", "general", "", 1, 0),
        (one, "", "general", "", 1, 7),
        (one, "", "general", "", 3, 0),
        (one, "", "general", "", 3, 7),
    ]


def test_the_hard_setting_draws_from_each_class_that_has_enough():
    one = dataset("folder", crack=1, dent=2, hole=3)
    found = planned(one, settings=("hard",), anomalies=(1, 2, 3))
    assert [(known, count) for _, _, _, known, count, _ in found] == [
        ("dent", 1),
        ("hole", 1),
        ("hole", 2),
    ]


def test_the_hard_setting_needs_a_class_to_test():
    assert planned(dataset("folder", dent=9), settings=("hard",)) == []
    assert len(planned(dataset("folder", dent=9, hole=1), settings=("hard",))) == 1


def test_parts_are_named_where_there_are_several():
    cable, tile, pill = dataset("cable", cut=4), dataset("tile", crack=5), dataset("pill", dot=3)
    found = planned(cable, tile, pill, settings=("general", "hard"), seeds=(0, 1))
    assert [(subset, name, seed) for subset, name, _, _, _, seed in found] == [
        (cable, "cable", 0),
        (cable, "cable", 1),
        (tile, "tile", 0),
        (tile, "tile", 1),
    ]


def test_the_protocol_may_name_classes_and_parts_of_the_hard_setting():
    cable, tile = dataset("cable", cut=4, bent=4), dataset("tile", cut=4, crack=4)
    settings = ("general", "hard")

    def hard(**fields):
        found = planned(cable, tile, settings=settings, **fields)
        assert sum(setting == "general" for _, _, setting, *_ in found) == 2, "not of this one"
        return [(part, known) for _, part, setting, known, *_ in found if setting == "hard"]

    everything = [("cable", "bent"), ("cable", "cut"), ("tile", "crack"), ("tile", "cut")]
    assert hard() == everything
    assert hard(hard_classes=("cut",)) == [("cable", "cut"), ("tile", "cut")]
    assert hard(hard_subsets=("tile",)) == everything[2:]
    assert hard(hard_subsets=("tile",), hard_classes=("bent", "crack")) == [("tile", "crack")]


def test_transfers_lead_from_every_part_with_enough_anomalies_to_every_other():
    cable, tile, folder = dataset("cable", cut=4), dataset("tile", crack=3), dataset("f", dot=9)
    both = BenchmarkDataset(name="both", subsets=(cable, tile))
    alone = BenchmarkDataset(name="alone", subsets=(folder,))
    found = list(plan_transfers([both, alone], anomalies=(3,), seeds=(0, 5)))
    assert [(s, t, d.source, d.dataset, d.subset, d.seed) for s, t, d in found] == [
        (source, target, *names, seed)
        for source, target, *names in (
            (cable, tile, "both/cable", "both", "tile"),
            (cable, folder, "both/cable", "alone", ""),
            (folder, cable, "alone", "both", "cable"),
            (folder, tile, "alone", "both", "tile"),
        )
        for seed in (0, 5)
    ]
    for _, _, draw in found:
        assert (draw.setting, draw.known_class, draw.anomalies) == ("general", "", 3)
    counts = [len(list(plan_transfers([both, alone], (m,), (0,)))) for m in (2, 3, 4, 9)]
    assert counts == [6, 4, 2, 0]
