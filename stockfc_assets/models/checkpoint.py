"""Checkpoints: weights, buffers and card of a trained model in one safetensors file. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch

from stockfc_assets.errors import ModelError
from stockfc_assets.features.names import HORIZONS
from stockfc_assets.models.card import FEATURES, TrainedModel, card_bytes
from stockfc_assets.models.network import ForecastNetwork

if TYPE_CHECKING:
    from stockfc_assets.model_settings import ModelSettings

# One key only: safetensors does not write several in a fixed order.
KEY = "stockfc"
FORMAT = 1
REMEDY = "materialise trained_model of its month again"


def checkpoint_bytes(model: TrainedModel) -> bytes:
    """The model as a safetensors file; equal models give equal bytes."""
    tensors = {name: tensor.contiguous() for name, tensor in model.network.state_dict().items()}
    content = {"format": FORMAT, "card": model.card, "sha256": _digest(tensors, model.card)}
    return safetensors.torch.save(tensors, metadata={KEY: card_bytes(content).decode()})


def load_checkpoint(data: bytes, settings: ModelSettings) -> TrainedModel:
    """The model that `checkpoint_bytes` wrote.

    Raises ModelError when the bytes are no checkpoint, were altered, or belong to other features or to another network
    than ``settings.network`` describes.
    """
    tensors, content = _parse(data)
    card = content["card"]
    if content["sha256"] != _digest(tensors, card):
        raise ModelError(f"checkpoint of {card.get('month')}: altered after it was written (SHA-256 differs); {REMEDY}")
    for key, expected in (("features", FEATURES), ("horizons", list(HORIZONS))):
        if card.get(key) != expected:
            raise ModelError(
                f"checkpoint of {card['month']}: {key}: {card.get(key)!r}, this version has {expected!r}; {REMEDY}"
            )
    network = ForecastNetwork(settings.network)
    expected_shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(expected_shapes.keys() | shapes.keys()):
        if shapes.get(name) != expected_shapes.get(name):
            raise ModelError(
                f"checkpoint of {card['month']}: {name}: {shapes.get(name, 'missing')}, the network of model.yaml has "
                f"{expected_shapes.get(name, 'none')}; restore model.yaml's network or train in full"
            )
    network.load_state_dict(tensors)
    return TrainedModel(network.eval(), card)


def _parse(data: bytes) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        tensors = safetensors.torch.load(data)
        length = int.from_bytes(data[:8], "little")
        content = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][KEY])
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"not a checkpoint of this program ({error}); {REMEDY}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(f"checkpoint format {content!r:.40}: this version reads format {FORMAT}; {REMEDY}")
    return tensors, content


def _digest(tensors: dict[str, torch.Tensor], card: dict[str, Any]) -> str:
    digest = hashlib.sha256(card_bytes(card))
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}".encode())
        digest.update(tensors[name].detach().cpu().numpy().tobytes())
    return digest.hexdigest()
