"""Company facts as Yahoo words them: quoteSummary, quote, and the fundamentals time series.

They follow from what the source had published by ``today``. A source tells trailing figures; the quarters between them
are those whose sums over four give the trailing figures back exactly. Like Yahoo's, all numbers of shares and values per
share stand on the share basis of ``today``, those of past periods too (except the share counts of `_share_counts`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from stockfc_assets_tests.local_yahoo.charts import Adjusted, Answer, adjust, error, meta
from stockfc_assets_tests.local_yahoo.histories import Histories, History

FISCAL_YEAR_END = {"XTKS": 3}
"""Month by exchange, December for all others."""
MOST = {"annual": 4, "quarterly": 5, "trailing": 1}
"""Yahoo shows so many periods, whatever is asked for."""
PERIOD_TYPES = {"annual": "12M", "quarterly": "3M", "trailing": "TTM"}
FLOWS = {
    "BasicEPS": "eps", "DilutedEPS": "eps", "NetIncome": "income", "NetIncomeCommonStockholders": "income",
    "TotalRevenue": "revenue", "OperatingRevenue": "revenue",
}  # fmt: skip
LEVELS = {
    "StockholdersEquity": "equity", "CommonStockEquity": "equity", "OrdinarySharesNumber": "shares",
    "ShareIssued": "shares", "BasicAverageShares": "shares", "DilutedAverageShares": "shares",
}  # fmt: skip


@dataclass(frozen=True)
class Statement:
    """One publication on the share basis of today; what is not known is None. Flows cover twelve months."""

    quarter: int
    """Of the period's end: 4 x year + 0 to 3."""
    published: dt.date
    eps: float | None
    book_value: float | None
    dividend: float | None
    shares: float | None
    income: float | None
    revenue: float | None
    equity: float | None
    return_on_equity: float | None
    profit_margin: float | None
    sector: str | None
    industry: str | None

    @property
    def period_end(self) -> dt.date:
        return quarter_end(self.quarter)


def quarter_end(quarter: int) -> dt.date:
    """The last day of a quarter, which is counted as 4 x year + 0 to 3."""
    year, number = divmod(quarter + 1, 4)
    return dt.date(year, 3 * number + 1, 1) - dt.timedelta(days=1)


def statements(histories: Histories, ticker: str, today: dt.date) -> list[Statement]:
    """Publications until ``today``, oldest first, one per quarter; the period's end is the last quarter's end before."""
    history = histories.history(ticker)
    if history is None:
        return []
    history = history.until(today)
    found: dict[int, Statement] = {}
    for row in histories.facts(ticker).iter_rows(named=True):
        if row["published"] <= today:
            ratio = float(history.later_ratios(np.array([row["published"]], dtype="datetime64[D]"))[0])
            statement = _statement(row, ratio)
            found[statement.quarter] = statement
    return [found[quarter] for quarter in sorted(found)]


def _statement(row: dict[str, Any], ratio: float) -> Statement:
    published = row["published"]
    shares = _times(row["shares_outstanding"], ratio)
    eps, book_value = _times(row["eps_ttm"], 1 / ratio), _times(row["book_value_per_share"], 1 / ratio)
    income = _times(eps, shares)
    margin = row["profit_margin"]
    return Statement(
        quarter=published.year * 4 + (published.month - 1) // 3 - 1,
        published=published,
        eps=eps,
        book_value=book_value,
        dividend=_times(row["dividend_per_share_ttm"], 1 / ratio),
        shares=shares,
        income=income,
        revenue=income / margin if income is not None and margin else None,
        equity=_times(book_value, shares),
        return_on_equity=row["return_on_equity"],
        profit_margin=margin,
        sector=row["sector"],
        industry=row["industry"],
    )


def _times(value: float | None, factor: float | None) -> float | None:
    return None if value is None or factor is None else value * factor


# --- time series ------------------------------------------------------------------------------------------------------


def time_series(histories: Histories, ticker: str, query: dict[str, str], today: dt.date) -> Answer:
    """fundamentals-timeseries: the asked-for ``type`` series, or the numbers of shares without one."""
    window = range(int(query.get("period1", 0)), int(query.get("period2", 2**40)) + 1)
    if "type" not in query:
        return _share_counts(histories, ticker, window, today)
    history, published = histories.history(ticker), statements(histories, ticker, today)
    currency = history.currency if history is not None else ""
    year_end = FISCAL_YEAR_END.get(histories.profile.code, 12)
    result = []
    for name in query["type"].split(","):
        frequency = next((prefix for prefix in MOST if name.startswith(prefix)), "")
        values = _series(published, frequency, name.removeprefix(frequency), year_end) if frequency else {}
        points = {_midnight(date): (date, value) for date, value in values.items() if _midnight(date) in window}
        entry: dict[str, Any] = {"meta": {"symbol": [ticker], "type": [name]}}
        if points:
            entry["timestamp"] = list(points)
            entry[name] = [_point(date, value, frequency, currency) for date, value in points.values()]
        result.append(entry)
    return Answer(200, {"timeseries": {"result": result, "error": None}})


