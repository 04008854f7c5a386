"""Where and how the network runs: device, threads, precision, seeds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def pick_device() -> torch.device:
    """CUDA when there is a device, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(wanted: Literal["auto", "float32", "bfloat16"], device: torch.device) -> Precision:
    """The precision of training's matrix products; auto = bfloat16 where the processor multiplies it in hardware.

    On the CPU that means AMX (four times as fast as float32 there, and just as repeatable). Scores, guards, intervals
    and the exported model are float32 whatever this says.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if torch.cpu.get_capabilities().get("amx_bf16", False) else "float32"


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """Mixed precision for the forward pass; weights, loss and optimiser state stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


@contextlib.contextmanager
def seeded(seed: int, threads: int, device: torch.device) -> Iterator[None]:
    """Inside: torch seeded, ``threads`` threads, deterministic algorithms on the CPU; afterwards all as it was before.

    With the same seed, threads, library versions and kind of processor a training gives the same bytes on the CPU;
    CUDA's LSTM does not promise that.
    """
    threads_before = torch.get_num_threads()
    deterministic_before = torch.are_deterministic_algorithms_enabled()
    tf32_before = torch.backends.cudnn.allow_tf32
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(device.type == "cpu")
        torch.backends.cudnn.allow_tf32 = False
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(deterministic_before)
            torch.backends.cudnn.allow_tf32 = tf32_before
