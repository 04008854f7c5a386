import asyncio
import gzip
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from stockfc_assets.serving.answers import Answer, Shelf

BODY = b"0123456789abcdef" * 64
TAG = hashlib.sha256(BODY).hexdigest()[:32]


def asked(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": pairs})


def answered(**headers: str):
    return Answer.of(BODY).response(asked(**headers), "public, max-age=60")


# --- encoding and tags ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("", False), ("gzip", True), ("GZIP", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("gzip; q=0.000", False),
        ("gzip;q=0.001", True), ("*", True), ("*;q=0", False), ("gzip;q=0, *", False), ("identity", False), ("xgzip", False),
    ],
)  # fmt: skip
def test_gzip_is_sent_to_those_who_accept_it(accepted, zipped):
    response = answered(accept_encoding=accepted)
    assert response.headers.get("content-encoding") == ("gzip" if zipped else None)
    assert response.headers["etag"] == (f'"{TAG}-gzip"' if zipped else f'"{TAG}"')
    assert (gzip.decompress(response.body) if zipped else response.body) == BODY
    assert response.headers["vary"] == "Accept-Encoding"
    assert response.headers["content-length"] == str(len(response.body))


def test_the_same_content_has_the_same_gzip_bytes():
    assert Answer.of(BODY) == Answer.of(bytes(BODY))
    assert Answer.of(BODY).compressed[4:8] == bytes(4), "no time of day in it"


def test_a_short_body_is_not_compressed():
    assert Answer.of(b"short").compressed is None
    assert Answer.of(b"short").response(asked(accept_encoding="gzip"), "").body == b"short"


@pytest.mark.parametrize(
    ("known", "status"),
    [
        (f'"{TAG}"', 304), (f'W/"{TAG}"', 304), (f'"other", "{TAG}"', 304), ("*", 304),
        (f'"{TAG}-gzip"', 200), (TAG, 200), ('"other"', 200), ("", 200), (f'"{TAG}x"', 200),
    ],
)  # fmt: skip
def test_if_none_match(known, status):
    response = answered(if_none_match=known)
    assert response.status_code == status
    assert response.headers["etag"] == f'"{TAG}"'
    assert response.headers["cache-control"] == "public, max-age=60"
    assert response.body == (BODY if status == 200 else b"")


def test_the_gzip_form_has_a_tag_of_its_own():
    assert answered(if_none_match=f'"{TAG}-gzip"', accept_encoding="gzip").status_code == 304
    assert answered(if_none_match=f'"{TAG}"', accept_encoding="gzip").status_code == 200


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=2_000))
def test_what_is_sent_is_the_body(body):
    answer = Answer.of(body)
    assert answer.response(asked(), "").body == body
    if answer.compressed is not None:
        assert gzip.decompress(answer.response(asked(accept_encoding="gzip"), "").body) == body


# --- shelf ------------------------------------------------------------------------------------------------------------


class Source:
    """A file that counts how often it is looked at and read."""

    def __init__(self) -> None:
        self.token: str | None = "1"
        self.looked = self.read = 0

    def version(self) -> str | None:
        self.looked += 1
        return self.token

    def make(self) -> str:
        self.read += 1
        return f"content {self.token}"


def test_a_value_is_looked_at_once_in_its_time_and_read_once_per_version():
    source, now = Source(), [0.0]
    shelf: Shelf[str] = Shelf(5, clock=lambda: now[0])

    async def run() -> None:
        for at, expected in ((0, (1, 1)), (4.9, (1, 1)), (5, (2, 1)), (9.9, (2, 1)), (10, (3, 1))):
            now[0] = at
            assert await shelf.get("a", source.make, source.version) == "content 1"
            assert (source.looked, source.read) == expected
        source.token = "2"
        assert await shelf.get("a", source.make, source.version) == "content 1", "known for 5 seconds"
        now[0] = 15
        assert await shelf.get("a", source.make, source.version) == "content 2"
        assert source.read == 2

    asyncio.run(run())


def test_many_at_once_cost_one_read():
    source = Source()
    shelf: Shelf[str] = Shelf(5)

    async def run() -> None:
        values = await asyncio.gather(*(shelf.get("a", source.make, source.version) for _ in range(200)))
        assert set(values) == {"content 1"}

    asyncio.run(run())
    assert (source.looked, source.read) == (1, 1)


def test_without_a_version_a_value_is_made_again():
    source, now = Source(), [0.0]
    shelf: Shelf[str] = Shelf(5, clock=lambda: now[0])
    for at, reads in ((0, 1), (4, 1), (5, 2)):
        now[0] = at
        asyncio.run(shelf.get("a", source.make))
        assert source.read == reads


def test_an_error_is_told_and_not_kept():
    shelf: Shelf[int] = Shelf(5)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(shelf.get("a", lambda: 1 // 0))
    assert asyncio.run(shelf.get("a", lambda: 7)) == 7


def test_what_was_unused_for_longest_is_given_up_first():
    shelf: Shelf[int] = Shelf(60, capacity=3)

    async def run() -> None:
        for name in ("a", "b", "c", "a", "d"):
            await shelf.get(name, lambda: 0)
        made = []
        for name in ("a", "c", "d", "b"):
            await shelf.get(name, lambda name=name: made.append(name) or 0)
        assert made == ["b"]

    asyncio.run(run())