def _series(published: Sequence[Statement], frequency: str, item: str, year_end: int) -> dict[dt.date, float]:
    """Values by period end, oldest first, no more than Yahoo shows."""
    field = FLOWS.get(item) or LEVELS.get(item)
    if field is None:
        return {}
    levels = {each.quarter: value for each in published if (value := getattr(each, field)) is not None}
    values = quarterly_flows(levels) if item in FLOWS and frequency == "quarterly" else levels
    ends = {quarter: quarter_end(quarter) for quarter in levels}
    chosen = [quarter for quarter in levels if frequency != "annual" or ends[quarter].month == year_end]
    return {ends[quarter]: values[quarter] for quarter in chosen[-MOST[frequency] :]}


def quarterly_flows(trailing: dict[int, float]) -> dict[int, float]:
    """Flows of single quarters from trailing ones (by quarter, ascending): every four in a row sum to the trailing one.

    The four before the first publication, and after a gap, are equal shares of it.
    """
    flows: dict[int, float] = {}
    year: list[float] = []
    for quarter, value in trailing.items():
        follows = quarter - 1 in trailing
        year = [*year[1:], year[0] + value - trailing[quarter - 1]] if follows else [value / 4] * 4
        flows[quarter] = year[-1]
    return flows


def _point(date: dt.date, value: float, frequency: str, currency: str) -> dict[str, Any]:
    return {
        "asOfDate": date.isoformat(),
        "periodType": PERIOD_TYPES[frequency],
        "currencyCode": currency,
        "reportedValue": {"raw": value, "fmt": f"{value:.2f}"},
    }


def _share_counts(histories: Histories, ticker: str, window: range, today: dt.date) -> Answer:
    """Numbers of shares as they were: at each publication, and at each split after the first one."""
    counts: dict[dt.date, float] = {}
    for row in histories.facts(ticker).iter_rows(named=True):
        if row["published"] <= today and row["shares_outstanding"] is not None:
            counts[row["published"]] = row["shares_outstanding"]
    history = histories.history(ticker)
    for split in history.until(today).splits if history is not None and counts else ():
        before = [date for date in counts if date < split.ex_date]
        if split.applied and before and split.ex_date not in counts:
            counts[split.ex_date] = counts[max(before)] * split.ratio
    dates = [date for date in sorted(counts) if _midnight(date) in window]
    if not dates:
        return Answer(200, {"timeseries": {"result": [], "error": None}})
    entry = {
        "meta": {"symbol": [ticker]},
        "timestamp": [_midnight(date) for date in dates],
        "shares_out": [round(counts[date]) for date in dates],
    }
    return Answer(200, {"timeseries": {"result": [entry], "error": None}})


def _midnight(date: dt.date) -> int:
    return int(dt.datetime(date.year, date.month, date.day, tzinfo=dt.UTC).timestamp())


# --- quoteSummary and quote -------------------------------------------------------------------------------------------


def summary(histories: Histories, ticker: str, modules: Sequence[str], today: dt.date) -> Answer:
    """quoteSummary: those of ``modules`` that there is something to say in."""
    whole = histories.history(ticker)
    history = whole and whole.until(today)
    if history is None or not len(history.sessions):
        return error("quoteSummary", 404, "Not Found", f"Quote not found for symbol: {ticker}")
    published = statements(histories, ticker, today)
    known = _modules(histories, history, adjust(history), published[-1] if published else None)
    result = {name: known[name] for name in modules if name in known}
    if not result:
        text = f"No fundamentals data found for any of the summaryTypes={','.join(modules)}"
        return error("quoteSummary", 404, "Not Found", text)
    return Answer(200, {"quoteSummary": {"result": [result], "error": None}})


