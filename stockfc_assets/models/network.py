"""The forecasting network: raw features in (NaN = missing), log returns for 12 horizons out.

A bidirectional LSTM (Hochreiter and Schmidhuber 1997; Graves and Schmidhuber 2005) over 156 weeks; the final states of
both directions, a sector embedding, the static and position features go through an MLP to 12 outputs. Normalisation and
the scaling by the stock's own volatility are part of the graph, so training and serving cannot drift apart.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from stockfc_assets.features.names import (
    HORIZONS,
    POSITION_FEATURES,
    STATIC_FEATURES,
    VOLATILITY_FEATURE,
    WEEKLY_FEATURES,
)

if TYPE_CHECKING:
    from stockfc_assets.model_settings import NetworkSettings
    from stockfc_assets.models.normalisation import Normalisation

VOLATILITY_INDEX = WEEKLY_FEATURES.index(VOLATILITY_FEATURE)
MIN_VOLATILITY = 0.05
"""Annualised. Below it a stock has hardly traded, and errors divided by its volatility would drown all others."""
OUTPUT_GAIN = 0.02
"""Shrinks the output layer's first weights: an untrained network forecasts nearly no change."""


class NetworkInputs(NamedTuple):
    """Raw features of n samples; NaN = missing."""

    weekly_seq: torch.Tensor
    """float32 [n, 156, 23], oldest week first."""
    static_features: torch.Tensor
    """float32 [n, 6]"""
    position_features: torch.Tensor
    """float32 [n, 2], never missing."""
    sector_id: torch.Tensor
    """int64 [n], within the embedding (`samples.check_panel` refuses others)."""


class ForecastNetwork(nn.Module):
    """663,068 parameters at the default settings.

    Buffers (part of every checkpoint and export): the clip, median and scale of the training rows per feature, the
    volatility that stands in for a missing one, sqrt(h / 12) per horizon, and the restraint, by which what training
    arrived at is multiplied before it is published. A feature without a single training value has median NaN: it counts
    as missing for ever, because its weights have learnt nothing.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.register_buffer("clip", torch.tensor(settings.clip))
        self.register_buffer("weekly_median", torch.zeros(len(WEEKLY_FEATURES)))
        self.register_buffer("weekly_scale", torch.ones(len(WEEKLY_FEATURES)))
        self.register_buffer("static_median", torch.zeros(len(STATIC_FEATURES)))
        self.register_buffer("static_scale", torch.ones(len(STATIC_FEATURES)))
        self.register_buffer("fallback_volatility", torch.tensor(0.3))
        self.register_buffer("horizon_scale", torch.tensor([math.sqrt(h / 12) for h in HORIZONS]))
        self.register_buffer("restraint", torch.ones(len(HORIZONS)))
        self.sector_embedding = nn.Embedding(settings.sector_capacity, settings.sector_dim)
        self.lstm = nn.LSTM(
            2 * len(WEEKLY_FEATURES), settings.hidden, settings.layers, batch_first=True, bidirectional=True
        )
        width = 2 * settings.hidden + settings.sector_dim + 2 * len(STATIC_FEATURES) + len(POSITION_FEATURES)
        layers: list[nn.Module] = []
        for size in settings.mlp:
            layers += [nn.Linear(width, size), nn.GELU(), nn.Dropout(settings.dropout)]
            width = size
        self.mlp = nn.Sequential(*layers)
        self.output = nn.Linear(width, len(HORIZONS))
        self._initialise()

    def forward(
        self,
        weekly_seq: torch.Tensor,
        static_features: torch.Tensor,
        position_features: torch.Tensor,
        sector_id: torch.Tensor,
    ) -> torch.Tensor:
        """Log returns, float32 [n, 12]; finite for every input whose position features are."""
        inputs = NetworkInputs(weekly_seq, static_features, position_features, sector_id)
        return self.head(self.encode(weekly_seq), inputs) * self.restraint * self.scale(weekly_seq)

    def encode(self, weekly_seq: torch.Tensor) -> torch.Tensor:
        """Final states of the top layer's forward and backward direction, [n, 2 x hidden]."""
        _, (states, _) = self.lstm(_normalised(weekly_seq, self.weekly_median, self.weekly_scale, self.clip))
        return torch.cat([states[-2], states[-1]], dim=-1)

    def head(self, encoding: torch.Tensor, inputs: NetworkInputs) -> torch.Tensor:
        """Unrestrained forecasts in units of `scale`, float32 [n, 12], from the encodings of the same samples."""
        static = _normalised(inputs.static_features, self.static_median, self.static_scale, self.clip)
        sector = self.sector_embedding(inputs.sector_id)
        joined = torch.cat([encoding, sector, static, inputs.position_features], dim=-1)
        return self.output(self.mlp(joined)).float()

    def scale(self, weekly_seq: torch.Tensor) -> torch.Tensor:
        """Volatility of the as-of row (annualised) x sqrt(horizon months / 12), float32 [n, 12], > 0."""
        volatility = weekly_seq[:, -1, VOLATILITY_INDEX, None]
        known = torch.where(torch.isnan(volatility), self.fallback_volatility, volatility)
        return known.clamp(min=MIN_VOLATILITY) * self.horizon_scale

    def set_normalisation(self, values: Normalisation) -> None:
        """Fills the buffers with what `normalisation.fit_normalisation` found in the training rows."""
        for name in ("weekly_median", "weekly_scale", "static_median", "static_scale", "fallback_volatility"):
            getattr(self, name).copy_(torch.as_tensor(getattr(values, name)))

    def restrain(self, size: np.ndarray, ceiling: float) -> np.ndarray:
        """Scales what `forward` gives down to ``ceiling`` where it is larger; the factors, float32 [12], at most 1.

        ``size``: root mean square of unrestrained forecasts in units of `scale`, float [12]. A model's own data cannot
        tell how bold it may be: on what it was trained with any size looks right, and a validation period is one or two
        12-month moves of the market. The ceiling is what is known beforehand (`TrainingSettings.forecast_ceiling`).
        """
        factors = np.minimum(1.0, ceiling / np.maximum(size, 1e-12)).round(6).astype(np.float32)
        self.restraint.copy_(torch.from_numpy(factors))
        return factors

    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def _initialise(self) -> None:
        # A sector that no training sample has must add nothing, so embeddings grow from zero.
        nn.init.zeros_(self.sector_embedding.weight)
        # Forget gates start open (Jozefowicz, Zaremba and Sutskever 2015): the gradient reaches the oldest week.
        hidden = self.lstm.hidden_size
        with torch.no_grad():
            for name, parameter in self.lstm.named_parameters():
                if name.startswith("bias_ih"):
                    parameter[hidden : 2 * hidden] += 1.0
            self.output.weight.mul_(OUTPUT_GAIN)
            self.output.bias.zero_()


def _normalised(raw: torch.Tensor, median: torch.Tensor, scale: torch.Tensor, clip: torch.Tensor) -> torch.Tensor:
    """Features in (scaled) median absolute deviations, 0 where missing, then the mask of the missing: twice as wide."""
    deviations = (raw - median) / scale
    missing = torch.isnan(deviations)
    values = torch.where(missing, 0.0, deviations.clamp(-clip, clip))
    return torch.cat([values, missing.to(values.dtype)], dim=-1)
