"""Every table, declared once: columns, types, units, nullability, rules, one line of description each.

Dagster's column schemas, the blocking schema checks, the tests' generated data and docs/data-contracts.md come from
here. Prices are in the listing currency, as traded (never adjusted) unless a name says otherwise; sessions are dates
in the exchange's time zone; a missing number is null, never 0.
"""

import dataframely as dy
import polars as pl

from stockfc_assets.features.names import WEEKLY_FEATURES


class Universe(dy.Schema):
    """Which stocks belong, and between which dates. One row per ticker and membership interval."""

    ticker = dy.String(primary_key=True, description="Listing code with exchange suffix, such as 7203.T")
    member_from = dy.Date(primary_key=True, description="First date of this membership interval, inclusive")
    member_to = dy.Date(
        nullable=True, description="Last date of this membership interval, inclusive; null while it lasts"
    )
    name = dy.String(description="Company name")
    sector = dy.String(description="Sector name as in config/sectors.yaml")
    sector_id = dy.Int64(min=0, description="Row of the sector embedding (config/sectors.yaml)")
    currency = dy.String(min_length=3, max_length=3, description="ISO 4217 code of the listing currency")

    @dy.rule()
    def interval_is_ordered(cls) -> pl.Expr:
        return pl.col("member_to").is_null() | (pl.col("member_from") <= pl.col("member_to"))


class RawOhlcv(dy.Schema):
    """What was paid on one session, as traded that day. One row per ticker that traded."""

    ticker = dy.String(primary_key=True, description="Listing code with exchange suffix")
    session = dy.Date(primary_key=True, description="Trading session, in the exchange's time zone")
    open = dy.Float64(min_exclusive=0, description="First price, listing currency, as traded")
    high = dy.Float64(min_exclusive=0, description="Highest price, listing currency, as traded")
    low = dy.Float64(min_exclusive=0, description="Lowest price, listing currency, as traded")
    close = dy.Float64(min_exclusive=0, description="Last price, listing currency, as traded")
    volume = dy.Int64(min=0, description="Shares traded, on that day's share basis")
    dividend = dy.Float64(
        min=0, description="Dividend per share going ex on this session, that day's share basis; 0 = none"
    )
    split_ratio = dy.Float64(
        min_exclusive=0, description="New shares per old share taking effect on this session; 1 = none"
    )
    currency = dy.String(min_length=3, max_length=3, description="ISO 4217 code of the listing currency")

    @dy.rule()
    def low_is_lowest(cls) -> pl.Expr:
        return pl.col("low") <= pl.min_horizontal("open", "close", "high")

    @dy.rule()
    def high_is_highest(cls) -> pl.Expr:
        return pl.col("high") >= pl.max_horizontal("open", "close", "low")


class UniverseEnrichment(dy.Schema):
    """Company facts known at the start of a month, per share on the share basis of ``as_of``."""

    ticker = dy.String(primary_key=True, description="Listing code with exchange suffix")
    as_of = dy.Date(description="Date at which these facts were known and on whose share basis they stand")
    shares_outstanding = dy.Float64(nullable=True, min_exclusive=0, description="Shares outstanding")
    eps_ttm = dy.Float64(nullable=True, description="Earnings per share, trailing twelve months, listing currency")
    book_value_per_share = dy.Float64(nullable=True, description="Book value per share, listing currency")
    dividend_per_share_ttm = dy.Float64(
        nullable=True, min=0, description="Dividends per share, trailing twelve months, listing currency"
    )
    return_on_equity = dy.Float64(nullable=True, description="Return on equity, ratio (0.1 = 10 %)")
    profit_margin = dy.Float64(nullable=True, description="Net profit margin, ratio (0.1 = 10 %)")
    sector = dy.String(nullable=True, description="Sector as the source names it")
    industry = dy.String(nullable=True, description="Industry as the source names it")
    per = dy.Float64(nullable=True, description="Price / eps_ttm, with the as-traded close on or before as_of")
    pbr = dy.Float64(nullable=True, description="Price / book_value_per_share, with that close")
    dividend_yield = dy.Float64(nullable=True, min=0, description="dividend_per_share_ttm / price, with that close")
    market_cap = dy.Float64(nullable=True, min_exclusive=0, description="Price x shares_outstanding, with that close")


def _feature_columns() -> dict[str, dy.Column]:
    return {
        name: dy.Float32(
            nullable=True, description=f"Weekly feature {number} of 23 (docs/features.md); null = not enough data"
        )
        for number, name in enumerate(WEEKLY_FEATURES, start=1)
    }


