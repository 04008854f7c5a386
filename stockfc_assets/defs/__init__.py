"""Everything that knows Dagster, and nothing else.

What belongs here: assets, checks, partitions, jobs, schedules and instance storage, as thin wiring around the plain
Python of the other rooms. What does not: any logic that a test would want to call without Dagster.
Concepts: https://docs.dagster.io/guides/build/assets
"""
