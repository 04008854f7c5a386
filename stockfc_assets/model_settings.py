"""config/model.yaml: network, training, guards, intervals and baselines, each with its default and its reason."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stockfc_assets.frozen import Frozen, Positive, Ratio


class NetworkSettings(Frozen):
    """About 664,000 parameters at the defaults."""

    sector_capacity: Annotated[int, Field(ge=1)] = 33
    """Rows of the sector embedding; larger than the number of sectors so that new ones can be appended."""
    sector_dim: Annotated[int, Field(ge=1)] = 16
    hidden: Annotated[int, Field(ge=1)] = 128
    layers: Annotated[int, Field(ge=1)] = 2
    mlp: tuple[Annotated[int, Field(ge=1)], ...] = (224, 96)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    clip: Positive = 5.0
    """Inputs are clipped at this many (scaled) median absolute deviations."""


class LossSettings(Frozen):
    """Loss = Huber + rank_weight x rank + spread_weight x spread (stockfc_assets/models/losses.py)."""

    huber_delta: Positive = 1.0
    """In units of the scaled target (volatility x sqrt(horizon) of the stock itself)."""
    level_share: Ratio = 0.25
    """Of what all stocks of a date did together, Huber asks for this share; of what each did beside the others, for all.
    Ten years hold ten separate 12-month moves of a market: what is learnt of them is mostly chance, and would outweigh
    what is known of single stocks. On the simulated market a quarter instead of the whole turned the skill of 12-month
    forecasts from -0.03 to +0.05, with nothing to predict from -0.02 to -0.01, at the same rank IC. 0 = the market is
    expected to stand still."""
    rank_weight: Annotated[float, Field(ge=0)] = 0.2
    """Of 1 - soft rank correlation across the stocks of a date. Huber is about 0.3 and falls by a few hundredths; so
    does this term at 0.2 when the correlation rises by 0.1. On the simulated market 0.05 finds less and 0.5 no more."""
    rank_temperature: Positive = 0.3
    """Of the soft ranks, in standard deviations of the date's forecasts: stocks within about this distance count as
    partly tied, so that each pair pulls a little, and not only neighbours."""
    spread_weight: Annotated[float, Field(ge=0)] = 0.05
    """Of the squared shortfall of the spread of forecasts below its floor: one constant costs as much as a fifth of
    Huber, forecasts above the floor nothing."""
    spread_floor: Positive = 0.05
    """Spread of forecasts across the stocks of a date / spread of outcomes, both in units of volatility. The best linear
    forecast has its correlation with outcomes as this ratio, and 0.05 is what good forecasts of returns reach."""


class FullTrainingSettings(Frozen):
    samples_per_epoch: Annotated[int, Field(ge=1)] | None = None
    """Draw about this many samples per epoch, as whole dates evenly over time (a CPU's budget); null = all dates."""
    epochs: Annotated[int, Field(ge=1)] = 4
    patience: Annotated[int, Field(ge=1)] = 2
    """Stop after this many epochs without a better validation loss; the best epoch's weights are kept."""
    batch_size: Annotated[int, Field(ge=1)] = 128
    """About so many samples: batches hold whole dates."""
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    validation_months: Annotated[int, Field(ge=1)] = 18
    """As-of dates of the last so many months before the model's month validate (their matured labels only)."""
    validation_samples: Annotated[int, Field(ge=1)] = 4096
    """At most this many validation samples, evenly spaced in time."""


class FineTuningSettings(Frozen):
    epochs: Annotated[int, Field(ge=1)] = 2
    batch_size: Annotated[int, Field(ge=1)] = 64
    learning_rate: Positive = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    new_samples: Annotated[int, Field(ge=1)] = 700
    """About this many as-of samples with a label that matured in the last month, as whole dates."""
    replay_share: Annotated[float, Field(ge=0, lt=1)] = 0.33
    """Share of older dates in each epoch."""


class TrainingSettings(Frozen):
    seed: int = 7
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 where the processor multiplies it in hardware (CUDA, AMX), else float32."""
    threads: Annotated[int, Field(ge=1)] = 2
    max_cross_section: Annotated[int, Field(ge=5)] = 64
    """An epoch takes at most so many stocks of a date, at random: ranks among 64 say nearly what ranks among 4,000 say,
    and a batch still holds several dates."""
    loss: LossSettings = LossSettings()
    forecast_ceiling: Positive = 0.1
    """Published forecasts are scaled down, per horizon, where their root mean square exceeds this, in units of each stock's
    own volatility over the horizon (in which outcomes have about 1). The best linear forecast has its correlation with
    outcomes as this size, and above 0.1 a correlation on real data means a leak; on Core30 prices training arrives at 0.3
    to 0.6. Orders of stocks do not change. 1 and more: as trained."""
    embargo_sessions: Annotated[int, Field(ge=0)] = 5
    retrain_every_months: Annotated[int, Field(ge=1)] = 12
    history_months: Annotated[int, Field(ge=60)] = 120
    """The panel of a month holds this many months before it."""
    full: FullTrainingSettings = FullTrainingSettings()
    fine_tuning: FineTuningSettings = FineTuningSettings()


class GuardSettings(Frozen):
    """Floors and ceilings below or above which a model counts as collapsed and is not promoted."""

    min_spread_ratio: Annotated[float, Field(ge=0)] = 0.002
    """Spread of predictions across stocks / spread of outcomes."""
    min_distinct_share: Ratio = 0.5
    """Share of distinct outputs among predictions of one session (to 6 decimals)."""
    max_mean_cosine: Ratio = 0.9995
    """Mean cosine similarity between encodings of different stocks."""
    max_parity_difference: Positive = 1e-5
    """Largest absolute difference between torch and ONNX outputs."""


class IntervalSettings(Frozen):
    """The interval around a forecast, and how it follows its own misses (stockfc_assets/evaluation/intervals.py)."""

    level: Annotated[float, Field(ge=0.02, le=0.98)] = 0.8
    """Share of outcomes that it should hold."""
    step: Ratio = 0.2
    """Of each month's adjustment: 0 = fixed; above 0.36 it swings, because misses are known only after the horizon."""
    highest_level: Annotated[float, Field(ge=0.02, le=0.98)] = 0.98
    """After many misses it is widened to this level at most, ..."""
    lowest_level: Annotated[float, Field(ge=0.02, le=0.98)] = 0.5
    """... after few it is narrowed to this one at least."""

    @model_validator(mode="after")
    def _ordered(self) -> IntervalSettings:
        if not self.lowest_level <= self.level <= self.highest_level:
            raise ValueError(
                f"level {self.level} is not between lowest_level {self.lowest_level} and highest_level {self.highest_level}"
            )
        return self


class BaselineSettings(Frozen):
    """The learning baselines (stockfc_assets/evaluation/baselines): fixed, never chosen by how they score."""

    samples: Annotated[int, Field(ge=1)] = 20_000
    """Fitted on at most this many samples: whole dates, evenly spaced in time."""
    ridge_penalty: Positive = 1.0
    """In units of an input's variance: 1 halves the weight of an input that varies alone."""
    trees: Annotated[int, Field(ge=1)] = 60
    leaves: Annotated[int, Field(ge=2)] = 8
    learning_rate: Positive = 0.05
    min_leaf_samples: Annotated[int, Field(ge=1)] = 200


class ModelSettings(Frozen):
    network: NetworkSettings = NetworkSettings()
    training: TrainingSettings = TrainingSettings()
    guards: GuardSettings = GuardSettings()
    baselines: BaselineSettings = BaselineSettings()
    interval: IntervalSettings = IntervalSettings()
