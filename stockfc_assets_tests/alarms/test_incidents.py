"""The book of incidents: each is told once, whatever fails in between; and once more when it is over."""

import datetime as dt
import json
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stockfc_assets.alarms.book import KEY, TextStore, evaluate, read_incidents
from stockfc_assets.alarms.channels import DeliveryError
from stockfc_assets.alarms.conditions import Condition
from stockfc_assets.alarms.incidents import (
    CLAIM_SECONDS,
    KEPT_ENDED,
    WITHDRAWN,
    Book,
    book_document,
    observe,
    read_book,
)
from stockfc_assets.running_settings import S3Storage
from stockfc_assets.storage.local import LocalStore
from stockfc_assets.storage.s3 import S3Store

NOW = dt.datetime(2026, 2, 6, 14, 45, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
BAD, GOOD = (
    Condition("stale_forecast", False, "the newest is of Monday"),
    Condition("stale_forecast", True, "it is there"),
)


class Crash(BaseException):
    """The process is gone."""


class Recorder:
    """A channel that keeps what it was sent, as (kind, number)."""

    def __init__(self, fails=False, seconds=0.0):
        self.sent, self.fails, self.seconds = [], fails, seconds

    def send(self, news):
        time.sleep(self.seconds)
        if self.fails:
            raise DeliveryError("webhook: it answered 500")
        self.sent += [(each.kind, each.incident.number) for each in news]


def look(store, found, channel, now=NOW, **options):
    channels = channel if isinstance(channel, dict) else {"log": channel}
    return evaluate(store, found, channels, now=now, who=options.pop("who", f"{now}"), **options)


def test_an_incident_is_told_once_and_its_recovery_once():
    store, channel = TextStore(), Recorder()
    for minute, state in enumerate([GOOD, BAD, BAD, BAD, GOOD, GOOD]):
        look(store, [state], channel, NOW + minute * MINUTE)
    assert channel.sent == [("began", 1), ("ended", 1)]
    (incident,) = read_incidents(store)
    assert (incident.began, incident.seen, incident.ended) == (NOW + MINUTE, NOW + 3 * MINUTE, NOW + 4 * MINUTE)
    assert incident.duration == 3 * MINUTE
    assert (incident.message, incident.ending) == (BAD.message, GOOD.message)
    look(store, [BAD], channel, NOW + 9 * MINUTE)
    assert channel.sent[2:] == [("began", 2)]


def test_while_nothing_is_wrong_nothing_is_written(tmp_path):
    store = LocalStore(tmp_path)
    assert not look(store, [GOOD], Recorder()).open
    assert not store.exists(KEY)


def test_a_condition_that_was_not_judged_leaves_its_incident_open():
    store, channel = TextStore(), Recorder()
    look(store, [BAD], channel)
    assert [each.name for each in look(store, [], channel, NOW + MINUTE).open] == ["stale_forecast"]
    done = look(store, [], channel, NOW + 2 * MINUTE, complete=["stale_forecast"])
    assert not done.open
    assert read_incidents(store)[0].ending == WITHDRAWN


def test_subjects_of_one_name_are_incidents_of_their_own():
    store, channel = TextStore(), Recorder()
    both = [
        Condition("run_failed", False, "x", "daily 2026-02-05"),
        Condition("run_failed", False, "y", "daily 2026-02-06"),
    ]
    look(store, both, channel)
    look(store, [both[0], replace(both[1], ok=True)], channel, NOW + MINUTE)
    assert channel.sent == [("began", 1), ("began", 2), ("ended", 2)]


def test_a_failed_delivery_is_tried_again_and_the_other_channel_is_not_told_twice():
    store, broken, well = TextStore(), Recorder(fails=True), Recorder()
    first = look(store, [BAD], {"webhook": broken, "log": well})
    assert first.failures == {"webhook": "webhook: it answered 500"}
    broken.fails = False
    look(store, [GOOD], {"webhook": broken, "log": well}, NOW + MINUTE)
    assert broken.sent == well.sent == [("began", 1), ("ended", 1)]


def test_a_channel_that_is_set_up_later_hears_of_what_is_open_and_not_of_the_past():
    store, log, new = TextStore(), Recorder(), Recorder()
    look(store, [BAD], log)
    look(store, [GOOD], log, NOW + MINUTE)
    look(store, [BAD], log, NOW + 2 * MINUTE)
    look(store, [BAD], {"log": log, "sns": new}, NOW + 3 * MINUTE)
    assert new.sent == [("began", 2)]
    assert log.sent == [("began", 1), ("ended", 1), ("began", 2)]


def test_with_repeat_it_is_told_again_after_so_long_and_otherwise_never():
    for repeat, expected in [(None, []), (dt.timedelta(days=2), [("goes on", 1)] * 2)]:
        store, channel = TextStore(), Recorder()
        for day in range(6):
            look(store, [BAD], channel, NOW + dt.timedelta(days=day), repeat=repeat)
        assert channel.sent == [("began", 1), *expected]


def test_the_claim_of_a_killed_evaluator_ends_and_a_clock_set_back_does_not_prolong_it():
    class Killed:
        def send(self, news):
            raise Crash

    for later in (dt.timedelta(seconds=CLAIM_SECONDS), -dt.timedelta(hours=3)):
        store, channel = TextStore(), Recorder()
        with pytest.raises(Crash):
            look(store, [BAD], Killed(), who="killed")
        assert look(store, [BAD], channel, NOW + MINUTE, who="second").deferred
        assert channel.sent == []
        look(store, [BAD], channel, NOW + later, who="third")
        assert channel.sent == [("began", 1)]


def test_a_clock_that_was_set_back_makes_no_negative_duration():
    store, channel = TextStore(), Recorder()
    look(store, [BAD], channel)
    look(store, [GOOD], channel, NOW - dt.timedelta(days=40))
    assert channel.sent == [("began", 1), ("ended", 1)]
    assert read_incidents(store)[0].duration == dt.timedelta(0)


def test_a_damaged_book_is_begun_anew_so_that_what_is_wrong_is_told_again(tmp_path):
    store, channel = LocalStore(tmp_path), Recorder()
    look(store, [BAD], channel)
    for damage in (b"", b"{}", b"[1]", b'{"claim": null, "next_number": 1, "incidents": [{"number": 1}]}', b"\xff\xfe"):
        store.write_bytes(KEY, damage)
        channel.sent.clear()
        look(store, [BAD], channel, NOW + MINUTE)
        assert channel.sent == [("began", 1)]


def test_only_the_newest_that_are_over_are_kept_and_none_that_is_owed():
    book, now = Book(), NOW
    for _ in range(KEPT_ENDED + 5):
        book = observe(book, [BAD], [], now)
        book = observe(book, [GOOD], [], now)
    book = observe(book, [BAD], [], now)
    assert [each.number for each in book.incidents] == list(range(6, KEPT_ENDED + 7))
    owed_to_one = Book()
    for _ in range(KEPT_ENDED + 5):
        owed_to_one = observe(observe(owed_to_one, [BAD], ["log"], now), [GOOD], ["log"], now)
    assert len(owed_to_one.incidents) == KEPT_ENDED + 5


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_of_many_evaluators_at_once_one_tells(kind, tmp_path, request):
    if kind == "s3":
        bucket = request.getfixturevalue("bucket")
        stores = [S3Store(S3Storage(kind="s3", bucket=bucket)) for _ in range(6)]
    else:
        stores = [LocalStore(tmp_path) for _ in range(6)]
    channel = Recorder(seconds=0.05)
    for state, expected in [(BAD, [("began", 1)]), (GOOD, [("began", 1), ("ended", 1)])]:
        threads = [
            threading.Thread(target=look, args=(store, [state], channel), kwargs={"who": f"{state.ok} {index}"})
            for index, store in enumerate(stores)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert channel.sent == expected


# --- the law ----------------------------------------------------------------------------------------------------------

KEYS = ("a", "b")
STEPS = st.lists(
    st.tuples(
        st.fixed_dictionaries({key: st.sampled_from([True, False, None]) for key in KEYS}),
        st.sampled_from(["runs through"] * 4 + ["before saving", "before telling", "after telling", "cannot tell"]),
        st.sampled_from([0, 1, 60, 130, 86_400, -5, -90_000]),
    ),
    max_size=14,
)


class Faulty(TextStore):
    """Dies at the save of this number (1 = what was seen, 2 = what was told)."""

    def __init__(self, dies_at=0):
        super().__init__()
        self.dies_at, self.saves = dies_at, 0

    def replace_if(self, key, data, version):
        self.saves += 1
        if self.saves == self.dies_at:
            raise Crash
        return super().replace_if(key, data, version)


@given(STEPS)
@hypothesis_settings(deadline=None, max_examples=400)
def test_each_incident_is_told_and_without_a_crash_exactly_once(steps):
    store, channel, now = Faulty(), Recorder(), NOW
    state, began, ended = dict.fromkeys(KEYS, True), Counter(), Counter()

    class Dies:
        def send(self, news):
            raise Crash

    def step(found, fault, number):
        store.saves, store.dies_at = 0, {"before saving": 1, "after telling": 2}.get(fault, 0)
        channel.fails = fault == "cannot tell"
        chosen = Dies() if fault == "before telling" else channel
        conditions = [Condition(key, ok, f"{key} {ok}") for key, ok in found.items() if ok is not None]
        saved = fault != "before saving"
        try:
            look(store, conditions, chosen, now, who=str(number))
        except Crash:
            pass
        else:
            saved = True
        if saved:
            for key, ok in found.items():
                began[key] += state[key] and ok is False
                ended[key] += not state[key] and ok is True
                state[key] = state[key] if ok is None else ok

    for number, (found, fault, seconds) in enumerate(steps):
        now += dt.timedelta(seconds=seconds)
        step(found, fault, number)
    for number in (-1, -2):
        now += dt.timedelta(seconds=2 * CLAIM_SECONDS + 100_000)
        step({}, "runs through", number)

    incidents = read_incidents(store)
    assert Counter(each.name for each in incidents) == +began
    assert Counter(each.name for each in incidents if each.ended) == +ended
    told = Counter(channel.sent)
    twice = sum(fault == "after telling" for _, fault, _ in steps)
    for incident in incidents:
        assert 1 <= told["began", incident.number] <= 1 + twice
        assert bool(told["ended", incident.number]) == (incident.ended is not None)
        assert told["ended", incident.number] <= 1 + twice
        kinds = [kind for kind, number in channel.sent if number == incident.number]
        assert kinds[0] == "began"
    assert {number for _, number in told} == {incident.number for incident in incidents}


@given(STEPS)
@hypothesis_settings(deadline=None, max_examples=50)
def test_the_book_is_read_back_as_it_was_written(steps):
    book = Book()
    for found, _, seconds in steps:
        states = [Condition(key, ok, "é\n", key * 2) for key, ok in found.items() if ok is not None]
        book = observe(book, states, ["log", "sns"], NOW + dt.timedelta(seconds=seconds))
    assert read_book(json.loads(json.dumps(book_document(book)))) == book
