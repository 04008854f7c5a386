"""`stockfc`: the same Dagster jobs from a terminal, on the same instance, so that the UI shows every run."""

from stockfc_assets.cli.program import main

__all__ = ["main"]
