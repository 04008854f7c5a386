"""A run at a terminal whose process was killed: it ends, and the sensors go on; one that lives is left alone."""

import os
import subprocess
import sys
import textwrap

import dagster as dg
import pytest

from stockfc_assets.defs.abandoned import PROCESS_TAG, end_abandoned_runs, terminal_tags
from stockfc_assets.defs.instance import open_instance
from stockfc_assets.defs.jobs import HISTORY
from stockfc_assets_tests.defs.test_sensors import FIRST, tick

STARTED, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE


def begun(bench, instance, tags) -> dg.DagsterRun:
    return instance.create_run_for_job(bench.definitions.resolve_job_def(HISTORY), status=STARTED, tags=tags)


def tags_of_a_killed_process() -> dict[str, str]:
    code = "from stockfc_assets.defs.abandoned import terminal_tags as t; print(t()['stockfc/process'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {PROCESS_TAG: ended.stdout.strip()}


def test_a_killed_run_is_named_as_failed_and_no_longer_silences_the_sensor(bench, instance):
    bench.backfill(FIRST, FIRST)
    run = begun(bench, instance, tags_of_a_killed_process())
    data, _ = tick("missing_sessions", bench, instance)
    assert data.run_requests
    assert instance.get_run_by_id(run.run_id).status == FAILURE
    (failure,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert "its process is gone: killed, out of memory" in failure.message


def test_opening_the_instance_ends_it_too_so_that_status_tells_the_truth(bench, instance):
    run = begun(bench, instance, tags_of_a_killed_process())
    with open_instance(bench.settings) as opened:
        assert opened.get_run_by_id(run.run_id).status == FAILURE


def other_pid_start(tags):
    machine, pid, started = tags[PROCESS_TAG].split()
    return {PROCESS_TAG: f"{machine} {pid} {int(started) - 1}"}


def other_machine(tags):
    return {PROCESS_TAG: f"elsewhere/{tags[PROCESS_TAG].partition('/')[2]}"}


def other_container(tags):
    return {PROCESS_TAG: tags[PROCESS_TAG].replace("pid:[", "pid:[9")}


@pytest.mark.parametrize(
    ("change", "ended"),
    [
        (lambda tags: tags, False),
        (other_pid_start, True),
        (other_machine, False),
        (other_container, False),
        (lambda _: {}, False),
    ],
    ids=["lives", "its number was given again", "of another machine", "of another container", "of the daemon"],
)
def test_only_what_is_known_to_be_gone_is_ended(bench, instance, change, ended):
    run = begun(bench, instance, change(terminal_tags()))
    assert end_abandoned_runs(instance) == ([run.run_id] if ended else [])
    assert instance.get_run_by_id(run.run_id).status == (FAILURE if ended else STARTED)


def test_a_zombie_is_gone(bench, instance):
    code = textwrap.dedent(
        """
        import sys
        from stockfc_assets.defs.abandoned import terminal_tags
        print(terminal_tags()['stockfc/process'], flush=True)
        sys.stdin.read()
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        run = begun(bench, instance, {PROCESS_TAG: p.stdout.readline().strip()})
        assert end_abandoned_runs(instance) == []
        p.kill()
        os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT)
        assert end_abandoned_runs(instance) == [run.run_id]


def test_runs_of_a_terminal_say_whose_they_are_and_are_never_started_again_by_the_daemon(bench, instance):
    bench.backfill(FIRST, FIRST)
    (run,) = instance.get_runs()
    assert run.tags[PROCESS_TAG] == terminal_tags()[PROCESS_TAG]
    assert run.tags["dagster/max_retries"] == "0"
