"""Masks are told from photographs, and photographs are never taken for masks."""

import numpy as np
import pytest
from PIL import Image

from ahl._common.errors import DataError
from ahl.data.images.finding import expand_paths, find_photographs

SIDE = 24


def photograph(number: int) -> Image.Image:
    values = np.random.default_rng(number).integers(40, 216, (SIDE, SIDE), dtype=np.uint8)
    return Image.fromarray(values)


def mask(number: int, *, empty: bool = False) -> Image.Image:
    values = np.zeros((SIDE, SIDE), np.uint8)
    if not empty:
        values[4 : 8 + number % 5, 4:9] = 255
    return Image.fromarray(values)


def put(root, pictures):
    for name, picture in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(root / name, quality=95)
    return root


def parts(kind, suffix="jpg", count=5):
    return {f"{kind}/{kind}{n}.{suffix}": photograph(n) for n in range(count)}


def masks(names, count=5, *, empty=False):
    return {names.format(n): mask(n, empty=empty) for n in range(count)}


def names(paths, root):
    return sorted(path.relative_to(root).as_posix() for path in paths)


BESIDE = {
    "ending": ["{0}/{0}{{0}}_mask.png"],
    "capitals": ["{0}/{0}{{0}}_GT.bmp"],
    "numbered": ["{0}/{0}{{0}}_mask1.png", "{0}/{0}{{0}}_mask2.png"],
    "label": ["{0}/{0}{{0}}_label.bmp"],
    "dash": ["{0}/{0}{{0}}-mask.png"],
    "same name": ["{0}/{0}{{0}}.png"],
    "folder": ["masks/{0}/{0}{{0}}.png"],
    "folder in a class": ["{0}/mask/{0}{{0}}.png"],
    "folder of labels": ["labels/{0}/{0}{{0}}.png"],
    "ground truth": ["Ground Truth/{0}/{0}{{0}}_mask.png"],
    "any folder": ["annot/{0}/{0}{{0}}.png"],
    "jpeg": ["masks/{0}/{0}{{0}}.jpg"],
    "jpeg in any folder": ["annot/{0}/{0}{{0}}.jpg"],
}


@pytest.mark.parametrize("way", BESIDE)
def test_masks_beside_photographs_are_masks_of_these(tmp_path, way):
    photographs = parts("good") | parts("crack")
    made = {}
    for pattern in BESIDE[way]:
        made |= masks(pattern.format("crack")) | masks(pattern.format("good"), empty=True)
    put(tmp_path, photographs | made)
    found = find_photographs(tmp_path)
    assert names(found.images, tmp_path) == sorted(photographs)
    assert names(found.masks, tmp_path) == sorted(made)
    for path, its_masks in found.masks_of.items():
        assert len(its_masks) == len(BESIDE[way])
        assert all(path.stem in one.stem for one in its_masks)
    assert len(found.masks_of) == 10
    (note,) = found.notes(tmp_path)
    assert note.startswith(f"{len(made)} masks are kept apart from the images: ")
    for folder in {name.rpartition("/")[0] for name in made}:
        assert f"{5 * len(BESIDE[way])} in {folder}" in note


def test_numbered_names_pair_within_their_class(tmp_path):
    """As in MVTec AD: every class begins with 000."""
    photographs = {f"test/{kind}/{n:03}.png": photograph(n) for kind in "abc" for n in range(3)}
    made = {f"ground_truth/{kind}/{n:03}_mask.png": mask(n) for kind in "ab" for n in range(3)}
    put(tmp_path, photographs | made)
    found = find_photographs(tmp_path)
    for path, (of,) in found.masks_of.items():
        assert (of.parent.name, of.stem) == (path.parent.name, f"{path.stem}_mask")
    assert len(found.masks_of) == len(made)


def test_a_mask_without_its_photograph_belongs_to_no_other(tmp_path):
    put(tmp_path, {"test/good/000.png": photograph(0), "ground_truth/hole/000_mask.png": mask(0)})
    found = find_photographs(tmp_path)
    assert names(found.images, tmp_path) == ["test/good/000.png"]
    assert found.masks_of == {}


