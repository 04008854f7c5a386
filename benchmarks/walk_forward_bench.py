"""A walk-forward of 24 months x 31 tickers, from nothing to scores: `python -m benchmarks.walk_forward_bench`.

The embedded market, the default CPU profile, each step as the command that a person types: prices and features of ten
years, 24 monthly models (full training, fine-tuning, gate, baselines), the forecasts of every session since, scores and
backtests. ``--predictability 0`` walks through the market in which nothing can be predicted; ``--keep FOLDER`` leaves
the data there.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.platform_bench import REPO, timed

END = "2026-11"
STEPS = {
    "prices and features, 10 years": ("backfill", "--from", "2016-11-21", "--to", "2026-11-20"),
    "24 monthly models": ("monthly", "--from", "2024-12", "--to", END),
    "forecasts of every session, scores, report": ("daily", "--from", "2024-12-02", "--to", "2026-11-20"),
}


def walk(folder: Path, predictability: float | None) -> None:
    """Prints seconds and peak memory of each step, and what the forecasts of the walk were worth."""
    environ = {}
    if predictability is not None:
        config = folder / "config"
        shutil.copytree(REPO / "config", config)
        local = config / "environments" / "local.yaml"
        local.write_text(local.read_text() + f"sources: {{simulated: {{predictability: {predictability}}}}}\n")
        environ["STOCKFC_CONFIG"] = str(config)
    data = folder / "data"
    for name, arguments in STEPS.items():
        seconds, megabytes = timed("-m", "stockfc_assets.cli", *arguments, data=data, **environ)
        print(f"{name:<46} {seconds:6.0f} s {megabytes:7.0f} MB", flush=True)
    scores = json.loads((data / "forecast_scores" / f"{END}-01.json").read_text())
    for row in scores["by_forecaster"]:
        t = row["rank_ic_hac_t"]
        shown = "too few periods" if t is None else f"t {t:+.1f}"
        rank_ic = "       " if row["rank_ic"] is None else f"{row['rank_ic']:+.3f}"
        print(f"{row['forecaster']:<20} skill {row['skill']:+.3f}  rank IC {rank_ic} ({shown})  n {row['n']:,}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--predictability", type=float)
    parser.add_argument("--keep", type=Path, help="a folder that does not exist yet, to look at what was made")
    arguments = parser.parse_args()
    if arguments.keep:
        arguments.keep.mkdir(parents=True)
        walk(arguments.keep, arguments.predictability)
    else:
        with tempfile.TemporaryDirectory() as folder:
            walk(Path(folder), arguments.predictability)


if __name__ == "__main__":
    main()
