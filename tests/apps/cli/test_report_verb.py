"""`ahl report`."""

import json

from commands import run, train_options
from small_images import write_class


def test_report_writes_a_page_and_says_what_is_in_it(model, inspection_folder, tmp_path):
    for name, count in (("good", 6), ("dot", 4), ("frame", 4)):
        write_class(tmp_path / "test" / name, name, count, first=60)
    (tmp_path / "test" / "dot" / "bad.png").write_text("no image")
    page = tmp_path / "deep" / "page.html"
    told = json.loads(run("report", model, tmp_path / "test", "-o", page, "--json").stdout)
    assert told["report"] == str(page)
    assert told["bytes"] == page.stat().st_size > 50_000
    assert told["classes"]["frame"]["count"] == 4
    assert [one["path"] for one in told["skipped"]] == ["dot/bad.png"]
    assert "bad.png" in page.read_text()
    assert any("ahl threshold" in one for one in told["what_to_do"])
    assert told["trained_parts"] == 0
    parts = ("--group-by", r"^(\w+)/", "--json")
    by_folder = json.loads(run("report", model, tmp_path / "test", "-o", page, *parts).stdout)
    assert by_folder["trained_parts"] == 10, "of folders that were trained on"
    result = run("report", model, tmp_path / "test", "-o", page)
    assert told["how_good"][0] in result.stdout
    assert str(page) in result.stdout
    run("report", model, inspection_folder, "-o", tmp_path / "none.html", code=1)
    assert not (tmp_path / "none.html").exists()


def test_a_page_of_another_kind_is_refused_before_anything_is_done(model, tmp_path):
    result = run("report", model, tmp_path / "nowhere", "-o", tmp_path / "a.pdf", code=2)
    assert "a.html" in result.stderr


def test_info_tells_what_each_base_model_had(inspection_folder, tmp_path):
    model = tmp_path / "m.ahl"
    options = ("--episodes", *train_options(tmp_path))
    run("train", inspection_folder, "-o", model, *options)
    told = json.loads(run("info", model, "--json").stdout)
    files = len(told["manifest"]["files"])
    assert len(told["episodes"]) == len(told["history"][-1]["importance"]) > 1
    for episode in told["episodes"]:
        assert all(0 <= i < files for i in episode["shown_normals"] + episode["support_anomalies"])
