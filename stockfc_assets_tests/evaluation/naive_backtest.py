"""A backtest as one would do it by hand: shares and cash, one stock and one day at a time, no index and no blocks."""

from __future__ import annotations

import math

import numpy as np

from stockfc_assets.evaluation.backtest import FIELD_NAMES, Market, TradingRules


def naive_path(
    market: Market, executions: list[int], targets: list[list[float]], rules: TradingRules
) -> dict[str, list[float]]:
    days, stocks = market.close.shape
    cash, shares, price = rules.capital, [0.0] * stocks, [math.nan] * stocks
    last_trade, leaving = [0] * stocks, [False] * stocks
    before = rules.capital
    path: dict[str, list[float]] = {name: [] for name in FIELD_NAMES}
    for day in range(days):
        gain = cost = bought_and_sold = ordered = unfilled = 0.0
        written = 0
        if before > 0:  # a short position pays for last evening's borrowed shares
            cost += sum(-min(n, 0) * p for n, p in zip(shares, price, strict=True) if n) * rules.borrow / 245
        cash -= cost
        can_trade = []
        for i in range(stocks):
            close = market.close[day, i]
            if not math.isnan(close):
                if shares[i]:
                    gain += shares[i] * (close - price[i])
                price[i] = close
                if market.dividend[day, i] > 0:
                    gain += shares[i] * market.dividend[day, i]
                    shares[i] += shares[i] * market.dividend[day, i] / close
            can_trade.append(not math.isnan(close) and market.turnover[day, i] > 0)
            if can_trade[i]:
                last_trade[i] = day
        for i in range(stocks):
            if shares[i] and day - last_trade[i] == rules.write_down_sessions:
                kept = 1 - rules.write_down if shares[i] > 0 else 1.0
                gain -= shares[i] * price[i] * (1 - kept)
                cash += shares[i] * price[i] * kept
                shares[i], leaving[i] = 0.0, False
                written += 1
        wealth = cash + sum(n * p for n, p in zip(shares, price, strict=True) if n)
        if day > executions[0] and wealth <= 0:
            gain, cash, shares, leaving, wealth = cost - before, 0.0, [0.0] * stocks, [False] * stocks, 0.0
        orders: dict[int, float] = {}
        if day in executions and wealth > 0:
            target = targets[executions.index(day)]
            for i in range(stocks):
                if shares[i] or target[i]:
                    orders[i] = target[i] * wealth - (shares[i] * price[i] if shares[i] else 0.0)
                leaving[i] = bool(shares[i]) and target[i] == 0 and not can_trade[i]
        elif day not in executions:
            for i in range(stocks):
                if leaving[i] and can_trade[i]:
                    orders[i], leaving[i] = -shares[i] * price[i], False
        for i, order in orders.items():
            most = rules.max_participation * market.turnover[day, i] if can_trade[i] else 0.0
            fill = max(-most, min(most, order))
            ordered += abs(order)
            unfilled += abs(order) - abs(fill)
            if fill:
                rate = rules.cost + rules.impact * math.sqrt(abs(fill) / market.turnover[day, i])
                paid = abs(fill) * rate + (rules.sell_tax * -fill if fill < 0 else 0.0)
                shares[i] = 0.0 if fill == -(shares[i] * price[i]) else shares[i] + fill / price[i]
                cash -= fill + paid
                cost += paid
                bought_and_sold += abs(fill)
        if cash + sum(n * p for n, p in zip(shares, price, strict=True) if n) <= 0 < before:
            gain, cash, shares, leaving = cost - before, 0.0, [0.0] * stocks, [False] * stocks
        if day < executions[0]:
            continue
        values = [n * p for n, p in zip(shares, price, strict=True) if n]
        wealth = cash + sum(values)
        over = before if before > 0 else math.inf
        after = wealth if wealth > 0 else math.inf
        row = (
            gain / over,
            (gain - cost) / over,
            cost / over,
            bought_and_sold / 2 / over,
            ordered / over,
            unfilled / over,
            sum(v for v in values if v > 0) / after,
            -sum(v for v in values if v < 0) / after,
            max((abs(v) for v in values), default=0.0) / after,
            len(values),
            written,
        )
        for name, value in zip(FIELD_NAMES, row, strict=True):
            path[name].append(float(value))
        before = max(wealth, 0.0)
    return {name: list(np.array(values)) for name, values in path.items()}
