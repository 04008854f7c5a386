"""docs/data-contracts.md, made from tables.py: ``python -m stockfc_assets.contracts > docs/data-contracts.md``."""

from __future__ import annotations

import inspect

import dataframely as dy

from stockfc_assets.tables import TABLES

HEADER = """# Data contracts

Made from `stockfc_assets/tables.py` by `python -m stockfc_assets.contracts`; a test keeps both the same.

Laws that hold for every table:

- Prices are stored **as traded**: what was paid that day. Adjustment for splits happens on reading
  (`stockfc_assets.market.as_traded.adjusted_bars`), from the splits known at the reader's date.
- A session without a trade has no row. Nothing is invented: no forward-filled price, no zero bar.
- A missing number is null (NaN in arrays) and reaches the model with a mask; it is never 0.
- Company facts carry the date at which they were known. A fact fetched today is never written into a past month.
- Membership is dated: a stock is trained on, scored and forecast only between `member_from` and `member_to`.
- Sessions are dates in the exchange's time zone; money is in the listing currency.
- Nothing in a partition depends on anything that was not known at the partition's own time.

Tables are Zstandard Parquet, one file per partition, at `<root>/<asset>/<partition>.parquet`. A partition's data version
is the first 16 hex digits of its file's SHA-256. What must be known of a fetch beside its rows (stocks that did not trade,
stocks that failed and why, what was refused) is JSON under the key `stockfc` in the Parquet file's own metadata.
"""

FILES = """
## Other files

| file | content |
|---|---|
| `training_panel/{month}.arrow` | Arrow IPC, memory-mapped: features [ticker, session, 23], static, position, labels |
| `trained_model/{month}.safetensors`, `.json` | network weights and model card |
| `onnx_model/{month}/model.onnx`, `model.json` | the exported model (raw features in, log returns out) and its card |
| `champion_model/{month}.json` | which model serves from that month on, and why ([the gate](gate.md)) |
| `champion_model/{month}.parquet` | forecasts of both sides on the month end before, never published: the gate's evidence |
| `predictions/{session}.json`, `latest.json` | the published forecasts (below) |
| `forecast_scores/{month}.json` | scores of what had matured when the month began: by horizon, sector, year, forecaster |
| `backtest/{month}.json` | what trading on the forecasts published before the month would have brought ([rules](backtest.md)) |
| `forecast_report/{session}.html` | one self-contained page |
| `quality/{session}.json`, `{month}.json` | defects of a session's prices, a month's facts ([guide](data-quality.md)) |
| `source.json` | which price source this root belongs to: prices of two sources are never mixed |

## The predictions file

    {"timestamp": "2026-02-06T23:00:00", "session": "2026-02-06", "num_predictions": 31,
     "source": {"name": "simulated", "label": "...", "simulated": true},
     "model": {"id": "2026-02-...", "month": "2026-02", "trained_through": "...", "kind": "...", "status": "unproven"},
     "interval_level": 0.8, "interval": {"level": 0.8, "alpha_by_horizon": [0.2, ...], "n": [...], "n_effective": [...]},
     "predictions": [
       {"ticker": "2914.T", "name": "...", "as_of_date": "2026-02-06", "current_price": 4250.5,
        "predictions": [{"month": 1, "predicted_price": 4280.2, "return": 0.007, "lower": ..., "upper": ...}, ... 12],
        "predicted_12m_price": 4625.3, "predicted_12m_return": 0.088, "sector": "Foods"}],
     "skipped": [{"ticker": "8729.T", "name": "...", "reason": "19 of 156 weeks of history"}],
     "track_record": {"matured_before": "...", "horizons": [...], "overall": {...}}}

`return` is simple (price ratio - 1). `lower` to `upper` is to hold `level` of all outcomes: `alpha_by_horizon` is the
miss rate at which it was drawn to do so, 1 - level moved by the misses of the forecasts that had matured; `n` and
`n_effective` are the validation residuals behind it, all and those that do not overlap in time. `latest.json` is a copy of
the newest session's file and never moves back in time.
Keys may be added, none is removed.
"""


def contracts_markdown() -> str:
    """The page as Markdown."""
    return HEADER + "".join(_table(asset, table) for asset, table in TABLES.items()) + FILES


def _table(asset: str, table: type[dy.Schema]) -> str:
    lines = [
        f"\n## {asset}\n",
        inspect.getdoc(table) or "",
        "",
        "| column | type | null | description |",
        "|---|---|---|---|",
    ]
    for name, column in table.columns().items():
        key = " (key)" if column.primary_key else ""
        nullable = "yes" if column.nullable else "no"
        lines.append(f"| `{name}`{key} | {column.dtype} | {nullable} | {column.description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(contracts_markdown(), end="")
