"""What a user names becomes parts, and parts become images."""

import os
import sys

import msgspec
import pytest
from shards import pa, write_rows

from ahl._common.callbacks import Callback
from ahl._common.errors import ConfigurationError, DataError
from ahl.apps.bulk.fetching import CHUNK, Fetcher, chunks
from ahl.apps.bulk.inputs import Part, PathPart, RowPart, cut, find_inputs, inputs_digest, state_of
from ahl.data.images.reading import read_pixels
from small_images import small_image, write_class


def named(part, base="."):
    return [image for group in chunks(part, str(base), Fetcher()) for image in group]


def test_folders_files_patterns_and_tables_keep_their_order(tmp_path):
    paths = [str(path) for path in write_class(tmp_path / "a", "good", 5)]
    table = write_rows(tmp_path / "list.parquet", "path", ["x.png"] * 7, pa.string())
    empty = write_rows(tmp_path / "empty.parquet", "path", [], pa.string())
    given = [paths[3], str(tmp_path / "a"), str(table), str(empty), str(tmp_path / "*.parquet")]
    parts = find_inputs([*given, paths[0]], "path")
    assert parts == [
        PathPart((paths[3], paths[0], paths[1], paths[2], paths[4])),
        RowPart(str(table), "path", 0, 7, table.stat().st_size),
    ]
    shards = cut(parts, 3)
    assert [len(part) for part in shards] == [3, 2, 3, 3, 1]
    assert shards[3] == RowPart(str(table), "path", 3, 3, table.stat().st_size)
    assert msgspec.json.decode(msgspec.json.encode(shards), type=list[Part]) == shards


def test_the_digest_knows_names_order_and_sizes(tmp_path):
    one, other = PathPart(("a", "b")), PathPart(("b", "a"))
    table = RowPart("t.parquet", "path", 0, 5, 100)
    bigger = RowPart("t.parquet", "path", 0, 5, 101)
    digests = [inputs_digest(p) for p in ([one], [other], [one, table], [one, bigger], [table])]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("group", [3, 50, 1000])
@pytest.mark.parametrize(("first", "count"), [(0, 300), (7, 200), (130, 1), (299, 1), (150, 150)])
def test_rows_are_those_asked_for(group, first, count, tmp_path):
    names = [f"{number:03d}.png" for number in range(300)]
    path = write_rows(tmp_path / "t.parquet", "file", names, pa.string(), group=group)
    part = RowPart(str(path), "file", first, count, path.stat().st_size)
    groups = list(chunks(part, "/base", Fetcher()))
    assert [image.name for group in groups for image in group] == names[first : first + count]
    assert all(len(group) == CHUNK for group in groups[:-1])
    assert groups[0][0].source == f"/base/{names[first]}"


def test_a_column_holds_paths_bytes_or_both(tmp_path):
    (file,) = write_class(tmp_path / "a", "dot", 1, first=3)
    encoded, pixels = file.read_bytes(), small_image("dot", 3)
    both = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for name, values, kind in (
        ("bytes", [encoded], pa.binary()),
        ("large", [encoded], pa.large_binary()),
        ("both", [{"bytes": encoded, "path": "named.png"}], both),
        ("linked", [{"bytes": None, "path": str(file)}], both),
        ("paths", [str(file)], pa.large_string()),
        ("categories", [str(file)], pa.dictionary(pa.int32(), pa.string())),
    ):
        path = write_rows(tmp_path / f"{name}.parquet", "image", [*values, None], kind)
        (part,) = find_inputs([str(path)], "image")
        one, nothing = named(part)
        assert (read_pixels(one.source) == pixels).all(), name
        expected = {"both": "named.png", "bytes": f"{path}#0", "large": f"{path}#0"}
        assert one.name == expected.get(name, str(file))
        with pytest.raises(Exception, match="names no image"):
            read_pixels(nothing.source)
        assert nothing.name == f"{path}#1"


