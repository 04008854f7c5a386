"""Two writers at once: a whole file of one of them, and latest.json never goes back in time."""

import datetime as dt
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from stockfc_assets.forecasts.daily import LATEST, DailyForecaster
from stockfc_assets.running_settings import S3Storage
from stockfc_assets.storage import LocalStore
from stockfc_assets.storage.s3 import S3Store
from stockfc_assets.storage.warehouse import document_bytes

pytestmark = pytest.mark.service

D = dt.date
FRIDAY, MONDAY = D(2024, 3, 1), D(2024, 3, 4)


def document(session: D) -> bytes:
    at = dt.datetime.combine(session, dt.time(23))
    return document_bytes(
        {"timestamp": at.isoformat(), "session": session.isoformat(), "num_predictions": 0, "predictions": []}
    )


def publish(store, session: D) -> bool:
    """Only the move of latest.json; the rest of a forecaster is not looked at."""
    forecaster = SimpleNamespace(warehouse=SimpleNamespace(store=store))
    return DailyForecaster._move_latest(forecaster, session, document(session))


@pytest.fixture(params=["local", "s3"])
def open_one(request, tmp_path):
    """Opens a store of one's own onto the same files, as another process would."""
    if request.param == "local":
        return lambda: LocalStore(tmp_path)
    bucket = request.getfixturevalue("bucket")
    return lambda: S3Store(S3Storage(kind="s3", bucket=bucket))


@pytest.mark.parametrize("start", [None, D(2024, 2, 29)])
def test_two_sessions_published_at_once_leave_the_later_one_whoever_writes_last(open_one, start):
    """Both have read latest.json before either writes it; the earlier session's write comes last."""
    if start:
        publish(open_one(), start)
    both_have_read, later_is_written = threading.Barrier(2), threading.Event()
    first, second = open_one(), open_one()

    def meeting(store, wait):
        replace, met = store.replace_if, []

        def replace_if(*arguments):
            if not met:
                met.append(True)
                both_have_read.wait(30)
                if wait:
                    later_is_written.wait(30)
            try:
                return replace(*arguments)
            finally:
                if not wait:
                    later_is_written.set()

        store.replace_if = replace_if
        return store

    with ThreadPoolExecutor(2) as pool:
        earlier = pool.submit(publish, meeting(first, True), FRIDAY)
        later = pool.submit(publish, meeting(second, False), MONDAY)
        assert (earlier.result(), later.result()) == (False, True)
    assert open_one().read_bytes(LATEST) == document(MONDAY)


def test_however_many_at_once_the_newest_session_stays(open_one):
    draw = random.Random(7)
    sessions = [D(2024, 1, 1) + dt.timedelta(days=draw.randrange(60)) for _ in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda session: publish(open_one(), session), sessions))
    assert open_one().read_bytes(LATEST) == document(max(sessions))


def test_two_writers_of_one_file_leave_the_whole_of_one(open_one):
    contents = [bytes([number]) * 200_000 for number in range(8)]
    seen = []
    store = open_one()
    store.write_bytes("a.bin", contents[0])
    with ThreadPoolExecutor(9) as pool:
        writes = [pool.submit(open_one().write_bytes, "a.bin", content) for content in contents for _ in range(5)]
        while not all(write.done() for write in writes):
            seen.append(store.read_bytes("a.bin"))
    assert all(write.exception() is None for write in writes)
    assert set(seen) <= set(contents)
    assert store.read_bytes("a.bin") in contents
