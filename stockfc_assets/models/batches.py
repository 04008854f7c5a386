"""The panel on the device, and batches gathered from it by index: no loader workers, no copy of any sequence."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from stockfc_assets.models.network import ForecastNetwork, NetworkInputs

if TYPE_CHECKING:
    from stockfc_assets.features.panel import Panel
    from stockfc_assets.models.samples import Samples

PREDICTION_BATCH = {"cpu": 64, "cuda": 4096}
"""Samples per float32 forward pass; on the CPU larger batches leave the cache and are slower."""


@dataclass(frozen=True)
class DeviceSamples:
    """`Samples` as tensors on the panel's device: int64 [n], int64 [n], bool [n, 12]."""

    ticker_index: torch.Tensor
    session_index: torch.Tensor
    labelled: torch.Tensor

    def __len__(self) -> int:
        return len(self.ticker_index)


class PanelTensors:
    """All arrays of a panel that training reads, resident on one device.

    On the CPU these are views of the panel's own (possibly memory-mapped) arrays, on CUDA one copy.
    """

    def __init__(self, panel: Panel, device: torch.device) -> None:
        self.device = device
        n_tickers, self.n_sessions = panel.traded.shape
        self._rows = self._tensor(panel.features).view(n_tickers * self.n_sessions, -1)
        self._last_row = self._tensor(panel.last_row).view(-1)
        self._sequence_sessions = self._tensor(panel.sequence_sessions)
        self._static = self._tensor(panel.static).view(n_tickers * self.n_sessions, -1)
        self._position = self._tensor(panel.position)
        self._sector_id = self._tensor(panel.sector_id)
        self._labels = self._tensor(panel.labels).view(n_tickers * self.n_sessions, -1)

    def inputs(self, ticker_index: torch.Tensor, session_index: torch.Tensor) -> NetworkInputs:
        """The network's inputs of eligible samples (int64 [n] each, on the panel's device)."""
        first = ticker_index * self.n_sessions
        sequence = self._sequence_sessions.index_select(0, session_index)
        newest = self._last_row.take(first[:, None] + sequence)
        rows = (first[:, None] + newest).view(-1)
        return NetworkInputs(
            weekly_seq=self._rows.index_select(0, rows).view(*sequence.shape, -1),
            static_features=self._static.index_select(0, first + session_index),
            position_features=self._position.index_select(0, session_index),
            sector_id=self._sector_id.index_select(0, ticker_index),
        )

    def labels(self, ticker_index: torch.Tensor, session_index: torch.Tensor) -> torch.Tensor:
        """float32 [n, 12], NaN where unknown."""
        return self._labels.index_select(0, ticker_index * self.n_sessions + session_index)

    def samples(self, samples: Samples) -> DeviceSamples:
        return DeviceSamples(
            self._tensor(samples.ticker_index), self._tensor(samples.session_index), self._tensor(samples.labelled)
        )

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        with warnings.catch_warnings():
            # A memory-mapped panel is read-only, and nothing here writes to it.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


@dataclass(frozen=True)
class Predictions:
    """What a network says of n samples, float32 on the host."""

    log_returns: np.ndarray
    """[n, 12]: unrestrained, unless `restrained`."""
    scale: np.ndarray
    """[n, 12]: trailing volatility x sqrt(horizon), > 0."""
    encodings: np.ndarray
    """[n, 2 x hidden]"""

    def size(self) -> np.ndarray:
        """Root mean square in units of ``scale``, float64 [12]."""
        return np.sqrt(np.mean(np.square(self.log_returns / self.scale, dtype=np.float64), axis=0))

    def restrained(self, factors: np.ndarray) -> Predictions:
        """As published: ``factors`` are those of `ForecastNetwork.restrain`."""
        return replace(self, log_returns=self.log_returns * factors)


def predict(network: ForecastNetwork, tensors: PanelTensors, samples: Samples) -> Predictions:
    """Unrestrained float32 predictions of eligible samples; the network is left in evaluation mode."""
    network.eval()
    chosen = tensors.samples(samples)
    scaled, scale, encodings = [], [], []
    with torch.inference_mode():
        for part in torch.arange(len(chosen), device=tensors.device).split(PREDICTION_BATCH[tensors.device.type]):
            inputs = tensors.inputs(chosen.ticker_index[part], chosen.session_index[part])
            encoding = network.encode(inputs.weekly_seq)
            encodings.append(encoding)
            scaled.append(network.head(encoding, inputs))
            scale.append(network.scale(inputs.weekly_seq))
    joined_scale = torch.cat(scale)
    return Predictions(
        log_returns=(torch.cat(scaled) * joined_scale).cpu().numpy(),
        scale=joined_scale.cpu().numpy(),
        encodings=torch.cat(encodings).cpu().numpy(),
    )
