"""What all checks share: running one over every partition of a run, and showing its findings as a table.

What belongs here: looping and reporting. What does not: any law (market/laws.py, features/laws.py, ...).
Concept: https://docs.dagster.io/guides/test/asset-checks
"""

from collections.abc import Callable, Iterable

import dagster as dg

SHOWN = 50


def partitions_of(context: dg.AssetCheckExecutionContext, stored: Iterable[str]) -> list[str]:
    """The partitions of the run; for a check that is run by itself, the newest stored one."""
    context_of_run = context.op_execution_context
    if context_of_run.has_partition_key or context_of_run.has_partition_key_range:
        return sorted(context_of_run.partition_keys)
    return sorted(stored)[-1:]


def result(
    problems: list[str], partitions: list[str], *, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
) -> dg.AssetCheckResult:
    """Passed when there are no problems; otherwise the first of them as the description and all as a table."""
    rows = [dg.TableRecord({"problem": problem}) for problem in problems[:SHOWN]]
    metadata: dict[str, dg.MetadataValue] = {
        "partitions": dg.MetadataValue.text(f"{partitions[0]} to {partitions[-1]}" if partitions else "none"),
        "problems": dg.MetadataValue.int(len(problems)),
    }
    if rows:
        metadata["findings"] = dg.MetadataValue.table(rows)
    description = f"{len(problems)} problems; first: {problems[0]}" if problems else None
    return dg.AssetCheckResult(passed=not problems, severity=severity, metadata=metadata, description=description)


def check_each(partitions: list[str], find: Callable[[str], list[str]]) -> dg.AssetCheckResult:
    """Runs ``find`` on every partition and reports all problems together."""
    return result([problem for partition in partitions for problem in find(partition)], partitions)
