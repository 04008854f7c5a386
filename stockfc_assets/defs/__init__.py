"""Everything that knows Dagster, and nothing else.

What belongs here: assets, checks, partitions, jobs, schedules and instance storage, as thin wiring around the plain
Python of the other rooms. What does not: any logic that a test would want to call without Dagster.
Concepts: https://docs.dagster.io/guides/build/assets
"""

import warnings

import dagster as dg

# Features marked beta in Dagster 1.13 (backfill policies, partition windows that reach before the start) are pinned and
# tested here; the warning would stand above every command's output.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
