"""What a person at a terminal asks for, as runs of the jobs on this data root's instance.

What belongs here: turning dates into partitions, refusing impossible ones, and running jobs. What does not: texts
(terminal.py) and the jobs' work (assets/). Concept: https://docs.dagster.io/guides/build/jobs/job-execution
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from stockfc_assets import terminal
from stockfc_assets.defs import jobs
from stockfc_assets.defs.abandoned import terminal_tags
from stockfc_assets.defs.build import build_definitions
from stockfc_assets.defs.diagnosis import diagnose
from stockfc_assets.defs.instance import TERMINAL_LOG, materialized, open_instance, run_job
from stockfc_assets.defs.partitions import month_of, next_month
from stockfc_assets.defs.resources import Platform, open_settings
from stockfc_assets.defs.status import status_document
from stockfc_assets.errors import DataError, InputError, RunError
from stockfc_assets.features.weeks import add_months
from stockfc_assets.forecasts.daily import LATEST, DailyForecaster, session_and_month
from stockfc_assets.forecasts.explanation import explanation_document
from stockfc_assets.forecasts.models import champion_before, champion_of
from stockfc_assets.forecasts.publication import read_document
from stockfc_assets.forecasts.session_record import session_record, superseded_forecast
from stockfc_assets.market.collect import unanswered
from stockfc_assets.market.quality.session import QUALITY
from stockfc_assets.settings import Settings


@contextmanager
def open_workbench(*, say: Callable[[str], Any], now: dt.datetime | None = None) -> Iterator[Workbench]:
    """Opens configuration and instance; ``say`` prints a line for the person."""
    settings = open_settings()
    with open_instance(settings) as instance:
        yield Workbench(settings, instance, say=say, now=now or dt.datetime.now(dt.UTC))


class Workbench:
    """``now`` is an aware time; every date that is asked for is checked against it before anything runs."""

    def __init__(
        self, settings: Settings, instance: dg.DagsterInstance, *, say: Callable[[str], Any], now: dt.datetime
    ) -> None:
        self.settings = settings
        self.instance = instance
        self.say = say
        self.now = now
        self.platform = Platform(settings, clock=lambda: self.now)

    @cached_property
    def definitions(self) -> dg.Definitions:
        return build_definitions(self.settings, platform=self.platform)

    # --- dates --------------------------------------------------------------------------------------------------------

    def newest_session(self) -> dt.date:
        return self.platform.newest_session(self.now)

    def session(self, date: dt.date | None) -> dt.date:
        """A finished session within the grid; the newest one by default."""
        if date is None:
            return self.newest_session()
        self.platform.calendar.require_closed_session(date, self.now)
        self._require_in_grid(date)
        if date > self.newest_session():
            raise InputError(f"session {date}: {self.platform.source.label} end on {self.newest_session()}")
        return date

    def session_range(self, start: dt.date, end: dt.date | None) -> list[str]:
        """Keys of the finished sessions from ``start`` to ``end`` (default: the newest); refuses impossible ranges."""
        newest = self.newest_session()
        if end is None and start > newest:
            raise InputError(f"--from {start}: the newest finished session with prices is {newest}")
        end = end or newest
        if end < start:
            raise InputError(f"--to {end} is before --from {start}; swap them")
        if end > newest:
            raise InputError(
                f"--to {end}: sessions after {newest} are not over yet or not in the source; use --to {newest} or earlier"
            )
        self._require_in_grid(start)
        keys = self.platform.sessions_between(start, end)
        if not keys:
            raise InputError(f"there is no session from {start} to {end} ({self.platform.calendar.why_closed(start)})")
        return keys

    def month(self, month: dt.date | None) -> dt.date:
        """A month within the grid that has begun in the grid's time zone; the current one by default."""
        current = month_of(self.now.astimezone(ZoneInfo(self.platform.calendar.profile.grid_zone)).date())
        if month is None:
            return current
        if month > current:
            raise InputError(f"month {month:%Y-%m} has not begun; the current one is {current:%Y-%m}")
        first = next_month(self.settings.environment.history_start)
        if month < first:
            raise InputError(f"month {month:%Y-%m} is before the first one, {first:%Y-%m} (history_start)")
        return month

    def _require_in_grid(self, date: dt.date) -> None:
        first = self.settings.environment.history_start
        if date < first:
            raise InputError(
                f"{date} is before history_start {first} of environment {self.settings.env!r}; "
                "choose a later date or set history_start earlier"
            )

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def backfill(self, start: dt.date, end: dt.date | None, *, force: bool = False) -> None:
        """Prices and features of the sessions that are not there yet, in one run.

        With ``force`` those that are there are materialised as well, and a remote source is asked for all of it again.
        """
        keys = self.session_range(start, end)
        if not force:
            there = materialized(self.instance, "raw_ohlcv") & materialized(self.instance, "weekly_features")
            complete = there - self._unanswered(keys)
            missing = [key for key in keys if key not in complete]
            if not missing:
                self.say(f"prices and features: {len(keys)} sessions, {keys[0]} to {keys[-1]}, are there already")
                return
            keys = keys[keys.index(missing[0]) : keys.index(missing[-1]) + 1]
        config = {"ops": {"raw_ohlcv": {"config": {"refetch": force}}}}
        self._run(jobs.HISTORY, keys, f"prices and features of {len(keys)} sessions", config)

    def _unanswered(self, keys: Sequence[str]) -> set[str]:
        """Sessions for which the price source still owes an answer: tickers that failed, or are new in the universe."""
        sessions = [dt.date.fromisoformat(key) for key in keys]
        lacking = unanswered(self.platform.warehouse, sessions, self.platform.fetched_tickers(sessions[0]))
        return {session.isoformat() for session in lacking}

    def daily(self, date: dt.date | None) -> dict[str, Any]:
        """Forecast, files and report of a session, with the sessions missed before it; returns the document."""
        session = self.session(date)
        self._fill_gap_before(session)
        self._run(jobs.DAILY_FORECAST, [session.isoformat()], "forecast")
        return self.document(session)

    def daily_range(self, start: dt.date, end: dt.date | None) -> None:
        """Forecasts of every session of a range, and the report of the last."""
        keys = self.session_range(start, end)
        self._run(jobs.FORECAST_HISTORY, keys, f"forecasts of {len(keys)} sessions")
        self._score_again(dt.date.fromisoformat(keys[0]))
        self.say(f"Report     {self.report(dt.date.fromisoformat(keys[-1]))}")

    def monthly(self, start: dt.date | None, end: dt.date | None, *, walk: bool) -> None:
        """The model of one month (by default `due_month`), or of every month of a walk, in one run."""
        first = self.month(start) if start else self.due_month()
        last = self.month(end) if walk else first
        if last < first:
            raise InputError(f"--to {last:%Y-%m} is before --from {first:%Y-%m}; swap them")
        months = [first]
        while months[-1] < last:
            months.append(next_month(months[-1]))
        what = "model" if len(months) == 1 else f"models of {len(months)} months"
        self._run(jobs.MONTHLY_MODEL, [month.isoformat() for month in months], what)
        record = self.platform.warehouse.read_json(f"champion_model/{last}.json", remedy="run it again")
        self.say(record["reason"])
        if stale := superseded_forecast(self.platform.warehouse):
            self.say(f"warning: {stale}")

    def due_month(self) -> dt.date:
        """The current month; or, where no model can serve the newest finished session, that session's.

        The two differ until the month's first session is over, and where prices end earlier.
        """
        current, needed = self.month(None), month_of(self.newest_session())
        if needed >= current or champion_before(self.platform.warehouse, next_month(needed)):
            return current
        self.say(
            f"the newest finished session is of {needed:%Y-%m}, for which no model serves yet: this makes that month's; "
            f"`stockfc monthly` makes that of {current:%Y-%m} then"
        )
        return needed

    def roll_back(self, to: dt.date, reason: str) -> None:
        """The model of the month ``to`` serves from today on, by a run that says why."""
        from stockfc_assets.evaluation.shadow import candidate

        current = self.month(None)
        if not reason.strip():
            raise InputError("--reason is empty; say why: it stands in the record")
        card = candidate(self.platform.warehouse, self.settings, self.month(to))
        standing = champion_of(self.platform.warehouse, current) or champion_before(self.platform.warehouse, current)
        if standing and standing["model"] and standing["model"]["id"] == card["model_id"]:
            raise InputError(f"--to {to:%Y-%m}: {card['model_id']} serves already")
        config = {"ops": {"champion_model": {"config": {"serve": f"{to:%Y-%m}", "reason": reason}}}}
        self._run(jobs.ROLL_BACK, [current.isoformat()], f"roll-back to the model of {to:%Y-%m}", config)
        self.say(self.gate(current)["reason"])

    def _score_again(self, first: dt.date) -> None:
        """Scores and backtests again, of months made before forecasts from ``first`` on were published that count them."""
        matured = add_months(first, 1)
        scored = self.platform.warehouse.partitions("forecast_scores", ".json")
        months = [key for key in scored if dt.date.fromisoformat(key) > matured]
        if months:
            self._run(jobs.FORECAST_SCORES, months, "scores" if len(months) == 1 else f"scores of {len(months)} months")

    def ensure_model(self, session: dt.date) -> None:
        """The model of the session's month, made unless it is there."""
        month = month_of(session)
        if month.isoformat() in materialized(self.instance, "champion_model"):
            self.say(f"model: {month:%Y-%m} is there already")
        else:
            self.monthly(month, None, walk=False)

    def ensure_forecast(self, session: dt.date) -> dict[str, Any]:
        """The session's forecast and report, made unless they are there."""
        if session.isoformat() in materialized(self.instance, "forecast_report"):
            self.say(f"forecast: {session} is there already")
            return self.document(session)
        return self.daily(session)

    def _fill_gap_before(self, session: dt.date) -> None:
        stored = [key for key in self.platform.warehouse.partitions("weekly_features") if key < session.isoformat()]
        if not stored:
            raise DataError(
                f"no prices are stored before {session}; run `stockfc backfill --from "
                f"{max(self.settings.environment.history_start, session.replace(year=session.year - 10, day=1))}` first"
            )
        gap = [
            key
            for key in self.platform.sessions_between(dt.date.fromisoformat(stored[-1]), session)
            if stored[-1] < key < session.isoformat()
        ]
        if gap:
            self._run(jobs.HISTORY, gap, f"{len(gap)} sessions missed before")

    def _run(self, job: str, keys: Sequence[str], what: str, config: Mapping[str, Any] | None = None) -> None:
        self.platform.claim_data_root()
        span = keys[0] if len(keys) == 1 else f"{keys[0]} to {keys[-1]}"
        self.say(f"{what}, {span} ...")
        outcome = run_job(self.definitions, self.instance, job, keys, config or {})
        if not outcome.success:
            said = "\n  ".join(outcome.messages) or "see the run in the UI"
            raise RunError(f"run {outcome.run_id} of {job} failed:\n  {said}")
        for message in outcome.messages:
            self.say(f"warning: {message}")
        self.say(f"{what}, {span}: done in {outcome.seconds:.1f} s")

    def _materialize(self, asset: str, keys: Sequence[str]) -> None:
        """Materialises one asset alone, over a partition or a range."""
        span = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        where = {"partition_key": keys[0]} if len(keys) == 1 else {}
        result = self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset)],
            run_config=TERMINAL_LOG,
            raise_on_error=False,
            tags=terminal_tags() | ({} if where else span),
            **where,
        )
        if not result.success:
            raise RunError(f"run {result.run_id} of {asset} failed; see the run in the UI")

    # --- looking ------------------------------------------------------------------------------------------------------

    def document(self, session: dt.date | None) -> dict[str, Any]:
        """A published forecast; the newest by default. Raises DataError with the remedy when there is none."""
        if session is not None:
            self.platform.calendar.require_closed_session(session, self.now)
        key = LATEST if session is None else f"predictions/{session}.json"
        remedy = "run `stockfc daily`" if session is None else f"run `stockfc daily --session {session}`"
        data = self.platform.warehouse.read_file(key, remedy=remedy)
        return read_document(data, location=self.platform.warehouse.store.location(key))

    def show(self, document: dict[str, Any], *, top: int) -> None:
        session, store = document["session"], self.platform.warehouse.store
        self.say(self.forecast_text(document, top=top))
        self.say("")
        self.say(f"Forecasts  {store.location(f'predictions/{session}.json')}")
        self.say(f"Report     {store.location(f'forecast_report/{session}.html')}")

    def forecast_text(self, document: Mapping[str, Any], *, top: int | None) -> str:
        """The forecast with its track record, baselines and backtest, as far as those of its month are stored."""
        record = session_record(self.platform.warehouse, dt.date.fromisoformat(document["session"]))
        stored = {"scores": record.scores, "backtest": record.backtest, "superseded_by": record.superseded_by}
        return terminal.forecast_text(document, top=top, **stored)

    def explain(self, ticker: str, session: dt.date | None) -> dict[str, Any]:
        """Which inputs moved a published forecast. Raises InputError when ``ticker`` was not forecast on that session."""
        published = self.document(session)
        if ticker not in {stock["ticker"] for stock in published["predictions"]}:
            reasons = {entry["ticker"]: entry["reason"] for entry in published["skipped"]}
            raise InputError(
                f"{ticker}: no forecast on {published['session']}: {reasons.get(ticker, 'not in the universe')}; "
                "`stockfc show` lists the stocks that have one"
            )
        explainer = self._forecaster(published["source"]).explainer(*session_and_month(published))
        return explanation_document(explainer.explain(ticker), published, self.settings.sectors)

    def drift(self, session: dt.date | None) -> dict[str, Any] | None:
        """How the inputs of a published session lie in its model's training; None where the model's card does not say."""
        published = self.document(session)
        return self._forecaster(published["source"]).drift(*session_and_month(published))

    def _forecaster(self, source: dict[str, Any]) -> DailyForecaster:
        return DailyForecaster(self.platform.warehouse, self.settings, self.platform.calendar, source=source)

    def judge_again(self, start: dt.date, end: dt.date | None) -> None:
        """The quality records of stored sessions, with the thresholds of today; nothing is fetched."""
        stored = set(self.platform.warehouse.partitions("raw_ohlcv"))
        keys = [key for key in self.session_range(start, end) if key in stored]
        if not keys:
            raise DataError(f"no prices are stored from {start} on; run `stockfc backfill --from {start}` first")
        self._materialize("price_quality", keys)

    def report(self, session: dt.date | None) -> str:
        """Writes the report of a published session again; returns where it is."""
        key = self.document(session)["session"]
        self._materialize("forecast_report", [key])
        return self.platform.warehouse.store.location(f"forecast_report/{key}.html")

    def status(self) -> dict[str, Any]:
        return status_document(self.platform, self.instance, self.now)

    def gate(self, month: dt.date | None) -> dict[str, Any]:
        """The champion record of a month; by default the newest one."""
        known = self.platform.warehouse.partitions("champion_model", ".json")
        key = month.isoformat() if month else next(reversed(known), "")
        if key not in known:
            raise DataError(
                f"no model was judged for {key[:7]}; run `stockfc monthly --month {key[:7]}`"
                if key
                else "no model was judged yet; run `stockfc monthly`"
            )
        return self.platform.warehouse.read_json(f"champion_model/{key}.json", remedy="run `stockfc monthly`")

    def scores(self, month: dt.date | None) -> dict[str, Any]:
        """How the forecasts that had matured before a month turned out; the newest month that was scored by default."""
        if month is not None:
            key, remedy = self.month(month).isoformat(), f"run `stockfc monthly --month {month:%Y-%m}`"
        else:
            scored = self.platform.warehouse.partitions("forecast_scores", ".json")
            key, remedy = max(scored, default=self.month(None).isoformat()), "run `stockfc monthly`"
        return self.platform.warehouse.read_json(f"forecast_scores/{key}.json", remedy=remedy)

    def quality(self, start: dt.date | None, end: dt.date | None) -> list[dict[str, Any]]:
        """The quality records of the sessions from ``start`` to ``end``; by default the newest one that is recorded."""
        warehouse = self.platform.warehouse
        recorded = [key for key in warehouse.partitions(QUALITY, ".json") if len(key) == len("2026-02-06")]
        if start is None:
            keys = recorded[-1:]
        else:
            wanted = set(self.session_range(start, end))
            keys = [key for key in recorded if key in wanted]
        if not keys:
            raise DataError("no quality record of these sessions; run `stockfc backfill` over them first")
        return [warehouse.read_json(f"{QUALITY}/{key}.json", remedy="run `stockfc backfill --force`") for key in keys]

    def backtest(self, start: dt.date | None, end: dt.date | None, horizon: int | None) -> dict[str, Any]:
        """What trading on the forecasts published from ``start`` to ``end`` would have brought; by default on all of them."""
        from stockfc_assets.evaluation.backtest_record import backtest_document, backtest_rankings, stored_rankings

        warehouse = self.platform.warehouse
        published = warehouse.partitions("daily_predictions")
        if not published:
            raise DataError("no forecast is published yet; run `stockfc daily --from ... --to ...` first")
        keys = self.session_range(start or dt.date.fromisoformat(published[0]), end)
        span = (dt.date.fromisoformat(key) for key in (keys[0], keys[-1]))
        rankings = stored_rankings(warehouse, self.platform.calendar, *span)
        result = backtest_rankings(rankings, self.settings, horizon=horizon)
        return backtest_document(result, self.settings.backtest, self.platform.source_label())

    def doctor(self) -> list[dict[str, Any]]:
        return diagnose(self.platform, self.definitions, self.instance, self.now)
