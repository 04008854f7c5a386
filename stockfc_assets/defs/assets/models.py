"""Assets of the models room: the trained model, its ONNX file, and the champion that serves.

What belongs here: finding the parent model, reading and writing around one call into `stockfc_assets.models`. What does
not: networks and training. torch is imported inside the functions, so that loading definitions does not load it.
Concept: https://docs.dagster.io/guides/build/partitions-and-backfills
"""

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import numpy as np

from stockfc_assets.charts import as_markdown_image, loss_curve
from stockfc_assets.defs.materialization import Written, declared, write_each
from stockfc_assets.defs.partitions import PREVIOUS, SAME, WITH_PREVIOUS, Grids, history_before, month_of
from stockfc_assets.defs.resources import Platform
from stockfc_assets.defs.spread import Share, spread_asset
from stockfc_assets.errors import DataError, InputError
from stockfc_assets.evaluation.gate import EVIDENCE_MONTHS, chosen_by_hand, decide, roll_back, undecided, with_rollbacks
from stockfc_assets.forecasts.models import champion_before, champion_of, model_files
from stockfc_assets.running_settings import ExecutionSettings
from stockfc_assets.storage.warehouse import content_version, document_bytes

GROUP = "models"
PARITY_SAMPLES = 64

Cards = dict[str, dict[str, Any]]
"""Model cards by month key."""


class RollBack(dg.Config):
    """``serve``: the month (2026-01) whose model a person wants to serve; empty lets the gate decide. ``reason``: why."""

    serve: str = ""
    reason: str = ""


def build_assets(grids: Grids, execution: ExecutionSettings) -> list[dg.AssetsDefinition]:
    """trained_model, onnx_model, champion_model."""

    @spread_asset(
        execution,
        cut=_lines,
        mend=_train_again,
        **declared(GROUP, grids.months),
        kinds={"torch"},
        code_version="3",
        pool="training",
        deps=[
            dg.AssetDep("training_panel", partition_mapping=SAME),
            dg.AssetDep("trained_model", partition_mapping=PREVIOUS),
        ],
        description="Network weights (safetensors) and model card of a month, from data before the month. Fine-tuned from "
        "the newest earlier model that passed its guards; trained in full where there is none, and regularly.",
    )
    def trained_model(share: Share) -> Iterator[tuple[str, Written]]:
        # Of this run's months only those of the own share: what is stored of the others may be about to change.
        cards = _cards_before(share.platform, share.run_keys[0])
        for key in share.keys:
            written, cards[key] = _train(share, cards, key)
            yield key, written

    @spread_asset(
        execution,
        **declared(GROUP, grids.months),
        kinds={"onnx"},
        code_version="2",
        deps=[
            dg.AssetDep(trained_model, partition_mapping=SAME),
            dg.AssetDep("training_panel", partition_mapping=SAME),
        ],
        description="The model as one ONNX file with a dynamic batch (raw features in, log returns of 12 horizons out) and "
        "its card as JSON: features in order, sectors, window, data versions, hashes, scores.",
    )
    def onnx_model(share: Share) -> Iterator[tuple[str, Written]]:
        for key in share.keys:
            yield key, _export(share.platform, key)

    @dg.asset(
        **declared(GROUP, grids.months),
        kinds={"json"},
        code_version="2",
        deps=[
            dg.AssetDep(onnx_model, partition_mapping=WITH_PREVIOUS),
            dg.AssetDep("training_panel", partition_mapping=SAME),
            dg.AssetDep("champion_model", partition_mapping=history_before(EVIDENCE_MONTHS)),
        ],
        description="Which model serves from this month on, and why: the gate's decision with its evidence, or a person's "
        "roll-back (config: serve, reason). Daily forecasts use the newest champion not later than their own month.",
    )
    def champion_model(
        context: dg.AssetExecutionContext, config: RollBack, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.MaterializeResult]:
        if config.serve:
            yield from write_each(context, [_only_month(context)], lambda key: _roll_back(platform, key, config))
        else:
            yield from write_each(context, sorted(context.partition_keys), lambda key: _judge(context, platform, key))

    return [trained_model, onnx_model, champion_model]


