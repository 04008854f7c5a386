"""SIGKILL at random points of backfill, training, export and publication, in real processes that run the real jobs.

After each the same is asked for again, and the data root must hold the bytes of a run that was never killed. The instance
must know all of it, and no run may be left that never ends: the sensors would wait for it.
"""

import os
import random
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stockfc_assets_tests.faults.roots import copied, small_config, stored
from stockfc_assets_tests.faults.victims import MOMENTS, Victims, serving

BEFORE = {"backfill": None, "training": "history", "publication": "training"}
"""The stage whose data root a stage begins with."""
POINTS = {"backfill": 18, "training": 20, "publication": 18}
QUICK = 2


@dataclass(frozen=True)
class Point:
    stage: str
    moment: str
    """``time``, or a moment of a write."""
    share: float
    """Of the undisturbed run: of its seconds, or of its writes."""

    def __str__(self) -> str:
        return f"{self.stage}-{self.moment}-{self.share:.3f}"


def points() -> list[Any]:
    """As many by the clock as by writes; the first few of the quickest stage belong to the quick suite."""
    draw = random.Random(20240301)
    moments = [moment for each in MOMENTS for moment in ("time", each)]
    drawn = [
        Point(stage, moments[number % len(moments)], draw.uniform(0.02, 0.95))
        for stage, count in POINTS.items()
        for number in range(count)
    ]
    marks = [() if number < QUICK else (pytest.mark.service,) for number in range(len(drawn))]
    return [pytest.param(point, marks=mark, id=str(point)) for point, mark in zip(drawn, marks, strict=True)]


class Stages:
    """Undisturbed runs of the stages, each made once when it is first asked for."""

    def __init__(self, victims: Victims, folder: Path) -> None:
        self.victims = victims
        self.folder = folder
        self._ended: dict[str, dict[str, Any]] = {}

    def undisturbed(self, stage: str) -> dict[str, Any]:
        if stage not in self._ended:
            self.begin(stage, stage)
            ended = self.victims.run(self.folder, stage, stage)
            assert ended["status"] == 0
            self._ended[stage] = ended | {"files": stored(self.folder / stage)}
        return self._ended[stage]

    def begin(self, stage: str, data: str) -> None:
        if before := BEFORE.get(stage):
            self.undisturbed(before)
            copied(self.folder / before, self.folder / data)


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    small_config(folder)
    with serving() as victims:
        yield Stages(victims, folder)


def kill_at(stages: Stages, point: Point, data: str) -> None:
    """Runs the stage in ``data`` and kills it there; a run that was quicker than its clock is killed earlier."""
    whole = stages.undisturbed(point.stage)
    share = point.share
    while True:
        stages.begin(point.stage, data)
        if point.moment == "time":
            kill = {"after": share * whole["seconds"]}
        else:
            kill = {"write": 1 + int(share * whole["writes"]), "moment": point.moment}
        status = stages.victims.run(stages.folder, data, point.stage, kill)["status"]
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return
        assert (point.moment, status) == ("time", 0), f"{point}: ended by itself"
        shutil.rmtree(stages.folder / data)
        share /= 2


@pytest.mark.parametrize("point", points())
def test_a_killed_run_that_is_started_again_ends_in_the_same_bytes(stages, point):
    data = f"killed-{point}"
    kill_at(stages, point, data)
    whole = stages.undisturbed(point.stage)
    again = stages.victims.run(stages.folder, data, point.stage)
    assert again["status"] == 0
    assert stored(stages.folder / data) == whole["files"]
    assert again["knows"]["materialized"] == whole["knows"]["materialized"]
    assert set(again["knows"]["runs"]) <= {"SUCCESS", "FAILURE"}
    shutil.rmtree(stages.folder / data)


def test_at_least_fifty_points_are_tried_in_every_stage_at_every_moment():
    drawn = [parameter.values[0] for parameter in points()]
    assert len(drawn) >= 50
    assert {(point.stage, point.moment) for point in drawn} == {
        (stage, moment) for stage in POINTS for moment in ("time", *MOMENTS)
    }