PHOTOGRAPHS = {
    "numbered classes": {f"{k}/{n:03}.png": photograph(n) for k in ("good", "a") for n in range(4)},
    "a class called label": {
        f"{k}/{n:03}.png": photograph(n) for k in ("good", "label") for n in range(4)
    },
    "a class called mask": {
        f"{k}/{n:03}.png": photograph(n) for k in ("good", "mask") for n in range(4)
    },
    "photographs of labels": {
        f"good/bottle{n}{end}.jpg": photograph(n) for n in range(4) for end in ("", "_label")
    },
    "two suffixes": {f"good/{n}.{end}": photograph(n) for n in range(4) for end in ("jpg", "png")},
    "all of two tones": {f"{k}/{n}.png": mask(n) for k in ("good", "bad") for n in range(4)},
    "two suffixes of two tones": {
        f"good/{n}.{end}": mask(n) for n in range(4) for end in ("bmp", "png")
    },
    "a class called mask of two tones and other names": {
        **{f"good/{n}.png": photograph(n) for n in range(4)},
        **{f"mask/m{n}.png": mask(n) for n in range(4)},
    },
    "black frames": {
        **{f"good/{n}.png": photograph(n) for n in range(4)},
        **{f"dark/{n}.png": mask(n, empty=True) for n in range(4)},
    },
    "silhouettes of another size": {
        **{f"good/{n}.png": photograph(n) for n in range(4)},
        **{f"shape/{n}.png": mask(n).resize((30, 40), Image.Resampling.NEAREST) for n in range(4)},
    },
}


@pytest.mark.parametrize("case", PHOTOGRAPHS)
def test_photographs_stay_photographs(tmp_path, case):
    put(tmp_path, PHOTOGRAPHS[case])
    found = find_photographs(tmp_path)
    assert names(found.images, tmp_path) == sorted(PHOTOGRAPHS[case])
    assert found.masks == ()


def test_photographs_that_are_named_like_masks_are_said(tmp_path):
    put(tmp_path, PHOTOGRAPHS["photographs of labels"])
    (note,) = find_photographs(tmp_path).notes(tmp_path)
    assert note.startswith(
        "Counted as photographs, though named like masks: good/bottle0_label.jpg"
    )
    assert note.endswith("(they look like photographs).")


def test_a_name_with_mask_and_no_partner_is_an_image(tmp_path):
    put(tmp_path, {"good/face_mask.png": photograph(0), "good/masked part.png": photograph(1)})
    found = find_photographs(tmp_path)
    assert len(found.images) == 2
    assert found.notes() == []
    put(tmp_path, {"good/x_mask.png": mask(0)})
    found = find_photographs(tmp_path)
    assert len(found.images) == 3
    assert found.notes(tmp_path) == [
        "Counted as photographs, though named like masks: good/x_mask.png "
        "(two tones, but no photograph of that name)."
    ]


def test_a_pattern_that_matches_masks_alone_knows_their_photographs(tmp_path):
    put(tmp_path, parts("crack") | masks("crack/crack{}_mask.png"))
    with pytest.raises(DataError, match=r"matches no image.*5 masks are kept apart"):
        expand_paths([str(tmp_path / "crack" / "*.png")])
    assert len(expand_paths([str(tmp_path / "crack" / "*.jpg")]).images) == 5


def test_masks_named_beside_their_photographs_as_shells_do_are_masks(tmp_path, monkeypatch):
    put(tmp_path, parts("crack") | masks("crack/crack{}_mask.png"))
    monkeypatch.chdir(tmp_path)
    every = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "crack").iterdir())
    found = expand_paths([*every, str(tmp_path / "crack" / "crack0_mask.png"), "gone.png"])
    assert [str(path) for path in found.images] == [
        *(n for n in every if "mask" not in n),
        "gone.png",
    ]
    assert len(found.masks) == 5
    alone = [name for name in every if "mask" in name]
    assert [str(path) for path in expand_paths(alone).images] == alone, "asked for"


def test_a_folder_of_masks_that_is_named_itself_is_taken_as_it_is(tmp_path):
    put(tmp_path, parts("crack") | masks("masks/crack{}.png"))
    assert len(expand_paths([str(tmp_path / "masks")]).images) == 5


def test_unreadable_masks_are_masks_by_their_names(tmp_path):
    put(tmp_path, parts("crack"))
    for number in range(5):
        (tmp_path / "crack" / f"crack{number}_mask.png").write_bytes(b"")
    assert len(find_photographs(tmp_path).images) == 5


def test_only_a_few_pictures_are_decoded(tmp_path, monkeypatch):
    import ahl.data.images.mask_files as mask_files

    read = []
    original = mask_files.read_pixels
    monkeypatch.setattr(mask_files, "read_pixels", lambda path: read.append(path) or original(path))
    put(tmp_path, parts("good", count=40) | parts("bad", count=40))
    find_photographs(tmp_path)
    assert read == []
    put(tmp_path, masks("masks/good/good{}.png", count=40))
    find_photographs(tmp_path)
    assert len(read) == 3
