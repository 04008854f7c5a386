"""config/backtest.yaml: what a backtest trades, and what trading costs. 1 bp = 0.0001 of the money traded."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stockfc_assets.errors import ConfigError
from stockfc_assets.frozen import Frozen

ENOUGH_RANKINGS = 12
"""Fewer monthly rankings say nothing, whatever t their days give: the same stocks are held for weeks."""

BasisPoints = Annotated[float, Field(ge=0, le=1000)]


class BacktestSettings(Frozen):
    """The rules of docs/backtest.md. Money is in the listing currency."""

    horizon: Annotated[int, Field(ge=1, le=12)] = 1
    """Months ahead of the forecast that ranks the stocks; 1 = the time for which they are held."""
    quantile: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    """Share of the stocks in the top and in the bottom group: quintiles."""
    capital: Annotated[float, Field(gt=0)] = 100_000_000
    """Money at the start; participation grows with it."""
    base_cost_bp: BasisPoints = 10
    """Commission and half the spread, of every trade."""
    slippage_bp: BasisPoints = 2
    impact_bp: BasisPoints = 100
    """k of k x sqrt(participation): the square-root law of market impact (Almgren et al. 2005, Risk 18), about half a
    day's volatility of 2 % when a trade is as large as all others of the day together."""
    max_participation: Annotated[float, Field(gt=0, le=1)] = 0.1
    """A trade is at most this share of the value that the stock turned over that day; the rest stays unfilled."""
    sell_tax_bp: dict[str, BasisPoints] = Field(default_factory=lambda: {"XTKS": 0, "XNYS": 0.3, "XKRX": 20})
    """Taxes and fees on sales, by exchange: none in Tokyo, the SEC's fee in New York (about 0.3 bp, it changes every
    year), in Seoul the transaction tax with the rural special tax (0.2 % since 2026)."""
    borrow_bp: BasisPoints = 50
    """A year's fee for borrowed shares, of the value sold short."""
    write_down_sessions: Annotated[int, Field(ge=1)] = 60
    """After so many sessions without a trade a holding is written down; a short position is closed at the last price."""
    write_down: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of its last value that a holding then loses."""

    def sell_tax(self, exchange: str) -> float:
        """Basis points on sales at ``exchange``. Raises ConfigError where the file says nothing of it."""
        try:
            return self.sell_tax_bp[exchange]
        except KeyError:
            known = ", ".join(sorted(self.sell_tax_bp)) or "none"
            raise ConfigError(
                f"backtest.yaml: sell_tax_bp: {exchange!r} is missing (known: {known}); add it, 0 where sales are not taxed"
            ) from None
