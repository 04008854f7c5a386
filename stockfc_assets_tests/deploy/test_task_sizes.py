"""What a run on ECS asks for, by its job."""

from __future__ import annotations

import dagster as dg
import pytest

from stockfc_assets.defs.jobs import TASK_SIZES, build_jobs, task_size
from stockfc_assets.defs.partitions import build_grids
from stockfc_assets.market.calendar import trading_calendar
from stockfc_assets.settings import Environment

FARGATE = {
    512: range(1024, 4097, 1024),
    1024: range(2048, 8193, 1024),
    2048: range(4096, 16385, 1024),
    4096: range(8192, 30721, 1024),
}
"""CPU units -> MB that go with them (AWS Fargate, task size)."""


def test_every_size_is_one_that_fargate_offers_and_large_is_never_smaller() -> None:
    for small, large in TASK_SIZES.values():
        for cpu, memory in (small, large):
            assert memory in FARGATE[cpu]
        assert small[0] <= large[0]
        assert small[1] <= large[1]


@pytest.mark.parametrize(
    ("stocks", "monthly"), [(31, ("2048", "4096")), (500, ("2048", "4096")), (501, ("4096", "16384"))]
)
def test_each_job_carries_its_size(stocks: int, monthly: tuple[str, str]) -> None:
    grids = build_grids(trading_calendar("XTKS"), Environment().history_start)
    tags = {job.name: job.tags for job in build_jobs(grids, stocks, dg.in_process_executor)}
    assert (tags["monthly_model"]["ecs/cpu"], tags["monthly_model"]["ecs/memory"]) == monthly
    for name in TASK_SIZES:
        assert task_size(name, stocks).items() <= tags[name].items()
