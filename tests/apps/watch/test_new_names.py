"""A name that is taken is never overwritten, however the file system renames."""

import errno
import os

import pytest

from ahl.apps.watch import new_names
from ahl.apps.watch.new_names import free_name, rename_new

LINK = os.link


@pytest.fixture(params=["at once", "links", "neither"])
def way(request, monkeypatch):
    if request.param != "at once":
        monkeypatch.setattr(new_names, "_kernels_rename", lambda: None)
    if request.param == "neither":

        def link(*_, **__):
            raise OSError(errno.EPERM, "")

        monkeypatch.setattr(os, "link", link)
    return request.param


def test_a_file_gets_its_new_name(way, tmp_path):
    (tmp_path / "a").write_text("1")
    rename_new(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_text() == "1"


@pytest.mark.parametrize("there", ["file", "link", "broken link", "folder"])
def test_what_is_there_stays(way, there, tmp_path):
    (tmp_path / "a").write_text("1")
    target = tmp_path / "b"
    if there == "file":
        target.write_text("2")
    elif there == "folder":
        target.mkdir()
    else:
        target.symlink_to(tmp_path / ("a" if there == "link" else "nowhere"))
    before = target.lstat()
    with pytest.raises(FileExistsError):
        rename_new(tmp_path / "a", target)
    assert (tmp_path / "a").read_text() == "1"
    assert target.lstat() == before


def test_two_names_of_one_file_become_one(way, tmp_path):
    (tmp_path / "a").write_text("1")
    LINK(tmp_path / "a", tmp_path / "b")
    rename_new(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_file_that_is_gone_is_told(way, tmp_path):
    with pytest.raises(FileNotFoundError):
        rename_new(tmp_path / "a", tmp_path / "b")


def test_the_first_free_number_is_found(tmp_path):
    wished = tmp_path / "image.png"
    for number in range(1, 40):
        free = free_name(wished)
        assert free.name == ("image.png" if number == 1 else f"image-{number}.png")
        free.write_bytes(b"")


def test_few_names_are_asked_for_among_many(tmp_path, monkeypatch):
    asked = []

    def exists(path):
        asked.append(path)
        return path.stem == "image" or int(path.stem.removeprefix("image-")) <= 10**6

    monkeypatch.setattr(os.path, "lexists", exists)
    assert free_name(tmp_path / "image.png").name == f"image-{10**6 + 1}.png"
    assert len(asked) < 50


def test_the_longest_names_can_be_numbered(tmp_path):
    wished = tmp_path / ("é" * 125 + ".png")
    wished.write_bytes(b"")
    free = free_name(wished)
    free.write_bytes(b"")
    assert os.fsencode(free.name).endswith(b"-2.png")