def _judge(context: dg.AssetExecutionContext, platform: Platform, key: str) -> Written:
    """The gate's decision, from forecasts of earlier months that have matured."""
    from stockfc_assets.evaluation.shadow import evidence_before, shadow_forecasts
    from stockfc_assets.features.panel_file import stored_panel
    from stockfc_assets.models.guards import guard_failures

    month, warehouse, settings = dt.date.fromisoformat(key), platform.warehouse, platform.settings
    _, card = model_files(warehouse, month)
    panel = stored_panel(warehouse, key)
    pairs, none_because = shadow_forecasts(warehouse, settings, panel, month)
    warehouse.write_table("champion_model", key, pairs)
    if none_because:
        context.log.info(f"{key}: no forecasts to compare later: {none_because}")
    champion = champion_before(warehouse, month)
    evidence = evidence_before(warehouse, panel, month, against=chosen_by_hand(champion))
    decided = decide(month, card, guard_failures(card["guards"], settings.model.guards), champion, evidence)
    return _write_champion(platform, key, with_rollbacks(decided, _standing_rollbacks(context, platform, month)))


def _standing_rollbacks(context: dg.AssetExecutionContext, platform: Platform, month: dt.date) -> list[dict[str, Any]]:
    """The roll-backs of the record that is replaced; none, with a warning, where it is damaged: judging again heals it."""
    try:
        standing = champion_of(platform.warehouse, month) or {}
    except DataError as error:
        context.log.warning(
            f"{error}: done now; a roll-back that stood in it is lost, `stockfc rollback` makes it again"
        )
        return []
    return standing.get("rollbacks", [])


def _roll_back(platform: Platform, key: str, config: RollBack) -> Written:
    """A person's choice, from today on."""
    from stockfc_assets.evaluation.shadow import candidate

    month, now = dt.date.fromisoformat(key), platform.clock()
    profile = platform.calendar.profile
    if month != month_of(now.astimezone(ZoneInfo(profile.grid_zone)).date()):
        raise InputError(f"a roll-back is of the current month; {key[:7]} is not: its forecasts are published")
    if not config.reason.strip():
        raise InputError("a roll-back needs a reason: it stands in the record")
    card = candidate(platform.warehouse, platform.settings, _month(config.serve, month))
    since = max(month, now.astimezone(ZoneInfo(profile.time_zone)).date())
    standing = champion_of(platform.warehouse, month)
    record = standing or undecided(month, champion_before(platform.warehouse, month))
    return _write_champion(platform, key, roll_back(record, card, config.reason.strip(), since))


def _only_month(context: dg.AssetExecutionContext) -> str:
    keys = context.partition_keys
    if len(keys) != 1:
        raise InputError(f"a roll-back is of one month; {len(keys)} were asked for")
    return keys[0]


def _month(text: str, newest: dt.date) -> dt.date:
    """``2026-01`` as its first day; no later than ``newest``."""
    try:
        month = dt.date.fromisoformat(f"{text}-01")
    except ValueError:
        raise InputError(f"serve: {text!r} is not a month; write it as 2026-01") from None
    if month > newest:
        raise InputError(f"serve: {text} has not begun; the current month is {newest:%Y-%m}")
    return month


def _write_champion(platform: Platform, key: str, record: dict[str, Any]) -> Written:
    version = platform.warehouse.write_file(f"champion_model/{key}.json", document_bytes(record))
    evidence = {name: value for name, value in (record["evidence"] or {}).items() if value is not None}
    return Written(
        version,
        metadata={
            "decision": record["decision"],
            "serves": record["model"]["id"] if record["model"] else "none",
            "status": record["model"]["status"] if record["model"] else "none",
            "reason": record["reason"],
            "evidence": evidence,
        },
    )


def _lines(platform: Platform, keys: Sequence[str]) -> list[list[str]]:
    """Months that can be trained side by side, each with those fine-tuned from it, as far as can be told before."""
    from stockfc_assets.models.parents import expected_lines

    return expected_lines(_cards_before(platform, keys[0]), keys, platform.settings.model)


def _train_again(share: Share) -> Iterator[tuple[str, Written]]:
    """Months that did not continue from the model that they should have, as one before failed its guards."""
    from stockfc_assets.models.parents import find_parent

    cards = _cards_before(share.platform, share.run_keys[0])
    for key in share.keys:
        found = _card(share.platform, key)
        parent = find_parent(cards, dt.date.fromisoformat(key), share.platform.settings.model)
        if found["parent"] == (cards[parent]["model_id"] if parent else None):
            cards[key] = found
            continue
        share.log.info(f"{key}: again, now that the models before it are known")
        written, cards[key] = _train(share, cards, key)
        yield key, written