def _modules(
    histories: Histories, history: History, shown: Adjusted, newest: Statement | None
) -> dict[str, dict[str, Any]]:
    chart_meta = meta(histories, history, shown, len(history.sessions) - 1, "1d")
    price = chart_meta["regularMarketPrice"]
    market_cap = _whole(_times(newest.shares, price)) if newest else None
    names = {"symbol": history.ticker, "shortName": history.ticker, "longName": history.ticker}
    dividend = newest.dividend if newest else None
    modules: dict[str, dict[str, Any]] = {
        "quoteType": {
            **names,
            "exchange": chart_meta["exchangeName"],
            "quoteType": chart_meta["instrumentType"],
            "firstTradeDateEpochUtc": chart_meta["firstTradeDate"],
            "timeZoneFullName": chart_meta["exchangeTimezoneName"],
            "timeZoneShortName": chart_meta["timezone"],
            "gmtOffSetMilliseconds": chart_meta["gmtoffset"] * 1000,
            "maxAge": 1,
        },
        "price": {
            **names,
            "currency": history.currency,
            "regularMarketPrice": price,
            "regularMarketTime": chart_meta["regularMarketTime"],
            "marketCap": market_cap,
            "maxAge": 1,
        },
        "summaryDetail": {
            "currency": history.currency,
            "previousClose": chart_meta.get("chartPreviousClose"),
            "volume": chart_meta["regularMarketVolume"],
            "marketCap": market_cap,
            "trailingPE": price / newest.eps if newest and newest.eps and newest.eps > 0 else None,
            "dividendRate": dividend,
            "trailingAnnualDividendRate": dividend,
            "trailingAnnualDividendYield": _times(dividend, 1 / price),
            "maxAge": 1,
        },
    }
    if newest is not None:
        modules |= _reported(histories, history, shown, newest, price)
    return modules


def _reported(
    histories: Histories, history: History, shown: Adjusted, newest: Statement, price: float
) -> dict[str, dict[str, Any]]:
    """The modules that exist for a company with publications only."""
    statistics: dict[str, Any] = {
        "sharesOutstanding": _whole(newest.shares),
        "impliedSharesOutstanding": _whole(newest.shares),
        "bookValue": newest.book_value,
        "priceToBook": price / newest.book_value if newest.book_value else None,
        "trailingEps": newest.eps,
        "netIncomeToCommon": _whole(newest.income),
        "profitMargins": newest.profit_margin,
        "mostRecentQuarter": _midnight(newest.period_end),
        "maxAge": 1,
    }
    if paid := np.flatnonzero(shown.dividend > 0).tolist():
        statistics["lastDividendValue"] = float(shown.dividend[paid[-1]])
        statistics["lastDividendDate"] = _midnight(history.sessions[paid[-1]].item())
    if history.splits:
        split = max(history.splits, key=lambda split: split.ex_date)
        top, bottom = Fraction(split.ratio).limit_denominator(1000).as_integer_ratio()
        statistics |= {"lastSplitFactor": f"{top}:{bottom}", "lastSplitDate": _midnight(split.ex_date)}
    financial = {
        "currentPrice": price,
        "totalRevenue": _whole(newest.revenue),
        "returnOnEquity": newest.return_on_equity,
        "profitMargins": newest.profit_margin,
        "financialCurrency": history.currency,
        "maxAge": 86400,
    }
    profile = {"sector": newest.sector, "industry": newest.industry, "maxAge": 86400}
    return {"defaultKeyStatistics": statistics, "financialData": financial, "assetProfile": profile}


def quotes(histories: Histories, symbols: Sequence[str], today: dt.date) -> Answer:
    """quote: one entry for each of ``symbols`` that exists, none for the others."""
    result = []
    for symbol in symbols:
        answer = summary(histories, symbol, ["quoteType", "price", "summaryDetail", "defaultKeyStatistics"], today)
        if answer.status != 200:
            continue
        parts = answer.body["quoteSummary"]["result"][0]
        statistics, detail = parts.get("defaultKeyStatistics", {}), parts["summaryDetail"]
        entry = {
            **parts["quoteType"],
            **parts["price"],
            "exchangeTimezoneName": parts["quoteType"]["timeZoneFullName"],
            "sharesOutstanding": statistics.get("sharesOutstanding"),
            "epsTrailingTwelveMonths": statistics.get("trailingEps"),
            "bookValue": statistics.get("bookValue"),
            "trailingAnnualDividendRate": detail["trailingAnnualDividendRate"],
            "regularMarketVolume": detail["volume"],
        }
        result.append({name: value for name, value in entry.items() if value is not None and name != "maxAge"})
    return Answer(200, {"quoteResponse": {"result": result, "error": None}})


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
