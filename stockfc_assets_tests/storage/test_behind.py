"""WriteBehind: what was yielded is stored, in order, also when a later write fails; nothing reads what is older."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockfc_assets.storage.behind import WriteBehind


class SlowFiles:
    """Takes a while for each file, longer for the first ones, so that they would overtake one another."""

    def __init__(self, *, failing: frozenset[str] = frozenset()) -> None:
        self.content: dict[str, bytes] = {}
        self.failing = failing
        self.threads: set[int] = set()
        self._waits = iter([0.02, 0.01, 0.005] * 1000)

    def write(self, key: str, data: bytes) -> None:
        time.sleep(next(self._waits))
        self.threads.add(threading.get_ident())
        if key in self.failing:
            raise OSError(f"{key}: refused")
        self.content[key] = data


def making(behind: WriteBehind, names: list[str]) -> Iterator[int]:
    for number, name in enumerate(names):
        behind.send(name, str(number).encode())
        yield number


@given(names=st.lists(st.sampled_from("abcdef"), max_size=20), at_once=st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_the_end_is_that_of_writing_one_after_the_other(names, at_once):
    files = SlowFiles()
    behind = WriteBehind(files.write, at_once)
    yielded = []
    for number in behind.follow(making(behind, names)):
        assert int(files.content[names[number]]) >= number
        yielded.append(number)
    assert yielded == list(range(len(names)))
    assert files.content == {name: str(number).encode() for number, name in enumerate(names)}


def test_files_are_written_side_by_side_inside_and_at_once_outside():
    files = SlowFiles()
    behind = WriteBehind(files.write, 4)
    behind.send("before", b"")
    assert files.threads == {threading.get_ident()}
    list(behind.follow(making(behind, list("abcdefgh"))))
    assert len(files.threads - {threading.get_ident()}) == 4
    behind.send("after", b"")
    assert files.content["after"] == b""


def test_what_was_yielded_before_a_failure_is_stored_and_the_failure_is_raised_in_its_place():
    files = SlowFiles(failing=frozenset("d"))
    behind = WriteBehind(files.write, 2)
    yielded = []
    with pytest.raises(OSError, match="d: refused"):
        yielded.extend(behind.follow(making(behind, list("abcdef"))))
    assert yielded == [0, 1, 2]
    assert set("abc") <= set(files.content)
    assert "d" not in files.content
    # Afterwards it writes as if nothing had been.
    behind.send("g", b"7")
    assert files.content["g"] == b"7"


def test_a_consumer_that_stops_waits_for_what_is_on_its_way():
    files = SlowFiles()
    behind = WriteBehind(files.write, 2)
    following = behind.follow(making(behind, list("abcdefgh")))
    assert next(following) == 0
    following.close()
    assert list("abcde") == sorted(files.content)


def test_what_is_read_in_between_has_been_written():
    files = SlowFiles()
    behind = WriteBehind(files.write, 2)

    def reading() -> Iterator[bytes]:
        for number in range(10):
            behind.send("a", str(number).encode())
            behind.send("b", str(number).encode())
            behind.settle("a")
            yield files.content["a"]
            behind.settle()
            yield files.content["b"]

    assert list(behind.follow(reading())) == [str(number).encode() for number in range(10) for _ in "ab"]
