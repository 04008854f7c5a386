"""The page's opening: five questions that a reader has, each with a number and a sentence or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stockfc_assets.forecasts.report.backtest import trading_luck
from stockfc_assets.forecasts.report.data import ReportData
from stockfc_assets.forecasts.report.horizons import RANKED_FIRST, Outlook
from stockfc_assets.forecasts.report.words import (
    FORECASTERS,
    SURE,
    day,
    decimal,
    listed,
    luck_words,
    months,
    order_words,
    ordinal,
    portfolio_names,
    skill_words,
)
from stockfc_assets.svg import correlation, percent, share
from stockfc_assets.trading_rules import ENOUGH_RANKINGS

NOTHING = "not known yet"


@dataclass(frozen=True)
class Said:
    """A number, what it is, and what it means. ``horizon`` is None where it does not depend on the ranked one."""

    number: str
    caption: str
    text: str
    horizon: int | None = None
    warning: str = ""
    """What a reader must not miss."""


@dataclass(frozen=True)
class Answer:
    question: str
    section: str
    """The id of the section that says more, and its name."""
    link: str
    said: Sequence[Said]


def answers(data: ReportData, outlooks: Sequence[Outlook]) -> list[Answer]:
    """The five of them, in the order in which a reader asks."""
    return [
        Answer("What is forecast?", "ranking", "Ranking", _what(data, outlooks)),
        Answer("How sure is it?", "stocks", "Stock by stock", _how_sure(data, outlooks)),
        Answer("How good have such forecasts been?", "record", "Track record", _how_good(data)),
        Answer("Compared with what?", "compared", "Beside simple rules", [_compared(data)]),
        Answer("What would trading on them have brought, after costs?", "backtest", "Backtest", [_traded(data)]),
    ]


def headlines(data: ReportData, outlooks: Sequence[Outlook]) -> list[str]:
    """The answers in one line each, for who sees no page: of the horizon that ranks first."""
    return [
        f"{answer.question} {said.number}: {said.text} {said.warning}".rstrip()
        for answer in answers(data, outlooks)
        for said in answer.said
        if said.horizon in (None, RANKED_FIRST)
    ]


def _what(data: ReportData, outlooks: Sequence[Outlook]) -> list[Said]:
    if not outlooks:
        return [Said("none", "stocks", "No stock could be forecast on this session; the reasons are below.")]
    lead = f"How far each of {len(outlooks[0].ranked)} prices will be from its close of {day(data.session)}, 1 to 12 months on."
    return [
        Said(
            number=f"{percent(outlook.returns[outlook.ranked[-1]])} to {percent(outlook.returns[outlook.ranked[0]])}",
            caption=f"lowest and highest forecast, {months(outlook.horizon)} ahead",
            text=f"{lead} {outlook.headline(data)}",
            horizon=outlook.horizon,
            warning=outlook.reading() if outlook.is_no_change else "",
        )
        for outlook in outlooks
    ]


def _how_sure(data: ReportData, outlooks: Sequence[Outlook]) -> list[Said]:
    level = data.document.get("interval_level")
    if level is None or not any(outlook.intervals for outlook in outlooks):
        return [Said(NOTHING, "interval", "No interval is shown: this model has not been calibrated.")]
    said = []
    for outlook in outlooks:
        if outlook.typical_interval is None:
            continue
        low, high = outlook.typical_interval
        inside = outlook.score["coverage"]
        realised = (
            "No interval has been checked against what happened yet."
            if inside is None
            else f"Of those that have matured {share(inside, 0)} did."
        )
        text = (
            f"{share(level, 0)} of outcomes should fall inside the interval. {realised} For {outlook.open_ended} of "
            f"{len(outlook.intervals)} stocks it holds both a rise and a fall"
            f"{', so not even the direction is sure' if 2 * outlook.open_ended > len(outlook.intervals) else ''}."
        )
        caption = f"{share(level, 0)} interval of a typical stock, {months(outlook.horizon)} ahead"
        said.append(Said(f"{percent(low, 0)} to {percent(high, 0)}", caption, text, outlook.horizon))
    return said


def _how_good(data: ReportData) -> list[Said]:
    overall = data.record["overall"]
    if not overall["n"]:
        return [Said(NOTHING, "no forecast has matured", _from_validation(data.card["validation"]["overall"]))]
    skill, rank_ic = overall["skill"], overall["rank_ic"]
    if skill is None:
        return [
            Said(NOTHING, f"{overall['n']:,} forecasts have matured", "No price has changed, so nothing can be told.")
        ]
    text = (
        f"Their squared error was {skill_words(skill)} that of saying that every price stays as it is: they "
        f"{'beat' if skill > 0 else 'do not beat'} “no change”."
    )
    if rank_ic is not None:
        text += (
            f" They put stocks in order {order_words(rank_ic)} (rank IC {correlation(rank_ic)}; "
            f"{luck_words(overall['rank_ic_hac_t'])})."
        )
    text += _upside_down(data.record["horizons"])
    return [Said(percent(skill), f"skill against “no change”, {overall['n']:,} matured forecasts", text)]


def _upside_down(rows: Sequence[Mapping[str, Any]]) -> str:
    """The horizons whose highest forecasts did worse than their lowest, by more than luck usually explains."""
    found = [row for row in rows if (row.get("decile_spread_hac_t") or 0) <= -SURE]
    if not found:
        return ""
    worst = min(found, key=lambda row: row["decile_spread_hac_t"])
    return (
        f" Over {listed([str(row['horizon']) for row in found])} months the stocks with the highest forecasts did worse "
        f"than those with the lowest, more than luck alone usually explains (t {decimal(worst['decile_spread_hac_t'], 1)})."
    )


def _from_validation(validation: Mapping[str, Any]) -> str:
    lead = "No forecast has matured yet, so nothing is known of how these turn out."
    if validation["skill"] is None:
        return lead
    return (
        f"{lead} On past dates, before anything was published, the model’s squared error was "
        f"{skill_words(validation['skill'])} that of “no change”; that is no track record."
    )


def _compared(data: ReportData) -> Said:
    rows = [row for row in (data.scores or {}).get("by_forecaster", []) if row["skill"] is not None]
    if len(rows) < 2:
        return Said(NOTHING, "simple rules", "No simple rule has been scored on the same forecasts yet.")
    by_skill = sorted(rows, key=lambda row: -row["skill"])
    place = ordinal(1 + [row["forecaster"] for row in by_skill].index("network"))
    best, network = by_skill[0], next(row for row in rows if row["forecaster"] == "network")
    better = [
        FORECASTERS.get(row["forecaster"], row["forecaster"]) for row in by_skill if row["skill"] > network["skill"]
    ]
    text = f"On the same {network['n']:,} forecasts the smallest squared error was that of {_forecaster(best)}."
    if better:
        who = f"all {len(better)} others" if len(better) == len(rows) - 1 else listed(better)
        text += f" {who[:1].upper()}{who[1:]} did better than the network (skill {percent(network['skill'])})."
    ordered = sorted((row for row in rows if row["rank_ic"] is not None), key=lambda row: -row["rank_ic"])
    if network["rank_ic"] is not None and len(ordered) > 1:
        text += (
            f" In putting stocks in order the network came "
            f"{ordinal(1 + [row['forecaster'] for row in ordered].index('network'))} of {len(ordered)}."
        )
    return Said(f"{place} of {len(rows)}", "by squared error, “no change” and simple rules among them", text)


def _forecaster(row: Mapping[str, Any]) -> str:
    return f"{FORECASTERS.get(row['forecaster'], row['forecaster'])} (skill {percent(row['skill'])})"


def _traded(data: ReportData) -> Said:
    if not data.backtest or not data.backtest["portfolios"]:
        why = (data.backtest or {}).get("note") or "no backtest of the month is stored"
        return Said(NOTHING, "return a year", f"{why[:1].upper()}{why[1:]}.")
    portfolios = data.backtest["portfolios"]
    top, spread, universe = (portfolios[name] for name in ("long_only", "long_short", "equal_weighted"))
    if top["annual_return"] is None or universe["annual_return"] is None:
        return Said(NOTHING, "return a year", "Too few days have been traded to tell.")
    names = portfolio_names(data.backtest)
    text = (
        f"From {day(data.backtest['from'])} to {day(data.backtest['to'])}, trading once a month. The difference: "
        f"{trading_luck(data.backtest)}."
    )
    few = len(data.backtest["decisions"]) < ENOUGH_RANKINGS
    if not few and spread["annual_return"] is not None and spread["sharpe_error"]:
        lucky = abs(spread["sharpe"]) < SURE * spread["sharpe_error"]
        text += (
            f" The {names['long_short']}: {percent(spread['annual_return'])} a year, Sharpe ratio "
            f"{decimal(spread['sharpe'], 2)} ± {decimal(spread['sharpe_error'], 2)}, "
            f"{'which luck alone often gives' if lucky else 'which luck alone rarely gives'}."
        )
    figure, span = ("total_return", "in all") if few else ("annual_return", "a year")
    return Said(
        f"{percent(top[figure])} against {percent(universe[figure])}",
        f"{span} after costs: {names['long_only']} of the forecasts against {names['equal_weighted']}",
        text,
    )
