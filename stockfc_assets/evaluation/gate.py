"""Which model serves from a month on, and why: a record that a person can read.

The model of month m has seen every label that matured before m, so no forecast of its own can be scored on the day on
which it is judged. What can be judged is the update: on the last session of each earlier month k, the model made for k
and the model that served before k forecast the same stocks (`tables.ShadowForecasts`). Neither had seen a label that
ends after that session. What has matured of these pairs before m says whether a month's new model has been worse than
keeping the old one; docs/gate.md tells it in full.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from stockfc_assets.evaluation.dates import MIN_INDEPENDENT_HORIZONS, MIN_STOCKS, hac_t, too_few_dates
from stockfc_assets.evaluation.scores import rounded
from stockfc_assets.features.names import HORIZONS

UNPROVEN = "unproven"
"""Passed its guards; too few matured month ends to compare."""
PROVEN = "proven_not_worse"
"""Passed its guards, and the month's updates have not been worse than keeping the old model, beyond noise."""
ROLLED_BACK = "rolled_back"
"""A person chose this model. A later one takes its place only when newer models have proved not worse than it."""

INSTALLED, PROMOTED, KEPT, NONE, RESTORED = "installed", "promoted", "kept", "none", "restored"

EVIDENCE_MONTHS = 60
"""Pairs older than this no longer count: 39 month ends prove all 12 horizons, which mature within 52 months."""

MONTHS_PER_YEAR = 12
NOT_WORSE, WORSE, TOO_FEW = "not_worse", "worse", "too_few"


# --- evidence ---------------------------------------------------------------------------------------------------------


def weigh(pairs: pl.DataFrame, outcomes: pl.DataFrame, *, against: str | None = None) -> dict[str, Any]:
    """The paired comparison of challengers with incumbents, on the month ends whose labels matured.

    ``pairs`` is tables.ShadowForecasts; ``outcomes`` has ticker, session, horizon, realised_log_return and holds nothing
    that was not known when the judged month began. ``against`` keeps only pairs with that incumbent. Each month end
    gives one difference per statistic, the mean over horizons 1..H of `paired_differences`; H is the longest for which
    at least `MIN_INDEPENDENT_HORIZONS` x (H + 1) month ends have matured at all H horizons, and the lag of the HAC t is
    H. Positive differences favour the challengers.

    Returns verdict (not_worse | worse | too_few), n_dates, horizons (1..H; empty when too few), window (first and last
    as-of session, or null), mse_difference, mse_t, rank_ic_difference, rank_ic_t, critical_t. Worse is a t below
    -`critical_t` on either statistic. Too few: n_dates counts the month ends of horizon 1 and the rest is null.
    """
    if against is not None:
        pairs = pairs.filter(pl.col("incumbent") == against)
    differences = paired_differences(pairs, outcomes)
    horizon, dates = _longest_testable(differences)
    if horizon is None:
        found = differences.filter(pl.col("horizon") == HORIZONS[0])["session"].sort()
        return _evidence(TOO_FEW, found, 0)
    by_date = (
        differences.filter(pl.col("horizon") <= horizon, pl.col("session").is_in(dates.implode()))
        .group_by("session")
        .agg(pl.col("mse_difference", "rank_ic_difference").mean())
        .sort("session")
    )
    critical = critical_t(by_date.height, horizon)
    figures: dict[str, float | None] = {"critical_t": critical}
    worse = False
    for name in ("mse", "rank_ic"):
        series = by_date[f"{name}_difference"].to_numpy()
        mean, t = float(series.mean()), hac_t(series, horizon)
        figures |= {f"{name}_difference": mean, f"{name}_t": t}
        worse |= mean < 0 if t is None else t < -critical
    return _evidence(WORSE if worse else NOT_WORSE, by_date["session"], horizon, **figures)


