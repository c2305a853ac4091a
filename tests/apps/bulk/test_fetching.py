"""Images that lie elsewhere than in the file system read like files."""

import pytest

from ahl._common.errors import ImageError
from ahl._common.types import EncodedImage
from ahl.apps.bulk.fetching import AHEAD, Fetcher
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


class Pool:
    """Runs what is submitted at once, and remembers it."""

    def __init__(self):
        self.urls = []

    def submit(self, function, url):
        from concurrent.futures import Future

        self.urls.append(url)
        future = Future()
        future.set_result(url.encode())
        return future


def test_no_more_than_some_are_fetched_ahead():
    urls = [f"memory://{number}.png" for number in range(100)]
    pool = Pool()
    sources = Fetcher().sources(urls, pool)
    assert pool.urls == [], "nothing is fetched before it is read"
    for number in (0, 1, 5, 3):
        assert sources[number].fetch() == urls[number].encode()
    assert pool.urls == urls[: 5 + AHEAD]
    assert [source.fetch() for source in sources[6:]] == [url.encode() for url in urls[6:]]
    assert pool.urls == urls, "each once"


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
        there, gone = fetcher.sources(["memory://a.png", "memory://b.png"], pool)
        assert there.fetch() == b"bytes"
        with pytest.raises(ImageError, match="no such file"):
            gone.fetch()
    assert (len(failures), fetcher.failed) == (2, 0), "what is not there is no failure to fetch"