def _train(share: Share, cards: Mapping[str, Mapping[str, Any]], key: str) -> tuple[Written, dict[str, Any]]:
    """The month's model, given the ``cards`` of the months before; what was written, and its card."""
    from stockfc_assets.features.panel_file import stored_panel
    from stockfc_assets.models.checkpoint import checkpoint_bytes, load_checkpoint
    from stockfc_assets.models.fine_tuning import fine_tune
    from stockfc_assets.models.parents import find_parent
    from stockfc_assets.models.training import train_full

    month = dt.date.fromisoformat(key)
    settings = share.platform.settings.model
    warehouse = share.platform.warehouse
    panel = stored_panel(warehouse, key)
    panel_bytes = warehouse.read_file(f"training_panel/{key}.arrow", remedy="run it again")
    parent_key = find_parent(cards, month, settings)
    began = time.monotonic()
    arguments = {
        "data_versions": {"training_panel": content_version(panel_bytes)},
        "on_progress": lambda event: share.log.info(f"{key}: {event}"),
    }
    if parent_key is None:
        share.log.info(f"{key}: full training on {int(panel.eligible.sum())} samples")
        model = train_full(panel, settings, month, **arguments)
    else:
        share.log.info(f"{key}: fine-tuning the model of {parent_key}")
        parent = load_checkpoint(
            warehouse.read_file(f"trained_model/{parent_key}.safetensors", remedy="materialise it again"), settings
        )
        model = fine_tune(panel, parent, settings, month, **arguments)
    seconds = time.monotonic() - began
    best = next(epoch["epoch"] for epoch in model.card["history"] if epoch["best"])
    share.log.info(f"{key}: kept the weights of epoch {best}; trained {len(model.card['history'])} in {seconds:.0f} s")
    version = warehouse.write_file(f"trained_model/{key}.safetensors", checkpoint_bytes(model))
    warehouse.write_file(f"trained_model/{key}.json", document_bytes(model.card))
    return Written(version, metadata=_training_metadata(model.card, parent_key, seconds)), _card(share.platform, key)


def _cards_before(platform: Platform, key: str) -> Cards:
    """Cards of the months before ``key``."""
    stored = platform.warehouse.partitions("trained_model", suffix=".json")
    return {each: _card(platform, each) for each in stored if each < key}


def _card(platform: Platform, key: str) -> dict[str, Any]:
    return platform.warehouse.read_json(f"trained_model/{key}.json", remedy="materialise it again")


def _training_metadata(card: dict[str, Any], parent_key: str | None, seconds: float) -> dict[str, Any]:
    overall = card["validation"]["overall"]
    return {
        "kind": card["kind"],
        "parent": parent_key or "none",
        "seconds": round(seconds, 1),
        "samples": card["samples"],
        "validation_mse": overall["mse"] if overall["mse"] is not None else float("nan"),
        "validation_skill_against_no_change": overall["skill"] if overall["skill"] is not None else float("nan"),
        "guards": card["guards"],
        "loss_curve": dg.MetadataValue.md(as_markdown_image(loss_curve(card["history"]), "loss per epoch")),
    }


def _export(platform: Platform, key: str) -> Written:
    from stockfc_assets.features.panel import gather
    from stockfc_assets.features.panel_file import stored_panel
    from stockfc_assets.models.card import model_card
    from stockfc_assets.models.checkpoint import load_checkpoint
    from stockfc_assets.models.export import export_onnx, parity

    warehouse = platform.warehouse
    checkpoint = warehouse.read_file(
        f"trained_model/{key}.safetensors", remedy=f"materialise trained_model for {key} first"
    )
    trained = load_checkpoint(checkpoint, platform.settings.model)
    panel = stored_panel(warehouse, key)
    data = export_onnx(trained.network)
    difference = parity(trained.network, data, gather(panel, *_parity_samples(panel.eligible)))
    card = model_card(trained, data, difference, platform.settings.sectors)
    version = warehouse.write_file(f"onnx_model/{key}/model.onnx", data)
    warehouse.write_file(f"onnx_model/{key}/model.json", document_bytes(card))
    return Written(
        version,
        metadata={
            "model_id": card["model_id"],
            "megabytes": round(len(data) / 1e6, 2),
            "parity_max_abs_difference": card["onnx"]["parity_max_abs_difference"],
        },
    )


def _parity_samples(eligible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced real samples on which torch and ONNX are compared."""
    ticker, session = np.nonzero(eligible)
    chosen = np.linspace(0, len(ticker) - 1, num=min(PARITY_SAMPLES, len(ticker)), dtype=np.int64)
    return ticker[chosen], session[chosen]
