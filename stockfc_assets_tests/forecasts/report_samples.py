"""Documents beside a published forecast, as the other rooms write them, with numbers that a test can look for."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np

from stockfc_assets.features.drift import reference
from stockfc_assets.features.names import HORIZONS, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.weeks import add_months
from stockfc_assets.forecasts.drift_record import session_drift
from stockfc_assets.forecasts.explanation import FACTS, GROUPS, POSITION, SECTOR, WEEKLY_GROUPS
from stockfc_assets.forecasts.report import ReportData
from stockfc_assets.forecasts.said_earlier import EarlierForecast
from stockfc_assets_tests.forecasts.samples import SESSION, SOURCE, sample_forecast, sample_inputs

TOO_FEW = "too few independent periods"


def score_row(**scores: Any) -> dict[str, Any]:
    row = {
        "n": 3000, "n_dates": 250, "groups": 10, "mse": 0.0101, "mse_random_walk": 0.01, "skill": -0.01,
        "skill_hac_t": -0.4, "skill_error": 0.025, "mae": 0.074, "ic": 0.03, "ic_hac_t": 1.2, "rank_ic": 0.042,
        "rank_ic_hac_t": 1.5, "icir": 0.21, "hit_rate": 0.53, "decile_spread": 0.012, "decile_spread_hac_t": 0.8,
        "coverage": 0.78, "width": 0.31, "calibration": [], "note": None,
    }  # fmt: skip
    return row | scores


def without_t() -> dict[str, Any]:
    names = ("skill_hac_t", "skill_error", "ic_hac_t", "rank_ic_hac_t", "decile_spread_hac_t")
    return dict.fromkeys(names) | {"note": TOO_FEW}


def sample_scores() -> dict[str, Any]:
    """Nine matured horizons, of which the last three overlap too much for a t; the network is second of three."""
    horizons = [{"horizon": horizon, **score_row(skill=0.02 - 0.01 * horizon)} for horizon in HORIZONS]
    for row in horizons[6:9]:
        row |= without_t()
    for row in horizons[9:]:
        row |= dict.fromkeys(row.keys() - {"horizon"}) | {"n": 0, "n_dates": 0, "calibration": []}
    calibration = [{"group": k + 1, "n": 2700, "forecast": 0.02 * k - 0.08, "outcome": 0.01 * k} for k in range(10)]

    def forecaster(name: str, skill: float, rank_ic: float | None) -> dict[str, Any]:
        return {
            "forecaster": name, "n": 27000, "n_dates": 250, "mse": 0.01, "mae": 0.09, "skill": skill, "skill_hac_t": 0.5,
            "skill_error": 0.02, "rank_ic": rank_ic, "rank_ic_hac_t": 1.1 if rank_ic else None, "hit_rate": 0.52,
        }  # fmt: skip

    return {
        "month": "2026-02-01",
        "matured_before": "2026-02-01",
        "overall": score_row(n=27000, skill=-0.0312, calibration=calibration, **without_t()),
        "horizons": horizons,
        "by_sector": [{"sector": "Banks", "n": 900, "n_dates": 250, "mse": 0.01, "skill": 0.123, "rank_ic": None, "hit_rate": 0.6}],
        "by_year": [{"year": 2025, "n": 27000, "n_dates": 250, "mse": 0.01, "skill": -0.0312, "rank_ic": 0.042, "hit_rate": 0.53}],
        "by_model": [],
        "by_forecaster": [forecaster("network", -0.0312, 0.042), forecaster("no_change", 0.0, None), forecaster("ridge", -0.05, 0.051)],
        "note": None,
    }  # fmt: skip


def sample_backtest() -> dict[str, Any]:
    def figures(annual: float, sharpe: float, **more: Any) -> dict[str, Any]:
        return {
            "total_return": 2 * annual, "annual_return": annual, "annual_return_gross": annual + 0.021, "volatility": 0.19,
            "sharpe": sharpe, "sharpe_error": 0.71, "sortino": 0.9, "calmar": 0.4, "max_drawdown": -0.234,
            "drawdown_from": "2024-07-11", "drawdown_to": "2024-08-05", "drawdown_recovered": None, "var_95": -0.0201,
            "cvar_95": -0.0305, "turnover_per_year": 5.2, "cost_drag_per_year": 0.0155, "unfilled_share": 0.02,
            "written_down": 0, "mean_positions": 6.0, "largest_weight": 0.21,
            "years": [{"year": year, "return": annual, "cost_drag": 0.01, "turnover": 5.0} for year in (2024, 2025)],
        } | more  # fmt: skip

    sessions = [(dt.date(2024, 2, 2) + dt.timedelta(weeks=week)).isoformat() for week in range(104)]
    growth = {"long_only": 1.002, "long_short": 0.9995, "equal_weighted": 1.0015}
    return {
        "month": "2026-02-01", "from": "2024-02-01", "to": "2026-01-30", "sessions": 488, "horizon": 1,
        "decisions": [*(f"2024-{month:02}-28" for month in range(1, 13)), "2025-12-30"], "skipped": ["2024-05-31"], "benchmark": None,
        "rules": {
            "horizon": 1, "quantile": 0.2, "capital": 1e8, "base_cost_bp": 10, "slippage_bp": 2, "impact_bp": 100,
            "max_participation": 0.1, "sell_tax_bp": {"XTKS": 0, "XKRX": 20}, "borrow_bp": 50, "write_down_sessions": 60,
            "write_down": 1.0,
        },
        "source": SOURCE,
        "portfolios": {
            "long_short": figures(-0.0123, -0.15),
            "long_only": figures(0.1111, 0.66, excess_per_year=0.0321, excess_t=0.9, tracking_error=0.1),
            "equal_weighted": figures(0.0808, 0.5),
        },
        "wealth": {"sessions": sessions} | {name: [rate**week for week in range(104)] for name, rate in growth.items()},
        "drawdown": {"sessions": sessions} | {name: [0.001 * week for week in range(104)] for name in growth},
        "note": None,
    }  # fmt: skip


def sample_gate() -> dict[str, Any]:
    return {
        "month": "2026-02-01",
        "decision": "promoted",
        "model": {"id": "2026-02-0123456789ab"},
        "reason": "2026-02-0123456789ab passed its guards. It has not been worse.",
        "evidence": {
            "verdict": "not_worse", "n_dates": 14, "horizons": [1, 2, 3], "window": ["2024-10-31", "2025-11-28"],
            "mse_difference": 0.00123, "mse_t": 0.52, "rank_ic_difference": -0.004, "rank_ic_t": -0.31, "critical_t": 2.1,
        },
    }  # fmt: skip


def sample_drift() -> dict[str, Any]:
    """Today's volatility is three times training's; everything else is drawn as training was."""
    inputs = sample_inputs(tuple(f"{number}.T" for number in range(30)), [1] * 30)
    before = sample_inputs(tuple(f"{number}.T" for number in range(90)), [1] * 90, seed=4)
    trained = np.hstack([before.weekly_seq[:, -14:-1].reshape(-1, 23), np.repeat(before.static_features, 13, axis=0)])
    inputs.weekly_seq[:, :, WEEKLY_FEATURES.index("volatility_4w")] += 3.0
    card = {
        "model_id": "2026-02-0123456789ab",
        "feature_reference": {
            "basis": "2026-01",
            "sessions": ["2019-02-04", "2024-07-24"],
            **reference(trained, WEEKLY_FEATURES + STATIC_FEATURES),
        },
    }
    return session_drift(inputs, card, SESSION)


def sample_explanation(ticker: str, forecast: float) -> dict[str, Any]:
    """Returns did nearly all of it, company facts nothing."""
    shares = {"returns": 0.9, "price level": 0.2, "volatility": -0.1} | dict.fromkeys(GROUPS[3:], 0.0)
    members = {**WEEKLY_GROUPS, FACTS: STATIC_FEATURES, SECTOR: (SECTOR,), POSITION: ("week_progress",)}
    return {
        "ticker": ticker,
        "session": SESSION.isoformat(),
        "stocks": 30,
        "baseline": [0.02] * 12,
        "forecast": [forecast] * 12,
        "groups": [
            {
                "group": group,
                "contribution": [shares[group] * (forecast - 0.02)] * 12,
                "inputs": [{"name": name, "value": 0.1, "typical": 0.1} for name in members[group][:-1]]
                + [{"name": members[group][-1], "value": -0.25, "typical": 0.05}],
            }
            for group in GROUPS
        ],
    }


def sample_said(price: float, *, happened: float | None = None) -> tuple[EarlierForecast, ...]:
    """What was said three and twelve months before: 10 % up each, of a price that was half of today's."""

    def earlier(months: int) -> EarlierForecast:
        as_of = add_months(SESSION, -months)
        points = tuple((add_months(as_of, ahead), price * 0.55) for ahead in range(1, months + 1))
        return EarlierForecast(as_of, months, price * 0.5, points, price * 0.4, price * 0.7, happened or price)

    return earlier(12), earlier(3)


def bare_report(**changes: Any) -> ReportData:
    """A report with nothing but what every session has: forecast, prices and model card."""
    document, history, card, names = sample_forecast()
    return replace(ReportData(document, history, card, names, currency="JPY", exchange="XTKS"), **changes)


def full_report(**changes: Any) -> ReportData:
    data = bare_report()
    ranked = sorted(data.document["predictions"], key=lambda stock: -stock["predicted_12m_return"])
    ends = [*ranked[:3], *ranked[-3:]]
    return replace(
        data,
        said={stock["ticker"]: sample_said(stock["current_price"]) for stock in ranked},
        scores=sample_scores(),
        backtest=sample_backtest(),
        gate=sample_gate(),
        drift=sample_drift(),
        explanations=[sample_explanation(s["ticker"], float(np.log1p(s["predicted_12m_return"]))) for s in ends],
        **changes,
    )


def with_document(**changes: Any) -> ReportData:
    """A bare report whose predictions file says something else."""
    data = bare_report()
    return replace(data, document={**data.document, **changes})
