"""Two daily runs at once, as two real processes on one data root: both succeed, and the bytes are those of one after the other."""

import os
import shutil
import subprocess
import sys

import pytest

from stockfc_assets_tests.conftest import REPO
from stockfc_assets_tests.faults.roots import stored

pytestmark = pytest.mark.service
PUBLISHED = ("predictions", "daily_predictions", "forecast_report")


@pytest.mark.parametrize(
    "sessions", [("2024-03-01", "2024-03-01"), ("2024-02-29", "2024-03-01"), ("2024-03-01", "2024-02-29")]
)
def test_two_daily_runs_at_once(copy, sessions):
    root = copy.settings.data_root
    sound = stored(root)
    for folder in PUBLISHED:
        shutil.rmtree(root / folder)
    environ = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    environ |= {"STOCKFC_CONFIG": str(root.parent / "config"), "STOCKFC_DATA": str(root)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "stockfc_assets.cli", "daily", "--session", session],
            env=environ, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for session in sessions
    ]  # fmt: skip
    for run in runs:
        said, _ = run.communicate(timeout=300)
        assert run.returncode == 0, said
    published = {path for path in sound if path.split("/")[0] in PUBLISHED}
    unasked = {path for path in published if "2024-" in path and not any(session in path for session in sessions)}
    assert stored(root) == {path: digest for path, digest in sound.items() if path not in unasked}
