"""docs/data-quality.md, made from findings.DEFECTS: ``python -m stockfc_assets.market.quality.guide`` prints it."""

from __future__ import annotations

from collections.abc import Sequence

from stockfc_assets.market.findings import FACT_DEFECTS, PRICE_DEFECTS, Defect

HEADER = """# Data quality: what each check means, and what to do

Made from `stockfc_assets/market/findings.py` by `python -m stockfc_assets.market.quality.guide`; a test keeps both the same.

Vendors' prices contain errors that have ruined real training sets. stockfc repairs none of them in silence: a row that cannot
be right is refused and named, a doubtful one is kept and named. Each finding says **ticker, session, what was seen and what
was expected**.

- An **error** keeps that one ticker out of that session's forecast; it stands under `skipped` with the reason. The others are
  forecast. A **warning** changes nothing.
- What blocks a whole session is something else: the laws of prices (`price_laws`) and too few prices (`price_coverage`), see
  [operations](operations.md).
- A session is judged by what was known when it ended: its own rows and those before. A backfill of the past judges as that
  evening would have.

## Where to look

| where | what |
|---|---|
| `stockfc quality [--from ... --to ...]` | the findings of the newest session, or of a range, with counts |
| `stockfc doctor` | errors and warnings of the newest 20 sessions in one line |
| Dagster, asset `price_quality` or `fact_quality`, tab *Checks* | one check per defect, with its findings and what to do |
| `quality/2026-02-06.json`, `quality/2026-02.json` | the record of a session, or of a month's facts |
| `predictions/2026-02-06.json`, `skipped` | the tickers that an error kept out |

## What to do, in general

1. Read the finding and compare with the exchange or the company's notice.
2. Fetch that session again once the service has corrected it: `stockfc backfill --from DAY --to DAY --force`. Without
   `--force` a live service is asked only for what is missing.
3. Publish again where the session's forecast was affected: `stockfc daily --session DAY`.
4. If the service never corrects it, bring your own prices for that stock ([own data](own-data.md)).

Thresholds are in `config/quality.yaml`, each with its reason. After a change, `stockfc quality --from DAY --again` judges the
stored sessions again (in the UI: materialise `price_quality`): nothing is fetched for it.
"""

LIMITS = """
## What no check can see

- **A close that is wrong by less than a day's ordinary move** (0.2 to 1 %, seen at a real vendor on days such as 2024-01-15).
  Only a second fetch shows it: the vendor's corrected close is then a `revised_history`.
- **A history that was rescaled as a whole** before it was first fetched, such as one of the three ways to write a spin-off:
  the series is consistent in itself. If the rescaling happens later, `revised_history` names it with the factor.
- **A split below about 1.4:1 that is missing**: its jump is within what a session may move.
- **Splits, dividends and volumes of thinly traded stocks** give fewer rows to judge by; doubts are warnings for this reason.
"""


def guide_markdown() -> str:
    """The page as Markdown."""
    return (
        HEADER
        + "\n## Prices\n"
        + _sections(PRICE_DEFECTS)
        + "\n## Company facts\n"
        + "\nFacts never keep a stock out of a forecast: the network sees a mask where they are missing.\n"
        + _sections(FACT_DEFECTS)
        + LIMITS
    )


def _sections(defects: Sequence[Defect]) -> str:
    return "".join(
        f"\n### {defect.name} ({defect.severity})\n\n**{defect.title}.** {defect.meaning}\n\n"
        f"*What happens:* {defect.handling}\n\n*What to do:* {defect.remedy}\n"
        for defect in defects
    )


if __name__ == "__main__":
    print(guide_markdown(), end="")