def test_relative_paths_begin_from_where_the_command_ran(tmp_path, monkeypatch):
    (file,) = write_class(tmp_path / "a", "dot", 1)
    write_rows(tmp_path / "t.parquet", "path", ["a/000.png"], pa.string())
    monkeypatch.chdir(tmp_path)
    (part,) = find_inputs(["t.parquet"], "path")
    monkeypatch.chdir("/")
    (image,) = named(part, tmp_path)
    assert (image.name, image.source) == ("a/000.png", str(file))


def test_wrong_tables_are_told_with_what_to_do(tmp_path):
    table = write_rows(tmp_path / "t.parquet", "url", ["a.png"], pa.string())
    with pytest.raises(DataError, match="no column 'path'; name one of id, url with --column"):
        find_inputs([str(table)], "path")
    with pytest.raises(DataError, match=r"holds int64; give one with paths"):
        find_inputs([str(table)], "id")
    (tmp_path / "no.parquet").write_text("not Parquet")
    with pytest.raises(DataError, match=r"no\.parquet: "):
        find_inputs([str(tmp_path / "no.parquet")], "path")
    with pytest.raises(DataError, match="check the path"):
        find_inputs([str(tmp_path / "gone.parquet")], "path")
    with pytest.raises(DataError, match="matches no Parquet file"):
        find_inputs([str(tmp_path / "gone*.parquet")], "path")
    with pytest.raises(DataError, match="have no rows"):
        find_inputs([str(write_rows(tmp_path / "e.parquet", "path", [], pa.string()))], "path")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_results_are_no_inputs(tmp_path):
    table = write_rows(tmp_path / "a.parquet", "path", ["x.png"], pa.string())
    (tmp_path / "out").mkdir()
    write_rows(tmp_path / "out" / "part-00000.parquet", "path", ["x.png"], pa.string())
    (part,) = find_inputs([str(tmp_path / "**/*.parquet")], "path", output=str(tmp_path / "out"))
    assert part.file == str(table)


def test_masks_behind_urls_are_not_told_and_that_is_said(clean_memory):
    for name in ("b/1.png", "b/1_mask.png"):
        clean_memory.pipe_file(f"/{name}", b"")
    told = Told()
    assert len(_paths(find_inputs(["memory://b"], "path", told))) == 2
    assert told.notes == ["Masks behind URLs are not recognised: all images are scored."]


class Told(Callback):
    def __init__(self):
        self.notes = []

    def on_note(self, text):
        self.notes.append(text)


def test_a_state_knows_sizes_and_times(tmp_path):
    paths = write_class(tmp_path, "good", 2)
    part = PathPart((paths[0].name, "memory://b/1.png", "gone.png", "\0"))
    before = state_of(part, str(tmp_path))
    assert state_of(part, str(tmp_path)) == before
    os.utime(paths[1])
    assert state_of(part, str(tmp_path)) == before
    status = paths[0].stat()
    os.utime(paths[0], ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert state_of(part, str(tmp_path)) != before


def test_urls_are_searched_like_folders(tmp_path, clean_memory):
    encoded = write_class(tmp_path, "good", 1)[0].read_bytes()
    for name in ("b/2.png", "b/1.JPG", "b/.hidden/3.png", "b/notes.txt", "b/c/4.png"):
        clean_memory.pipe_file(f"/{name}", encoded)
    found = ("memory://b/1.JPG", "memory://b/2.png", "memory://b/c/4.png")
    assert _paths(find_inputs(["memory://b"], "path")) == found
    assert _paths(find_inputs(["memory://b/", "memory://b/2.png"], "path")) == found
    assert _paths(find_inputs(["memory://b/*.png"], "path")) == found[1:2]
    assert _paths(find_inputs(["memory://gone.png"], "path")) == ("memory://gone.png",)
    with pytest.raises(DataError, match="nothing to score at memory://empty"):
        find_inputs(["memory://empty"], "path")
    with pytest.raises(ConfigurationError, match="chained"):
        find_inputs(["zip://x.png::memory://a.zip"], "path")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        find_inputs(["nosuch://x.png"], "path")


def _paths(parts):
    (part,) = parts
    return tuple(path.replace("memory:///", "memory://") for path in part.paths)
