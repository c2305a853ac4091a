"""Files count once they are complete."""

import errno
import os
import sys
import threading
from pathlib import Path

import pytest

from ahl.apps.watch.arrivals import Arrivals, being_written


def arrivals(folder, **kept):
    kept = {"recursive": False, "settle": 2.0, "patience": 10.0} | kept
    return Arrivals(folder, **kept)


def names(found):
    return [one.name.as_posix() for one in found]


def test_a_file_counts_when_it_has_not_changed_for_a_while(tmp_path):
    watched, path = arrivals(tmp_path), tmp_path / "a.png"
    assert watched.look(0.0) == []
    path.write_bytes(b"1")
    assert watched.look(1.0) == []
    assert watched.look(2.9) == []
    path.write_bytes(b"12")
    assert watched.look(3.0) == []
    os.utime(path, ns=(5, 5))  # as large as before, but written to
    assert watched.look(4.9) == []
    assert watched.look(6.8) == []
    assert names(watched.look(6.9)) == ["a.png"]
    assert names(watched.look(7.0)) == ["a.png"], "until it is moved"


def test_a_file_that_comes_back_waits_again(tmp_path):
    watched, path = arrivals(tmp_path), tmp_path / "a.png"
    path.write_bytes(b"1")
    watched.look(0.0)
    path.unlink()
    watched.look(1.0)
    path.write_bytes(b"1")
    assert watched.look(2.0) == []
    assert names(watched.look(4.0)) == ["a.png"]


def test_the_oldest_comes_first(tmp_path):
    for name, time in (("b.png", 7), ("c.png", 3), ("a.png", 7)):
        (tmp_path / name).write_bytes(b"1")
        os.utime(tmp_path / name, ns=(time, time))
    assert names(arrivals(tmp_path, settle=0).look(0.0)) == ["c.png", "a.png", "b.png"]


def test_names_that_are_temporary_or_no_images_are_left_alone(tmp_path):
    for name in (".a.png", "~a.png", "a.png.part", "a.png.tmp", "a.png~", "a.txt", "a", "B.JPG"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "B.JPG")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere")
    watched = arrivals(tmp_path, settle=0)
    assert names(watched.look(0.0)) == ["B.JPG"]
    (tmp_path / "a.png.part").rename(tmp_path / "a.png")
    assert "a.png" in names(watched.look(1.0))


def test_subfolders_count_if_asked_for_but_for_hidden_linked_and_excluded_ones(tmp_path):
    for folder in ("x/y", ".hidden", "out", "x/out"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.png").write_bytes(b"1")
    (tmp_path / "linked").symlink_to(tmp_path / "x")
    assert arrivals(tmp_path, settle=0).look(0.0) == []
    watched = arrivals(tmp_path, settle=0, recursive=True, excluded=[tmp_path / "x" / ".." / "out"])
    assert sorted(names(watched.look(0.0))) == ["x/out/a.png", "x/y/a.png"]


def test_a_closed_subfolder_does_not_stop_the_rest(tmp_path, monkeypatch):
    for folder in ("closed", "open"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(b"1")
    listed = os.scandir

    def scandir(folder):
        if Path(folder).name == "closed":
            raise PermissionError(errno.EACCES, "no", folder)
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    watched = arrivals(tmp_path, recursive=True, settle=0)
    assert names(watched.look(0.0)) == ["open/a.png"]
    assert watched.refusals() == [
        (f"{tmp_path / 'closed'} cannot be listed (no permission) and is left out.")
    ]
    assert watched.refusals() == []


def test_a_folder_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        arrivals(tmp_path / "gone").look(0.0)


def test_a_file_that_did_not_decode_waits_longer_once(tmp_path):
    watched = arrivals(tmp_path)
    (tmp_path / "a.png").write_bytes(b"1")
    watched.look(0.0)
    (first,) = watched.look(2.0)
    assert not first.tried
    watched.postpone(first)
    assert watched.look(9.9) == []
    (last,) = watched.look(10.0)
    assert last.tried
    watched.leave(last)
    assert watched.look(99.0) == []
    assert watched.seen()[last.path].left
    (tmp_path / "a.png").write_bytes(b"12")
    watched.look(100.0)
    assert not watched.look(102.0)[0].tried


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
def test_a_file_that_is_open_for_writing_does_not_count(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"1")
    watched = arrivals(tmp_path)
    watched.look(0.0)
    with path.open("ab"):
        assert being_written(path)
        assert watched.look(9.0) == []
    with path.open("rb"):
        assert not being_written(path), "readers are no harm"
    assert names(watched.look(9.0)) == ["a.png"]
    assert not being_written(tmp_path / "gone")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such leases")
def test_asking_harms_neither_the_writer_nor_us(tmp_path):
    path, stop = tmp_path / "a.png", threading.Event()

    def write():
        while not stop.is_set():
            with path.open("ab") as file:
                file.write(b"1")

    path.write_bytes(b"")
    writer = threading.Thread(target=write)
    writer.start()
    seen = {being_written(path) for _ in range(3000)}
    for _ in range(200_000):  # on a busy machine one of the two may not have run yet
        if len(seen) == 2:
            break
        seen.add(being_written(path))
    stop.set()
    writer.join()
    assert seen == {True, False}


def test_masks_of_images_beside_them_stay_also_once_these_are_moved(tmp_path):
    for name in ("a.png", "a_mask.png", "b_mask.png", "Ground_Truth/a.png", "@eaDir/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    watched = arrivals(tmp_path, settle=0, recursive=True)
    assert names(watched.look(0.0)) == ["a.png", "b_mask.png"]
    (refusal,) = watched.refusals()
    assert refusal == (
        f"{tmp_path / 'a_mask.png'} is named like the mask of an image and is left out."
    )
    (tmp_path / "a.png").unlink()
    assert names(watched.look(1.0)) == ["b_mask.png"]
    assert watched.refusals() == []