def paired_differences(pairs: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """session, horizon, mse_difference, rank_ic_difference: one row per month end and horizon, sorted.

    mse_difference: the incumbent's mean squared error across stocks minus the challenger's, in units of
    (volatility x sqrt(h / 12))^2. rank_ic_difference: the challenger's Spearman correlation across stocks minus the
    incumbent's; a forecast that is the same for all stocks orders nothing and has 0. Both sides on the same stocks:
    those with an outcome and a volatility; fewer than `MIN_STOCKS` give no row.
    """
    scale = pl.col("volatility") * (pl.col("horizon") / MONTHS_PER_YEAR).sqrt()
    outcome = pl.col("realised_log_return")

    def squared_error(side: str) -> pl.Expr:
        return (((outcome - pl.col(f"{side}_log_return")) / scale) ** 2).mean()

    def rank_ic(side: str) -> pl.Expr:
        forecast = pl.col(f"{side}_log_return")
        varies = (forecast.n_unique() > 1) & (outcome.n_unique() > 1)
        return pl.when(varies).then(pl.corr(forecast.rank("average"), outcome.rank("average"))).otherwise(0.0)

    return (
        pairs.join(outcomes, on=["ticker", "session", "horizon"])
        .drop_nulls(["volatility", "realised_log_return"])
        .sort("session", "horizon", "ticker")
        .group_by("session", "horizon", maintain_order=True)
        .agg(
            stocks=pl.len(),
            mse_difference=squared_error("incumbent") - squared_error("challenger"),
            rank_ic_difference=rank_ic("challenger") - rank_ic("incumbent"),
        )
        .filter(pl.col("stocks") >= MIN_STOCKS)
        .drop("stocks")
    )


def critical_t(n_dates: int, lag: int) -> float:
    """The size that a HAC t exceeds by chance in one case of twenty on one side, with ``lag`` of ``n_dates``.

    Fixed-b critical value of the Bartlett kernel (Kiefer and Vogelsang 2005, Econometric Theory 21, table 1, 95 %), b =
    (lag + 1) / n_dates: 1.645 for a long series; more for a short one, whose error is itself uncertain.
    """
    b = (lag + 1) / n_dates
    return 1.6449 + 2.1859 * b + 0.3142 * b**2 - 0.3427 * b**3


def _longest_testable(differences: pl.DataFrame) -> tuple[int | None, pl.Series]:
    """(H, its month ends): the longest 1..H that enough month ends have matured at; (None, none) without one."""
    for horizon in reversed(HORIZONS):
        complete = (
            differences.filter(pl.col("horizon") <= horizon)
            .group_by("session")
            .len()
            .filter(pl.col("len") == horizon)["session"]
        )
        if not too_few_dates(len(complete), horizon):
            return horizon, complete
    return None, differences["session"].clear()


def _evidence(verdict: str, dates: pl.Series, horizon: int, **figures: float | None) -> dict[str, Any]:
    names = ("mse_difference", "mse_t", "rank_ic_difference", "rank_ic_t", "critical_t")
    return {
        "verdict": verdict,
        "n_dates": len(dates),
        "horizons": list(HORIZONS[:horizon]),
        "window": [dates[0].isoformat(), dates[-1].isoformat()] if len(dates) else None,
        **rounded({name: figures.get(name) for name in names}),
    }


# --- the decision -----------------------------------------------------------------------------------------------------


def decide(
    month: dt.date,
    challenger: Mapping[str, Any],
    challenger_failures: Sequence[str],
    champion: Mapping[str, Any] | None,
    evidence: Mapping[str, Any],
) -> dict[str, Any]:
    """The gate's decision for ``month``.

    ``challenger`` is the model card of the month's own model, ``challenger_failures`` what its guards found (empty =
    passed), ``champion`` the newest earlier champion record or None, ``evidence`` what `weigh` found (for a champion
    that a person chose: with ``against`` = `chosen_by_hand`). A model that failed its guards never serves. One that
    passed serves unless the evidence says worse; without enough evidence it serves as `unproven`, but not in the place
    of a model that a person chose.

    Returns ``month``, ``decision`` (installed | promoted | kept | none), ``model`` (id, month, kind, trained_through,
    status; None when nothing can serve), ``reason``, ``evidence``, and both sides' ids and validation scores.
    """
    incumbent = champion["model"] if champion else None
    name = challenger["model_id"]
    if challenger_failures:
        standing = f"{incumbent['id']} goes on serving" if incumbent else "no model can serve yet"
        decision, model = (KEPT if incumbent else NONE), incumbent
        reason = f"{name} failed its guards ({'; '.join(challenger_failures)}); {standing}."
    elif incumbent is None:
        decision, model = INSTALLED, served_model(challenger, UNPROVEN)
        reason = f"{name} passed its guards. It is the first model. {_too_few(evidence)}"
    else:
        decision, model, why = _against_incumbent(challenger, incumbent, evidence)
        reason = f"{name} passed its guards. {why}"
    return {
        "month": month.isoformat(),
        "decision": decision,
        "model": model,
        "reason": reason,
        "evidence": dict(evidence),
        "challenger": {"id": name, "validation": challenger.get("validation")},
        "champion": {"id": incumbent["id"], "validation": _validation(champion, incumbent["id"])}
        if incumbent
        else None,
    }


def chosen_by_hand(champion: Mapping[str, Any] | None) -> str | None:
    """The id of a champion that a person chose: only comparisons with it can move it. None for any other."""
    model = champion["model"] if champion else None
    return model["id"] if model and model["status"] == ROLLED_BACK else None


def served_model(card: Mapping[str, Any], status: str) -> dict[str, Any]:
    """What a record says of the model that serves."""
    return {
        "id": card["model_id"],
        "month": card["month"],
        "kind": card["kind"],
        "trained_through": card["trained_through"],
        "status": status,
    }


def _against_incumbent(
    challenger: Mapping[str, Any], incumbent: dict[str, Any], evidence: Mapping[str, Any]
) -> tuple[str, dict[str, Any], str]:
    """(decision, model, why) for a challenger that passed its guards."""
    held = incumbent["status"] == ROLLED_BACK
    if evidence["verdict"] == WORSE:
        return (
            KEPT,
            incumbent,
            f"{_comparison(evidence, held)} That is worse beyond noise: {incumbent['id']} goes on serving.",
        )
    if evidence["verdict"] == NOT_WORSE:
        follows = f"That is not worse beyond noise: it follows {incumbent['id']}. Status {PROVEN}."
        return PROMOTED, served_model(challenger, PROVEN), f"{_comparison(evidence, held)} {follows}"
    if held:
        stays = f"A person chose {incumbent['id']}, which serves on until newer models have proved not worse than it."
        return KEPT, incumbent, f"{stays} {_too_few(evidence, status=False)}"
    return PROMOTED, served_model(challenger, UNPROVEN), f"It follows {incumbent['id']}. {_too_few(evidence)}"


def _comparison(evidence: Mapping[str, Any], held: bool) -> str:
    first, last = evidence["window"]
    ahead = "1 month" if len(evidence["horizons"]) == 1 else f"1 to {evidence['horizons'][-1]} months"
    old = "the model that a person chose" if held else "the model that served before it"
    return (
        f"On {evidence['n_dates']} month ends from {first} to {last}, {ahead} ahead, each month's new model against {old}: "
        f"squared error {_side(evidence['mse_difference'], 'lower', 'higher')} (t {_t(evidence['mse_t'])}), "
        f"rank IC {_side(evidence['rank_ic_difference'], 'higher', 'lower')} (t {_t(evidence['rank_ic_t'])}); "
        f"noise reaches down to t -{evidence['critical_t']:.2f}."
    )


def _side(difference: float, better: str, worse: str) -> str:
    return f"{better if difference >= 0 else worse} by {abs(difference):.4f}"


def _t(value: float | None) -> str:
    return "undefined: no difference varies" if value is None else f"{value:+.2f}"


def _too_few(evidence: Mapping[str, Any], *, status: bool = True) -> str:
    needed = MIN_INDEPENDENT_HORIZONS * (HORIZONS[0] + 1)
    said = f"{evidence['n_dates']} of the {needed} month ends that a comparison needs have matured."
    return f"Status {UNPROVEN}: {said}" if status else said


def _validation(record: Mapping[str, Any], model_id: str) -> Any:
    """The validation scores of a model as an earlier record holds them; None where it does not."""
    sides = [record.get("challenger"), record.get("champion")]
    return next((side["validation"] for side in sides if side and side["id"] == model_id), None)


# --- roll-back --------------------------------------------------------------------------------------------------------


def undecided(month: dt.date, champion: Mapping[str, Any] | None) -> dict[str, Any]:
    """The record of a month whose own model was never made: what stood before goes on."""
    incumbent = champion["model"] if champion else None
    standing = f"{incumbent['id']} goes on serving" if incumbent else "no model can serve yet"
    return {
        "month": month.isoformat(),
        "decision": KEPT if incumbent else NONE,
        "model": incumbent,
        "reason": f"No model of {month:%Y-%m} was judged; {standing}.",
        "evidence": None,
        "challenger": None,
        "champion": {"id": incumbent["id"], "validation": _validation(champion, incumbent["id"])}
        if incumbent
        else None,
    }


def roll_back(record: Mapping[str, Any], card: Mapping[str, Any], reason: str, since: dt.date) -> dict[str, Any]:
    """``record`` with the model of ``card`` serving from the session of ``since`` on, because a person said so.

    The gate's own decision stays under ``gate`` and every roll-back of the month under ``rollbacks`` (from, model,
    reason), so that earlier sessions of the month keep the model that they had. Choosing the month's own model gives it
    back to the gate: its status is not rolled_back, and the next month's model may follow it as usual.
    """
    own = card["month"] == record["month"][:7]
    before = record["model"]["id"] if record["model"] else "no model"
    entry = {
        "from": since.isoformat(),
        "model": served_model(card, UNPROVEN if own else ROLLED_BACK),
        "reason": f"On {since} a person chose {card['model_id']} in place of {before}: {reason}",
    }
    return with_rollbacks(record, [*record.get("rollbacks", []), entry])


def with_rollbacks(record: Mapping[str, Any], rollbacks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A month's record on which its roll-backs stand: judging the month again does not undo what a person chose."""
    if not rollbacks:
        return dict(record)
    last = rollbacks[-1]
    gate = record.get("gate") or {name: record[name] for name in ("decision", "model", "reason")}
    decision = ROLLED_BACK if last["model"]["status"] == ROLLED_BACK else RESTORED
    return {
        **record,
        "decision": decision,
        "model": dict(last["model"]),
        "reason": last["reason"],
        "gate": gate,
        "rollbacks": [dict(entry) for entry in rollbacks],
    }
