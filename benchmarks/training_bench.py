"""Speed and memory of training on random numbers: `python benchmarks/training_bench.py [--batch 1024] [--samples
40000]`.

Needs torch, NumPy, safetensors and onnx only, so that it runs on a bare GPU machine, too (set PYTHONPATH to the
checkout).
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import resource
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np

from stockfc_assets.features.names import HORIZONS, STATIC_FEATURES, WEEKLY_FEATURES
from stockfc_assets.features.weeks import months_later, sequence_indices
from stockfc_assets.models.batches import PanelTensors  # before torch: it sets how threads wait
from stockfc_assets.models.card import TrainedModel, training_card
from stockfc_assets.models.cross_sections import Epoch, batched, cross_sections, epoch_order
from stockfc_assets.models.fine_tuning import fine_tune
from stockfc_assets.models.network import VOLATILITY_INDEX, ForecastNetwork, NetworkInputs
from stockfc_assets.models.normalisation import fit_normalisation
from stockfc_assets.models.optimise import Plan, optimise
from stockfc_assets.models.runtime import autocast, pick_device, resolve_precision, seeded
from stockfc_assets.models.samples import matured_before
from stockfc_assets.models.training import train_full

import torch  # isort: skip

MONTH = dt.date(2026, 2, 1)
PARENT_MONTH = dt.date(2026, 1, 1)
LOSS = SimpleNamespace(
    huber_delta=1.0, level_share=0.25, rank_weight=0.2, rank_temperature=0.3, spread_weight=0.05, spread_floor=0.05
)  # fmt: skip
Figures = dict[str, Any]


def settings(**full: Any) -> SimpleNamespace:
    """The fields of ModelSettings at their defaults, without pydantic."""
    network = SimpleNamespace(
        sector_capacity=33, sector_dim=16, hidden=128, layers=2, mlp=(224, 96), dropout=0.1, clip=5.0
    )
    full_training = SimpleNamespace(
        **{
            "samples_per_epoch": None, "epochs": 4, "patience": 2, "batch_size": 128, "learning_rate": 1e-3,
            "weight_decay": 1e-4, "validation_months": 18, "validation_samples": 4096,
        } | full
    )  # fmt: skip
    tuning = SimpleNamespace(
        epochs=2, batch_size=64, learning_rate=1e-4, weight_decay=1e-4, new_samples=700, replay_share=0.33
    )
    training = SimpleNamespace(
        seed=7, precision="auto", threads=2, max_cross_section=64, forecast_ceiling=0.1, loss=LOSS, embargo_sessions=5,
        full=full_training,
        fine_tuning=tuning,
    )  # fmt: skip
    return SimpleNamespace(network=network, training=training)


def random_panel(n_tickers: int = 31, years: int = 10, seed: int = 0) -> SimpleNamespace:
    """The fields of a `Panel` over weekdays, full of random numbers, every ticker trading every day."""
    generator = np.random.default_rng(seed)
    days = np.arange(np.datetime64(MONTH) - 365 * years, np.datetime64(MONTH), dtype="datetime64[D]")
    sessions = days[np.is_busday(days)]
    shape = (n_tickers, len(sessions))
    features = generator.standard_normal((*shape, len(WEEKLY_FEATURES)), dtype=np.float32)
    features[..., VOLATILITY_INDEX] = 0.3
    labels = 0.2 * generator.standard_normal((*shape, len(HORIZONS)), dtype=np.float32)
    label_end = np.stack([months_later(sessions, h) for h in HORIZONS], axis=1)
    labels[:, label_end >= np.datetime64(MONTH)] = np.nan
    sequences = sequence_indices(sessions)
    everywhere = np.ones(shape, dtype=bool)
    return SimpleNamespace(
        month=MONTH,
        tickers=tuple(f"{1000 + i}.T" for i in range(n_tickers)),
        sessions=sessions,
        features=features,
        static=generator.standard_normal((*shape, len(STATIC_FEATURES)), dtype=np.float32),
        position=generator.random((len(sessions), 2), dtype=np.float32),
        labels=labels,
        label_end=label_end,
        sector_id=np.arange(n_tickers) % 18,
        traded=everywhere,
        member=everywhere,
        sequence_sessions=sequences,
        last_row=np.broadcast_to(np.arange(len(sessions), dtype=np.int32), shape).copy(),
        weeks_of_history=np.broadcast_to((sequences >= 0).sum(axis=1).astype(np.int16), shape).copy(),
        eligible=np.broadcast_to(sequences.min(axis=1) >= 0, shape).copy(),
    )


def throughput(batch_size: int, steps: int, repeats: int = 5, threads: int = 2) -> Figures:
    """Samples per second of the training loop and of a bare loop of the same network, in turns; the best of each.

    Ours: whole dates of 31 stocks, all three terms of the loss. The bare loop: forward, Huber loss, backward, gradient
    clipping, AdamW, on one batch of random tensors of the same size that already lie on the device.
    """
    device = pick_device()
    precision = resolve_precision("auto", device)
    panel = random_panel()
    samples = matured_before(panel, MONTH)
    sections = cross_sections(samples.session_index, 64)
    dates = max(1, round(batch_size / sections.stocks))
    batch_size = round(dates * sections.stocks)
    count = batch_size * steps
    tensors = PanelTensors(panel, device)
    with seeded(0, threads, device):
        network = ForecastNetwork(settings().network)
        network.set_normalisation(fit_normalisation(panel, len(panel.sessions) - 1))
        network.to(device)
        generator = torch.Generator().manual_seed(0)
        on_device = tensors.samples(samples)
        plan = Plan(1, 1e-4, 1e-4, LOSS, precision, decay=True)

        def ours() -> None:
            def next_epoch() -> Epoch:
                return batched(sections, epoch_order(len(sections), dates * steps, generator), batch_size, generator)

            optimise(network, tensors, on_device, next_epoch, plan)

        inputs = tensors.inputs(on_device.ticker_index[:batch_size], on_device.session_index[:batch_size])
        inputs = NetworkInputs(*(tensor.clone() for tensor in inputs))
        target = torch.randn(batch_size, len(HORIZONS), device=device)
        bare_optimizer = torch.optim.AdamW(network.parameters(), 1e-4)

        def bare() -> None:
            network.train()
            for _ in range(steps):
                with autocast(precision, device):
                    predicted = network.head(network.encode(inputs.weekly_seq), inputs)
                bare_optimizer.zero_grad(set_to_none=True)
                torch.nn.functional.huber_loss(predicted, target).backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                bare_optimizer.step()

        seconds: dict[str, list[float]] = {"ours": [], "bare": []}
        for repeat in range(repeats + 1):
            for name, loop in (("ours", ours), ("bare", bare)):
                elapsed = _timed(loop, device)
                if repeat:
                    seconds[name].append(elapsed)
    best = {name: min(values) for name, values in seconds.items()}
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "precision": precision,
        "threads": threads,
        "batch_size": batch_size,
        "samples_per_second": count / best["ours"],
        "bare_samples_per_second": count / best["bare"],
        "share_of_bare": best["bare"] / best["ours"],
    }


def full_training(samples_per_epoch: int | None, epochs: int, batch_size: int) -> Figures:
    """Seconds of `train_full` with validation, scores and guards, on 31 tickers x 10 years (over 40,000 training
    samples)."""
    panel = random_panel()
    chosen = settings(samples_per_epoch=samples_per_epoch, epochs=epochs, patience=epochs, batch_size=batch_size)
    began = time.perf_counter()
    model = train_full(panel, chosen, MONTH)
    return {
        "seconds": time.perf_counter() - began,
        "epochs": epochs,
        "samples_per_epoch": model.card["history"][0]["samples"],
        "training_samples": model.card["samples"]["train"],
        "validation_samples": model.card["samples"]["validation"],
    }


def fine_tuning() -> Figures:
    """Seconds and peak memory of `fine_tune` at the default settings (1,054 samples an epoch, 2 epochs), in this
    process."""
    panel = random_panel()
    network = ForecastNetwork(settings().network)
    network.set_normalisation(fit_normalisation(panel, len(panel.sessions) - 1))
    inherited: dict[str, Any] = {key: {} for key in ("window", "samples", "validation", "interval")}
    parent = TrainedModel(network.eval(), training_card(network, panel, PARENT_MONTH, **inherited))
    began = time.perf_counter()
    child = fine_tune(panel, parent, settings(), MONTH)
    return {
        "seconds": time.perf_counter() - began,
        "samples_per_epoch": child.card["history"][0]["samples"],
        "peak_rss_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def fine_tuning_in_fresh_process() -> Figures:
    """`fine_tuning` with nothing else in the process's memory."""
    command = [sys.executable, __file__, "--only", "fine_tuning"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["fine_tuning"]


def figures(batch_size: int, steps: int, samples_per_epoch: int | None, epochs: int) -> dict[str, Figures]:
    return {
        "throughput": throughput(batch_size, steps),
        "full_training": full_training(samples_per_epoch, epochs, batch_size),
        "fine_tuning": fine_tuning_in_fresh_process(),
    }


def _timed(loop: Any, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    began = time.perf_counter()
    loop()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def main() -> None:
    gpu = pick_device().type == "cuda"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=1024 if gpu else 128)
    parser.add_argument("--steps", type=int, default=30 if gpu else 8)
    parser.add_argument("--samples", type=int, default=None if gpu else 2048, help="samples per epoch (GPU: all)")
    parser.add_argument("--epochs", type=int, default=3 if gpu else 1)
    parser.add_argument("--only", choices=["throughput", "full_training", "fine_tuning"])
    arguments = parser.parse_args()
    parts = {
        "throughput": lambda: throughput(arguments.batch, arguments.steps),
        "full_training": lambda: full_training(arguments.samples, arguments.epochs, arguments.batch),
        "fine_tuning": fine_tuning if arguments.only else fine_tuning_in_fresh_process,
    }
    print(json.dumps({name: part() for name, part in parts.items() if arguments.only in (None, name)}, indent=1))


if __name__ == "__main__":
    main()
