"""Images that lie elsewhere than in the file system read like files."""

import pytest

from ahl._common.errors import ImageError
from ahl._common.types import EncodedImage
from ahl.apps.bulk.fetching import CHUNK, Fetcher, chunks
from ahl.apps.bulk.inputs import PathPart
from ahl.data.images.reading import content_hash, read_pixels
from small_images import small_image, write_class


def encoded(data):
    return EncodedImage("x.png", lambda: data)


def test_bytes_read_and_hash_like_their_file(tmp_path):
    (path,) = write_class(tmp_path, "dot", 1, first=7)
    source = encoded(path.read_bytes())
    assert (read_pixels(source) == small_image("dot", 7)).all()
    assert content_hash(source) == content_hash(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "the file is empty"), (b"no image", "it is not a PNG"), (None, "truncated")],
)
def test_damaged_bytes_have_a_reason(data, reason, tmp_path):
    if data is None:
        data = write_class(tmp_path, "dot", 1)[0].read_bytes()[:200]
    with pytest.raises(ImageError, match=reason):
        read_pixels(encoded(data))


def test_a_failure_to_fetch_is_the_images_error():
    def fetch():
        raise ImageError("it could not be fetched (no network)")

    for read in (read_pixels, content_hash):
        with pytest.raises(ImageError, match="no network"):
            read(EncodedImage("x.png", fetch))


def test_no_more_than_a_chunk_is_fetched_ahead_and_each_image_once(clean_memory, monkeypatch):
    fetched = []

    def cat_file(self, path, **options):
        fetched.append(path)
        return path.encode()

    monkeypatch.setattr(type(clean_memory), "cat_file", cat_file)
    urls = [f"memory://{number}.png" for number in range(CHUNK + 10)]
    groups = chunks(PathPart(tuple(urls)), "/base", Fetcher())
    assert fetched == [], "nothing is fetched before it is asked for"
    for first, some in ((0, urls[:CHUNK]), (CHUNK, urls[CHUNK:])):
        images = next(groups)
        assert [image.name for image in images] == some
        for number, image in [*enumerate(images, first), *enumerate(images, first)]:
            assert image.source.fetch() == f"/{number}.png".encode()
        assert sorted(fetched) == sorted(f"/{n}.png" for n in range(first + len(some)))
    assert next(groups, None) is None


def test_what_fails_for_a_moment_is_tried_again(clean_memory, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from ahl.apps.bulk import fetching

    monkeypatch.setattr(fetching, "_PAUSES", (0.0, 0.0))
    clean_memory.pipe_file("/a.png", b"bytes")
    given, failures = type(clean_memory).cat_file, []

    def cat_file(self, path, **options):
        if len(failures) < 2:
            failures.append(path)
            raise TimeoutError("busy")
        return given(self, path, **options)

    monkeypatch.setattr(type(clean_memory), "cat_file", cat_file)
    fetcher = Fetcher()
    with ThreadPoolExecutor(1) as pool:
        there, gone = (fetcher.start(f"memory://{name}.png", pool) for name in "ab")
        assert there.fetch() == b"bytes"
        with pytest.raises(ImageError, match="no such file"):
            gone.fetch()
    assert (len(failures), fetcher.failed) == (2, 0), "what is not there is no failure to fetch"
