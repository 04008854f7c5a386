"""The asset checks, one module per room. Blocking ones keep downstream assets from running in the same run."""

import dagster as dg

from stockfc_assets.defs.checks import evaluation, features, forecasts, market, models, quality


def build_checks() -> list[dg.AssetChecksDefinition]:
    return [
        *market.build_checks(),
        *quality.build_checks(),
        *features.build_checks(),
        *models.build_checks(),
        *forecasts.build_checks(),
        *evaluation.build_checks(),
    ]
