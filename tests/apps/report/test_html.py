"""The report stands alone: whole HTML, nothing fetched, nothing from the data taken for markup."""

import base64
import io
import os
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ahl import AHL, RunSettings
from ahl._common.errors import DataError
from ahl._common.types import ScoredSample
from ahl.apps.report.counts import count as sum_up
from ahl.apps.report.counts import kept_rows, operating_points, share
from ahl.apps.report.html import write_report
from ahl.apps.report.score_plots import draw_histograms, draw_precision_recall, draw_roc
from ahl.data import open_dataset
from ahl.scoring.evaluation import evaluate
from html_reader import read
from small_images import small_image, write_class
from tiny import TinyBackbone, fit, tiny_config

HOSTILE = "<script>alert('x')<script>&quot;\" onerror=a() {{ 7*7 }}"


@pytest.fixture(scope="module")
def html(report_file):
    return report_file.read_text(encoding="utf-8")


def test_the_page_is_whole_and_holds_every_part(html, detector):
    reader = read(html)
    assert html.lstrip().startswith("<!DOCTYPE html>")
    assert reader.tags.count("h1") == 1
    episodes = len(detector.model_.episodes)
    # ROC, precision-recall, seen and unseen, histograms, w_i, two losses; the sprites; their uses.
    assert reader.tags.count("svg") == 7 + 1 + html.count('<svg role="img" aria-label')
    assert reader.tags.count("article") == episodes > 1
    assert len(re.findall(r'<li class="case">', html)) == 12 + 3
    text = " ".join(reader.texts)
    assert "Base detector dra, trained by AHL's episodes, seed 0" in text
    for words in ("How good it is", "What to do", "seen classes", "unseen classes", "threshold"):
        assert words in text
    for words in ("inner rate", "tiny, weights", "torch", "Processor", "support_in_query", "today"):
        assert words in text


def test_the_page_begins_with_what_the_model_finds(html, detector, dataset):
    """Then come what other thresholds would; what is for experts is folded away."""
    counts = sum_up(evaluate(detector.scorer, dataset))
    finds = share(counts.found.hits, counts.found.total).replace(" %", "\u00a0%")
    assert f'id="summary" class="first">Finds {finds} of the defects, calls ' in html
    rates = html[html.index('id="rates"') : html.index('id="misses"')]
    assert re.findall(r'<th scope="row">(\d+) %</th>', rates) == ["1", "2", "5", "10"]
    for point in operating_points(counts):
        assert f"<td>{point.found.hits} ({share(point.found.hits, point.found.total)})" in rates
    folded = html[html.index("<details>") : html.index("</details>")]
    assert all(f'id="{name}"' in folded for name in ("training", "episodes", "run"))
    assert html.index('id="hits"') < html.index("<details>") < html.index('id="notes"')


def test_nothing_is_fetched(html):
    reader = read(html)
    assert not {"script", "iframe", "object", "embed"} & set(reader.tags)
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
        assert all(value.startswith(("#", "data:")) for value in reader.values(name))
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", html)


def test_pictures_are_small_images(html):
    pictures = re.findall(r'"data:image/jpeg;base64,([^"]+)"', html)
    assert len(pictures) > 24
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert max(image.size) <= 420


def test_every_picture_and_table_says_what_it_shows(html):
    reader = read(html)
    assert all(reader.values("alt"))
    assert len(reader.values("alt")) == reader.tags.count("img")
    assert reader.tags.count("caption") == reader.tags.count("table")
    for svg in re.findall(r'<svg[^>]*role="img".*?</svg>', html, re.DOTALL):
        assert re.search(r"<title[^>]*>[^<]+</title>", svg)
    ids = reader.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in reader.values("href") if value.startswith("#")} <= set(ids)
    for name in reader.values("aria-labelledby"):
        assert set(name.split()) <= set(ids)