class _WeeklyFeatureKey(dy.Schema):
    ticker = dy.String(primary_key=True, description="Listing code with exchange suffix")
    session = dy.Date(primary_key=True, description="As-of session: the week so far ends here")
    is_week_end = dy.Bool(description="Whether this is the last session of its calendar week")


WeeklyFeatures: type[dy.Schema] = type(
    "WeeklyFeatures",
    (_WeeklyFeatureKey,),
    {
        "__doc__": "The 23 features of the week so far, as of a session. One row per ticker that traded.",
        "__module__": __name__,
        **_feature_columns(),
    },
)


class Predictions(dy.Schema):
    """One forecast: ticker, as-of session, horizon. Prices are on the as-of session's share basis."""

    ticker = dy.String(primary_key=True, description="Listing code with exchange suffix")
    session = dy.Date(primary_key=True, description="As-of session of the forecast")
    horizon = dy.Int64(primary_key=True, min=1, max=12, description="Calendar months ahead")
    current_price = dy.Float64(min_exclusive=0, description="Close of the as-of session, as traded")
    log_return = dy.Float64(description="Forecast log return over the horizon")
    predicted_price = dy.Float64(min_exclusive=0, description="current_price x exp(log_return)")
    lower = dy.Float64(
        nullable=True, min_exclusive=0, description="Lower end of the 80 % interval; null before calibration"
    )
    upper = dy.Float64(
        nullable=True, min_exclusive=0, description="Upper end of the 80 % interval; null before calibration"
    )
    volatility = dy.Float64(
        nullable=True, min=0, description="Trailing volatility that scaled the interval, annualised"
    )
    sector = dy.String(description="Sector name as in config/sectors.yaml")
    model_id = dy.String(description="Identity of the model: month and the first 12 digits of its file's SHA-256")

    @dy.rule()
    def interval_holds_forecast(cls) -> pl.Expr:
        return pl.col("lower").is_null() | (
            (pl.col("lower") <= pl.col("predicted_price")) & (pl.col("predicted_price") <= pl.col("upper"))
        )


class ShadowForecasts(dy.Schema):
    """What the gate judges: on a month's last session, its own model (challenger) and the one that served before it."""

    ticker = dy.String(primary_key=True, description="Listing code with exchange suffix")
    session = dy.Date(primary_key=True, description="Last session of the month before the partition's; unseen by both")
    horizon = dy.Int64(primary_key=True, min=1, max=12, description="Calendar months ahead")
    challenger = dy.String(description="Identity of the session's month's own model")
    challenger_log_return = dy.Float64(description="Its forecast log return over the horizon")
    incumbent = dy.String(description="Identity of the model that served before that month")
    incumbent_log_return = dy.Float64(description="Its forecast log return over the horizon")
    volatility = dy.Float64(nullable=True, min=0, description="Trailing volatility that scales errors, annualised")


class BaselineForecasts(dy.Schema):
    """What each baseline would have said in the month before the partition's, fitted on what was known as it began.

    Forecast log returns over the horizon, a column per baseline; null where the machine could not fit it.
    """

    ticker = dy.String(primary_key=True, description="Listing code with exchange suffix")
    session = dy.Date(primary_key=True, description="As-of session of the forecast")
    horizon = dy.Int64(primary_key=True, min=1, max=12, description="Calendar months ahead")
    no_change = dy.Float32(nullable=True, description="Random walk: the price stays where it is")
    drift = dy.Float32(nullable=True, description="The stock's own mean log return of the past three years, carried on")
    momentum_12_1 = dy.Float32(
        nullable=True, description="Rank across stocks by the return from twelve months to one month ago"
    )
    mean_reversion_1m = dy.Float32(nullable=True, description="Rank across stocks by the last month's return")
    ridge = dy.Float32(
        nullable=True, description="Ridge regression on the day's 23 weekly features and 6 company facts"
    )
    gradient_boosting = dy.Float32(
        nullable=True, description="LightGBM on those and on statistics of the last 13 and 52 weeks"
    )


TABLES: dict[str, type[dy.Schema]] = {
    "universe": Universe,
    "raw_ohlcv": RawOhlcv,
    "universe_enrichment": UniverseEnrichment,
    "weekly_features": WeeklyFeatures,
    "daily_predictions": Predictions,
    "baseline_forecasts": BaselineForecasts,
}
