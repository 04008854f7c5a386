"""When the jobs run by themselves.

What belongs here: which partition a tick asks for, or why it skips. What does not: the work itself.
Concept: https://docs.dagster.io/guides/automate/schedules

Schedules name the partition explicitly: Dagster's `build_schedule_from_partitioned_job` ignores the grid's exclusions
and would ask for Friday again on Saturday and Sunday.
"""

from zoneinfo import ZoneInfo

import dagster as dg

from stockfc_assets.defs.jobs import DAILY_FORECAST, MONTHLY_MODEL
from stockfc_assets.defs.partitions import month_of
from stockfc_assets.market.calendar import TradingCalendar
from stockfc_assets.settings import ScheduleSettings


def build_schedules(calendar: TradingCalendar, settings: ScheduleSettings) -> list[dg.ScheduleDefinition]:
    """daily_forecast and monthly_model, on the exchange's clock."""
    zone = calendar.profile.time_zone
    status = dg.DefaultScheduleStatus.RUNNING if settings.active else dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(
        name=f"{DAILY_FORECAST}_schedule",
        job_name=DAILY_FORECAST,
        cron_schedule=settings.daily_forecast,
        execution_timezone=zone,
        default_status=status,
        description="Each evening after a trading session: prices, features, forecast and report. "
        "Skips closed days and names the holiday.",
    )
    def daily_forecast_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.astimezone(ZoneInfo(zone)).date()
        reason = calendar.why_closed(today)
        if reason is not None:
            return dg.SkipReason(f"{today}: no session of {calendar.profile.code}: {reason}")
        return dg.RunRequest(run_key=f"{DAILY_FORECAST}-{today}", partition_key=today.isoformat())

    @dg.schedule(
        name=f"{MONTHLY_MODEL}_schedule",
        job_name=MONTHLY_MODEL,
        cron_schedule=settings.monthly_model,
        execution_timezone=zone,
        default_status=status,
        description="At the start of each month: facts, panel, fine-tuning or training, ONNX and the gate.",
    )
    def monthly_model_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        month = month_of(context.scheduled_execution_time.astimezone(ZoneInfo(zone)).date())
        return dg.RunRequest(run_key=f"{MONTHLY_MODEL}-{month}", partition_key=month.isoformat())

    return [daily_forecast_schedule, monthly_model_schedule]