def test_pictures_of_cases_are_named_for_those_who_do_not_see_them(html):
    cases = re.findall(r'<li class="case">.*?</ul>', html, re.DOTALL)
    for case in cases:
        image, overlay, *likes = re.findall(r'alt="([^"]*)"', case)
        assert re.search(r"<h3>(.*?)</h3>", case)[1] in image
        assert re.search(r'<p class="note">(.*?)</p>', case)[1] in overlay
        assert likes == re.findall(r"<span>((?:Training|Good).*?)</span>", case)
        assert len(likes) == 2
    assert len(cases) == 12 + 3


def test_equal_arguments_give_equal_bytes(detector, dataset, report_file, tmp_path):
    again = write_report(detector.scorer, dataset, tmp_path / "a" / "again.html", made="today")
    assert again.path.read_bytes() == report_file.read_bytes()


def test_hostile_names_are_text(tmp_path):
    write_class(tmp_path / "data" / "good", "good", 5, first=50)
    name = HOSTILE.replace("/", "")
    write_class(tmp_path / "data" / name, "dot", 3, first=50)
    broken = os.fsdecode(b"half\xff\x01letters $x_1$")
    write_class(tmp_path / "data" / broken, "bar", 3, first=50)
    trained = fit(
        AHL(backbone=TinyBackbone(), config=tiny_config(epochs=1), run=RunSettings(cache=None)),
        [small_image("good", i) for i in range(6)],
        [small_image("dot", 0)],
        [HOSTILE],
    )
    page = write_report(
        trained.scorer, open_dataset(tmp_path / "data"), tmp_path / "r.html", title=HOSTILE
    ).path.read_text(encoding="utf-8")
    reader = read(page)
    assert "script" not in reader.tags
    assert reader.values("onerror") == []
    assert any(HOSTILE in text for text in reader.texts)
    assert " 49" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_a_model_without_threshold_episodes_or_calibration_has_a_report(tmp_path, dataset):
    config = tiny_config(epochs=1, episodes=False)
    config = replace(config, calibration=replace(config.calibration, folds=0))
    trained = fit(
        AHL(backbone=TinyBackbone(), config=config, run=RunSettings(cache=None)),
        [small_image("good", i) for i in range(6)],
        [small_image("dot", 0)],
        ["dot"],
    )
    write_report(trained.scorer, dataset, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "Set a threshold" in " ".join(read(page).texts)
    assert "Base detector dra, trained alone, seed 0" in page
    assert "episodes" not in read(page).values("id")
    assert "base model" not in page


def test_data_of_one_kind_are_reported_without_curves(detector, tmp_path):
    write_class(tmp_path / "data" / "good", "good", 3, first=300)
    written = write_report(detector.scorer, open_dataset(tmp_path / "data"), tmp_path / "r.html")
    assert written.evaluation.auroc is None
    assert "nothing to compare" in " ".join(written.summary.how_good)
    page = (tmp_path / "r.html").read_text()
    assert "Curves need both" in page
    assert "There are none to show." in page


def test_what_cannot_be_is_refused(detector, tmp_path):
    (tmp_path / "data" / "good").mkdir(parents=True)
    (tmp_path / "data" / "good" / "a.png").write_text("no image")
    with pytest.raises(DataError):
        write_report(detector.scorer, open_dataset(tmp_path / "data"), tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_many_images_and_classes_make_no_large_page(dataset):
    image = dataset.anomalies[0]
    random = np.random.default_rng(0)
    scored = []
    for name in ("good", *(f"class {number}" for number in range(80))):
        sample = replace(image, class_name=name)
        count = 10_000 if name == "good" else 60
        scored += [
            ScoredSample(sample=sample, score=x, seen=False) for x in random.normal(0, 1, count)
        ]
    result = SimpleNamespace(scored=scored, threshold=1.0)
    counts = sum_up(result)
    rows = kept_rows(counts, 60)
    assert len(rows) == 60
    assert rows[0].name == "good"
    worst = sorted(row.separation.auroc for row in counts.rows[1:])[:59]
    assert sorted(row.separation.auroc for row in rows[1:]) == worst
    drawings = [
        draw_roc(counts.normals, counts.seen, counts.unseen, None),
        draw_precision_recall(counts.normals, counts.anomalies, None),
        draw_histograms(kept_rows(counts, 16), None),
    ]
    assert max(map(len, drawings)) < 300_000
