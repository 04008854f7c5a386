"""Checkpoints: exact round trip, and every altered or foreign file refused by name."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

from stockfc_assets.errors import ModelError
from stockfc_assets.model_settings import ModelSettings
from stockfc_assets.models.card import TrainedModel
from stockfc_assets.models.checkpoint import checkpoint_bytes, load_checkpoint
from stockfc_assets_tests.models.synthetic import tiny_settings


def rewritten(data: bytes, **changes: object) -> bytes:
    """The checkpoint with its own tensors and a card in which ``changes`` were made, digest as it was."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    content = json.loads(header["__metadata__"]["stockfc"])
    content["card"] |= changes
    return safetensors.torch.save(safetensors.torch.load(data), metadata={"stockfc": json.dumps(content)})


def test_round_trip_is_exact(parent: TrainedModel) -> None:
    data = checkpoint_bytes(parent)
    found = load_checkpoint(data, tiny_settings())
    assert found.card == parent.card
    expected = parent.network.state_dict()
    assert found.network.state_dict().keys() == expected.keys()
    for name, tensor in found.network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0, equal_nan=True)
    assert not found.network.training
    assert checkpoint_bytes(found) == data


def test_bytes_follow_from_the_model(parent: TrainedModel) -> None:
    assert len({checkpoint_bytes(parent) for _ in range(8)}) == 1


@pytest.mark.parametrize("position", [-1, -2000])
def test_an_altered_weight_is_noticed(parent: TrainedModel, position: int) -> None:
    data = bytearray(checkpoint_bytes(parent))
    data[position] ^= 1
    with pytest.raises(ModelError, match=r"checkpoint of 2022-02: altered after it was written \(SHA-256 differs\)"):
        load_checkpoint(bytes(data), tiny_settings())


def test_an_altered_card_is_noticed(parent: TrainedModel) -> None:
    with pytest.raises(ModelError, match="altered after it was written"):
        load_checkpoint(rewritten(checkpoint_bytes(parent), trained_through="2022-02-28"), tiny_settings())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 not a checkpoint",
        b"\xff" * 64,
        safetensors.torch.save({"a": torch.zeros(2)}),
        safetensors.torch.save({"a": torch.zeros(2)}, metadata={"stockfc": "{"}),
    ],
)
def test_foreign_files_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match="not a checkpoint of this program"):
        load_checkpoint(data, tiny_settings())


def test_a_cut_file_is_refused(parent: TrainedModel) -> None:
    data = checkpoint_bytes(parent)
    with pytest.raises(ModelError, match="not a checkpoint of this program"):
        load_checkpoint(data[: len(data) // 2], tiny_settings())


@pytest.mark.parametrize("content", ['{"format": 99}', "[]"])
def test_other_formats_are_refused(content: str) -> None:
    data = safetensors.torch.save({"a": torch.zeros(2)}, metadata={"stockfc": content})
    with pytest.raises(ModelError, match="this version reads format 1"):
        load_checkpoint(data, tiny_settings())


def test_other_features_are_refused(parent: TrainedModel) -> None:
    card = parent.card | {"features": {**parent.card["features"], "static": ["eps"]}}
    with pytest.raises(ModelError, match="checkpoint of 2022-02: features: "):
        load_checkpoint(checkpoint_bytes(TrainedModel(parent.network, card)), tiny_settings())


def test_another_network_is_refused_by_the_name_of_the_weight(parent: TrainedModel) -> None:
    other = tiny_settings().model_dump()
    other["network"]["sector_capacity"] = 9
    with pytest.raises(ModelError, match=r"sector_embedding\.weight: \(5, 3\), the network of model.yaml has \(9, 3\)"):
        load_checkpoint(checkpoint_bytes(parent), ModelSettings.model_validate(other))
    other = tiny_settings().model_dump()
    other["network"]["layers"] = 1
    with pytest.raises(ModelError, match=r"the network of model\.yaml has none"):
        load_checkpoint(checkpoint_bytes(parent), ModelSettings.model_validate(other))
