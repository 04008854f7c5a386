"""Which inputs moved a forecast: one stock against the typical stock of its session, group by group and week by week.

Works on the served ONNX model through `OnnxForecaster` and needs nothing of its inside. Groups, not single inputs: the
five returns say nearly the same, and so do the three averages; what one of them alone adds would be an accident.

The typical stock is the median of the session's cross-section, input by input and week by week. It was known at the
session, it is a stock as the model met them that week, and what moves the whole market cancels out: what is left is why
this stock stands where it stands in the ranking. (The medians of the training rows would answer "why not an ordinary
week of ten years", mostly with the market's own week.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stockfc_assets.errors import DataError, InputError
from stockfc_assets.features.names import POSITION_FEATURES, SEQUENCE_WEEKS, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.panel import ModelInputs
from stockfc_assets.forecasts.inference import OnnxForecaster

WEEKLY_GROUPS: dict[str, tuple[str, ...]] = {
    "returns": (
        "log_return_1w", "log_return_4w", "log_return_13w", "log_return_26w", "log_return_52w", "open_gap",
    ),
    "price level": (
        "close_location", "price_to_sma_13w", "price_to_sma_26w", "price_to_sma_52w", "distance_to_52w_high",
        "distance_to_52w_low", "rsi_14w", "macd_histogram",
    ),
    "volatility": ("high_low_range", "volatility_4w", "volatility_13w", "yang_zhang_volatility_4w"),
    "liquidity": ("log_volume_ratio_13w", "amihud_illiquidity_13w", "volume_price_correlation_13w"),
    "benchmark": ("excess_return_1w", "beta_52w"),
}  # fmt: skip
"""Each weekly feature belongs to one group; a group is replaced in all 156 weeks at once."""

FACTS, SECTOR, POSITION = "company facts", "sector", "place in the week"
GROUPS: tuple[str, ...] = (*WEEKLY_GROUPS, FACTS, SECTOR, POSITION)

MIDWEEK: dict[str, float] = {"day_of_week": 0.5, "week_progress": 0.6}
"""Wednesday of a full week. All stocks of a session share their place in the week, so their median would explain nothing."""

BLOCK_WEEKS = 13
BLOCKS = SEQUENCE_WEEKS // BLOCK_WEEKS
"""A quarter of a year each; the newest ends with the as-of session."""

PUBLISHED_TOLERANCE = 1e-5
"""Published returns are rounded to 6 decimals, and batches of another size may differ in the 7th."""


@dataclass(frozen=True)
class Explanation:
    """Why the forecast of ``ticker`` is not that of the typical stock; float64 log returns, last axis = 12 horizons."""

    ticker: str
    stocks: int
    """Stocks of the cross-section whose median is the typical stock."""
    forecast: np.ndarray
    """[12]"""
    baseline: np.ndarray
    """[12]: the forecast of the typical stock."""
    contributions: np.ndarray
    """[8, 12]: Shapley values in the order of `GROUPS`; their sum is forecast - baseline."""
    occlusions: np.ndarray
    """[8, 12]: forecast - the forecast with that group alone made typical. They need not add up to anything."""
    weeks: np.ndarray
    """[12, 12]: forecast - the forecast with all weekly features of a block made typical; oldest block first."""
    heat: np.ndarray
    """[5, 12, 12]: the same for one group of `WEEKLY_GROUPS` in one block."""
    inputs: dict[str, tuple[float, float]]
    """Feature -> (the stock's, the typical stock's) as-of value, in GROUPS' order; NaN = missing; sector by id."""


