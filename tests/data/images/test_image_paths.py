"""Folders and patterns become image paths, in an order of their own."""

import random
from pathlib import Path

import pytest

from ahl._common.errors import DataError, ImageError
from ahl.data.images.finding import expand_paths, find_images, find_photographs
from ahl.data.images.formats import IMAGE_SUFFIXES
from ahl.data.images.reading import read_pixels

NAMES = ["b.png", "a/z.JPG", "a/b.tiff", "a-b/c.webp", "B.Png", "c/d/e.bmp", "é.jpe", "10.tif"]


def plant(root: Path, names: list[str]) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def relative(paths: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


@pytest.mark.parametrize("seed", range(4))
def test_order_is_that_of_the_names_however_the_files_came(tmp_path, seed):
    shuffled = random.Random(seed).sample(NAMES, len(NAMES))
    plant(tmp_path, shuffled)
    assert relative(find_images(tmp_path, recursive=True), tmp_path) == sorted(NAMES)
    flat = sorted(name for name in NAMES if "/" not in name)
    assert relative(find_images(tmp_path, recursive=False), tmp_path) == flat


def test_hidden_and_foreign_files_are_left_out(tmp_path):
    plant(tmp_path, [".a.png", "._b.png", ".git/c.png", "notes.txt", "png", "Thumbs.db", "d.svg"])
    assert find_images(tmp_path, recursive=True) == []
    plant(tmp_path, [f"image{suffix.upper()}" for suffix in IMAGE_SUFFIXES])
    assert len(find_images(tmp_path, recursive=True)) == len(IMAGE_SUFFIXES)


def test_every_common_format_is_found(tmp_path):
    """Those that every installation reads."""
    expected = "png jpg jpeg jpe jfif bmp tif tiff webp gif jp2 npy".split()  # noqa: SIM905
    assert {f".{suffix}" for suffix in expected} <= IMAGE_SUFFIXES


SYSTEM = [
    "@eaDir/a.png/SYNOPHOTO_THUMB_SM.jpg",
    "#recycle/b.png",
    "$RECYCLE.BIN/S-1/$R1.png",
    "lost+found/c.png",
    ".thumbnails/d.png",
    "System Volume Information/e.png",
    "__MACOSX/._f.png",
    "._g.png",
    "Thumbs.db",
    "desktop.ini",
    "inner/@EADIR/h.png",
]


def test_system_folders_and_files_are_passed_over(tmp_path):
    plant(tmp_path, [*SYSTEM, "inner/part.png"])
    for found in (find_photographs(tmp_path), expand_paths([str(tmp_path / "**")])):
        assert relative(found.images, tmp_path) == ["inner/part.png"]
        assert found.notes() == []


def test_what_is_passed_over_is_counted_by_suffix(tmp_path, monkeypatch):
    plant(tmp_path, ["a.png", "b.TXT", "c.txt", "d.csv", "README", "e.xyz"])
    monkeypatch.setattr(
        "ahl.data.images.found.MISSING", {".xyz": "pip install 'ahl[xyz]'"}, raising=True
    )
    (note,) = find_photographs(tmp_path).notes()
    assert note == (
        "5 files were left out, without an image's suffix: 2 .txt, 1 .csv, 1 .xyz "
        "(pip install 'ahl[xyz]' reads it), "
        "1 without a suffix."
    )
    left_out = r"holds no image \(PNG, .*1 file was left out, without an image's suffix: 1 \.md"
    with pytest.raises(DataError, match=left_out):
        expand_paths([str(plant_in(tmp_path / "texts", ["a.md"]))])


def plant_in(root: Path, names: list[str]) -> Path:
    plant(root, names)
    return root


def test_a_subfolder_that_cannot_be_listed_is_named_and_passed_over(tmp_path, monkeypatch):
    plant(tmp_path, ["a.png", "closed/b.png"])
    listed = Path.iterdir

    def deny(path):
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", deny)
    found = find_photographs(tmp_path)
    assert relative(found.images, tmp_path) == ["a.png"]
    assert found.unreadable == (tmp_path / "closed",)
    (note,) = found.notes(tmp_path)
    assert note == "1 folder was left out, which cannot be listed (no permission): closed."
    with pytest.raises(DataError, match=r"Cannot list the folder .*closed"):
        find_images(tmp_path, recursive=True)


def test_links_are_followed_once_and_loops_end(tmp_path):
    plant(tmp_path, ["data/one/a.png", "store/b.png"])
    data = tmp_path / "data"
    (data / "loop").symlink_to(data)
    (data / "one/loop").symlink_to(data / "two", target_is_directory=True)
    (data / "two").symlink_to(data / "one", target_is_directory=True)
    (data / "store").symlink_to(tmp_path / "store")
    (data / "self.png").symlink_to(data / "self.png")
    (data / "broken.png").symlink_to(tmp_path / "nowhere.png")
    names = relative(find_images(data, recursive=True), data)
    assert names == ["broken.png", "one/a.png", "self.png", "store/b.png"]
    for name in ("broken.png", "self.png"):
        with pytest.raises(ImageError):
            read_pixels(data / name)
    assert data / "one/a.png" in expand_paths([str(data / "**" / "*.png")]).images


def test_a_folder_that_cannot_be_listed_is_a_data_error(tmp_path, monkeypatch):
    plant(tmp_path, ["a.png"])
    for folder in (tmp_path / "missing", tmp_path / "a.png"):
        with pytest.raises(DataError, match="Cannot list"):
            find_images(folder, recursive=True)

    def deny(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", deny)
    with pytest.raises(DataError, match="Permission denied"):
        find_images(tmp_path, recursive=True)


def test_arguments_keep_their_order_and_every_path_comes_once(tmp_path):
    plant(tmp_path, ["z/2.png", "z/1.png", "a/x.png", "a/deep/y.jpg", "a/notes.txt"])
    arguments = [
        str(tmp_path / "z" / "2.png"),
        str(tmp_path / "a"),
        str(tmp_path / "z" / "*.png"),
        str(tmp_path / "a/../a/x.png"),
        str(tmp_path / "a" / "x.png"),
    ]
    assert relative(expand_paths(arguments).images, tmp_path) == [
        "z/2.png",
        "a/deep/y.jpg",
        "a/x.png",
        "z/1.png",
        "a/../a/x.png",
    ]
    assert expand_paths([]).images == ()


def test_the_first_spelling_of_a_path_stays(tmp_path, monkeypatch):
    plant(tmp_path, ["a.png"])
    monkeypatch.chdir(tmp_path)
    assert expand_paths(["./a.png", str(tmp_path / "a.png")]).images == (Path("a.png"),)


def test_patterns(tmp_path, monkeypatch):
    names = ["top.png", "a/1.png", "a/2.JPG", "a/b/3.png", "a/.h.png", ".c/4.png", "a/n.txt"]
    plant(tmp_path, names)
    monkeypatch.chdir(tmp_path)
    for pattern, expected in {
        "*.png": ["top.png"],
        "a/*": ["a/1.png", "a/2.JPG", "a/b/3.png"],
        "**/*.png": ["a/1.png", "a/b/3.png", "top.png"],
        "**": ["a/1.png", "a/2.JPG", "a/b/3.png", "top.png"],
        "?/[12].*": ["a/1.png", "a/2.JPG"],
        "a/../a/[!2].png": ["a/../a/1.png"],
        ".c/*.png": [".c/4.png"],
        f"{tmp_path.as_posix()}/a/b/*": [f"{tmp_path.as_posix()}/a/b/3.png"],
    }.items():
        assert [path.as_posix() for path in expand_paths([pattern]).images] == expected, pattern


def test_names_with_magic_characters_are_files_first(tmp_path):
    plant(tmp_path, ["part[1].png", "part1.png", "run[2]/a.png"])
    assert expand_paths([str(tmp_path / "part[1].png")]).images == (tmp_path / "part[1].png",)
    assert expand_paths([str(tmp_path / "run[2]")]).images == (tmp_path / "run[2]/a.png",)


def test_named_files_are_kept_for_reading_to_report(tmp_path):
    plant(tmp_path, ["notes.txt"])
    named = [str(tmp_path / "missing.png"), str(tmp_path / "notes.txt"), "x" * 5000]
    assert expand_paths(named).images == tuple(map(Path, named))


@pytest.mark.parametrize("name", ["gone", "gone.txt", "a\0b"])
def test_what_is_not_there_and_no_image_by_its_name_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="no file or folder"):
        expand_paths([f"{tmp_path}/{name}"])


@pytest.mark.parametrize("pattern", ["*.png", "none/*", "[", "a**b/*.png", "notes.*", "**/x.png"])
def test_patterns_without_images_are_refused(tmp_path, pattern):
    plant(tmp_path, ["notes.txt"])
    with pytest.raises(DataError, match="pattern"):
        expand_paths([str(tmp_path / pattern)])


def test_empty_folders_and_empty_arguments_are_refused(tmp_path):
    plant(tmp_path, ["sub/notes.txt"])
    with pytest.raises(DataError, match="holds no image"):
        expand_paths([str(tmp_path)])
    for empty in ("", "  "):
        with pytest.raises(DataError, match="empty"):
            expand_paths([empty])


def test_a_folder_named_like_an_image_is_a_folder(tmp_path):
    plant(tmp_path, ["odd.png/a.png"])
    assert find_images(tmp_path, recursive=False) == []
    assert relative(find_images(tmp_path, recursive=True), tmp_path) == ["odd.png/a.png"]