class Explainer:
    """Explains forecasts of one session.

    ``inputs`` are those of all stocks forecast on it, as `OnnxForecaster.predict` takes them: they make the typical
    stock. The typical sector is the one at the (lower) median when the session's stocks are ranked by what their sector
    makes of the otherwise typical stock's forecast, averaged over the horizons; ties go to the lower id.
    """

    def __init__(self, forecaster: OnnxForecaster, inputs: ModelInputs) -> None:
        self.forecaster = forecaster
        self.inputs = inputs
        self.typical = self._typical_stock()

    def explain(self, ticker: str) -> Explanation:
        """The explanation of one stock; at most 328 evaluations of the model, no chance in any of them.

        Each group that is the same as the typical stock's halves the coalitions that differ, so it is not evaluated twice.
        Raises InputError when ``ticker`` has no forecast on this session.
        """
        if ticker not in self.inputs.tickers:
            raise InputError(f"{ticker}: has no forecast on this session; `stockfc show` lists the stocks that have")
        row = self.inputs.tickers.index(ticker)
        coalitions = _coalitions(len(GROUPS))
        distinct, which = np.unique(coalitions & self._unlike_typical(row), axis=0, return_inverse=True)
        weekly = np.concatenate([_own_groups(distinct), _own_but_a_block()])
        apart = np.ones((len(weekly), len(GROUPS) - len(WEEKLY_GROUPS)), dtype=bool)
        apart[: len(distinct)] = distinct[:, len(WEEKLY_GROUPS) :]
        forecasts, occluded = np.split(self._forecasts(row, weekly, *apart.T), [len(distinct)])
        worth = forecasts[which.ravel()]
        forecast, last = worth[-1], len(coalitions) - 1
        blocks = (forecast - occluded).reshape(1 + len(WEEKLY_GROUPS), BLOCKS, -1)
        return Explanation(
            ticker=ticker,
            stocks=len(self.inputs.tickers),
            forecast=forecast,
            baseline=worth[0],
            contributions=shapley_values(worth),
            occlusions=forecast - worth[last - 2 ** np.arange(len(GROUPS))],
            weeks=blocks[0],
            heat=blocks[1:],
            inputs=self._as_of_inputs(row),
        )

    def _unlike_typical(self, row: int) -> np.ndarray:
        """bool [8]: whether a group holds anything that is not the typical stock's; missing and missing are the same."""

        def differ(name: str) -> np.ndarray:
            own, typical = getattr(self.inputs, name)[row], getattr(self.typical, name)[0]
            return (own != typical) & ~(np.isnan(own) & np.isnan(typical))

        weekly = (_group_columns() & differ("weekly_seq").any(axis=0)).any(axis=1)
        apart = (differ(name).any() for name in ("static_features", "sector_id", "position_features"))
        return np.array([*weekly, *apart])

    def _forecasts(
        self, row: int, weekly: np.ndarray, facts: np.ndarray, sector: np.ndarray, position: np.ndarray
    ) -> np.ndarray:
        """Forecasts of m mixtures, float64 [m, 12]: the stock's own input where a mask is True, else the typical one.

        weekly: bool [m, 156 or 1, 23]; the others: bool [m].
        """
        own, typical = self.inputs, self.typical
        mixtures = ModelInputs(
            tickers=(own.tickers[row],) * len(weekly),
            weekly_seq=np.where(weekly, own.weekly_seq[row], typical.weekly_seq),
            static_features=np.where(facts[:, None], own.static_features[row], typical.static_features),
            position_features=np.where(position[:, None], own.position_features[row], typical.position_features),
            sector_id=np.where(sector, own.sector_id[row], typical.sector_id),
        )
        return self.forecaster.predict(mixtures).astype(np.float64)

    def _typical_stock(self) -> ModelInputs:
        """One sample: medians of the values that are not missing; missing where all are."""
        if not self.inputs.tickers:
            raise InputError("no stock has a forecast on this session, so there is nothing to explain")
        sectors = np.unique(self.inputs.sector_id)
        count = len(sectors)
        candidates = ModelInputs(
            tickers=("typical stock",) * count,
            weekly_seq=np.repeat(_median(self.inputs.weekly_seq)[None], count, axis=0),
            static_features=np.repeat(_median(self.inputs.static_features)[None], count, axis=0),
            position_features=np.array([[MIDWEEK[name] for name in POSITION_FEATURES]] * count, dtype=np.float32),
            sector_id=sectors,
        )
        outlook = self.forecaster.predict(candidates).astype(np.float64).mean(axis=1)
        ranked = np.argsort(outlook, kind="stable")
        stocks = np.cumsum([(self.inputs.sector_id == sector).sum() for sector in sectors[ranked]])
        chosen = ranked[np.searchsorted(stocks, (stocks[-1] + 1) // 2)]
        return ModelInputs(
            tickers=candidates.tickers[:1],
            weekly_seq=candidates.weekly_seq[:1],
            static_features=candidates.static_features[:1],
            position_features=candidates.position_features[:1],
            sector_id=sectors[chosen : chosen + 1],
        )

    def _as_of_inputs(self, row: int) -> dict[str, tuple[float, float]]:
        def pairs(names: tuple[str, ...], own: np.ndarray, typical: np.ndarray) -> dict[str, tuple[float, float]]:
            return dict(zip(names, zip(own.tolist(), typical.tolist(), strict=True), strict=True))

        own, typical = self.inputs, self.typical
        weekly = pairs(WEEKLY_FEATURES, own.weekly_seq[row, -1], typical.weekly_seq[0, -1])
        return {
            **{name: weekly[name] for names in WEEKLY_GROUPS.values() for name in names},
            **pairs(STATIC_FEATURES, own.static_features[row], typical.static_features[0]),
            SECTOR: (int(own.sector_id[row]), int(typical.sector_id[0])),
            **pairs(POSITION_FEATURES, own.position_features[row], typical.position_features[0]),
        }


def shapley_values(worth: np.ndarray) -> np.ndarray:
    """Exact Shapley values [n, ...] of a game of n players from the worth of every coalition, float64 [2^n, ...].

    Player k belongs to coalition c where bit k of c is set. phi_k = sum over the coalitions S without k of
    |S|! (n - |S| - 1)! / n! x (worth(S with k) - worth(S)): Shapley (1953), "A value for n-person games", eq. 12; with
    a baseline's inputs for the absent players it is the BShap of Sundararajan and Najmi (2020), "The many Shapley values
    for model explanation". The values sum to worth(all) - worth(none).
    """
    players = int(math.log2(len(worth)))
    members = _coalitions(players)
    size = members.sum(axis=1)
    weight = np.array([1 / (players * math.comb(players - 1, others)) for others in range(players)])
    values = []
    for player in range(players):
        without = np.flatnonzero(~members[:, player])
        gain = worth[without + 2**player] - worth[without]
        values.append(np.tensordot(weight[size[without]], gain, axes=1))
    return np.stack(values)


def explanation_view(explanation: Explanation, sectors: Mapping[str, int]) -> list[dict[str, Any]]:
    """The groups as JSON values, in the order of `GROUPS`; log returns rounded to 8 decimals.

    Each holds ``group``, ``contribution`` and ``occlusion`` (12 horizons each), ``weeks`` (12 horizons x 12 blocks,
    oldest first; null for what has no weeks) and ``inputs`` (name, value and typical value at the as-of session;
    null = missing). ``sectors``: name -> id.
    """
    members = {**WEEKLY_GROUPS, FACTS: STATIC_FEATURES, SECTOR: (SECTOR,), POSITION: POSITION_FEATURES}
    names = {number: name for name, number in sectors.items()}

    def value(name: str, number: float) -> float | str | None:
        if name == SECTOR:
            return names[int(number)]
        return None if math.isnan(number) else float(f"{number:.6g}")

    def inputs(group: str) -> list[dict[str, Any]]:
        pairs = {name: explanation.inputs[name] for name in members[group]}
        return [{"name": name, "value": value(name, a), "typical": value(name, b)} for name, (a, b) in pairs.items()]

    return [
        {
            "group": group,
            "contribution": _rounded(explanation.contributions[number]),
            "occlusion": _rounded(explanation.occlusions[number]),
            "weeks": _rounded(explanation.heat[number].T) if group in WEEKLY_GROUPS else None,
            "inputs": inputs(group),
        }
        for number, group in enumerate(GROUPS)
    ]


def explanation_document(
    explanation: Explanation, published: Mapping[str, Any], sectors: Mapping[str, int]
) -> dict[str, Any]:
    """What `stockfc explain --json` prints; ``published`` is the session's predictions document.

    Raises DataError when the explained forecast is not the published one: the stored inputs have changed since.
    """
    stock = next(entry for entry in published["predictions"] if entry["ticker"] == explanation.ticker)
    for month, log_return in zip(stock["predictions"], explanation.forecast, strict=True):
        if abs(math.expm1(log_return) - month["return"]) > PUBLISHED_TOLERANCE:
            raise DataError(
                f"{explanation.ticker}: what is stored for {published['session']} now gives {math.expm1(log_return):+.4%} "
                f"over {month['month']} months, published was {month['return']:+.4%}; "
                f"run `stockfc daily --session {published['session']}` again"
            )
    return {
        "ticker": explanation.ticker,
        "name": stock.get("name", explanation.ticker),
        "session": published["session"],
        "model": dict(published["model"]),
        "source": dict(published["source"]),
        "stocks": explanation.stocks,
        "forecast": _rounded(explanation.forecast),
        "baseline": _rounded(explanation.baseline),
        "groups": explanation_view(explanation, sectors),
        "block_weeks": BLOCK_WEEKS,
        "weeks": _rounded(explanation.weeks.T),
    }


def _rounded(log_returns: np.ndarray) -> list[Any]:
    # + 0.0 turns -0.0 into 0.0.
    return (np.round(log_returns, 8) + 0.0).tolist()


def _coalitions(players: int) -> np.ndarray:
    """bool [2^players, players]: bit k of the row's number says whether player k takes part."""
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def _group_columns() -> np.ndarray:
    """bool [5, 23]: which weekly features belong to which of `WEEKLY_GROUPS`."""
    return np.array([[name in names for name in WEEKLY_FEATURES] for names in WEEKLY_GROUPS.values()])


def _own_groups(coalitions: np.ndarray) -> np.ndarray:
    """bool [256, 156, 23]: the weekly features that each coalition of groups takes from the stock."""
    columns = coalitions[:, : len(WEEKLY_GROUPS)] @ _group_columns()
    return np.broadcast_to(columns[:, None], (len(coalitions), SEQUENCE_WEEKS, len(WEEKLY_FEATURES)))


def _own_but_a_block() -> np.ndarray:
    """bool [6 x 12, 156, 23]: all but one block of weeks; first of all features, then of each weekly group."""
    columns = np.concatenate([np.ones((1, len(WEEKLY_FEATURES)), dtype=bool), _group_columns()])
    blocks = np.arange(SEQUENCE_WEEKS) // BLOCK_WEEKS == np.arange(BLOCKS)[:, None]
    typical = columns[:, None, None, :] & blocks[None, :, :, None]
    return ~typical.reshape(-1, SEQUENCE_WEEKS, len(WEEKLY_FEATURES))


def _median(values: np.ndarray) -> np.ndarray:
    """Median over the first axis of what is not NaN, float32; NaN where nothing is."""
    known = ~np.isnan(values).all(axis=0)
    medians = np.full(values.shape[1:], np.nan, dtype=np.float32)
    medians[known] = np.nanmedian(values[:, known], axis=0)
    return medians
