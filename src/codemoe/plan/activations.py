"""What a step keeps in memory, found once for each config and shape: a plan asks many times."""

from functools import lru_cache

import torch
from transformers import PreTrainedConfig

from codemoe.plan.shape import Trained
from codemoe.plan.simulate import (
    gate_activations,
    inference_activations,
    reading_activations,
    training_activations,
)


def activations(
    config: PreTrainedConfig,
    lora: Trained | None,
    rows: int,
    width: int,
    checkpointing: bool,
    dtype: torch.dtype,
) -> float:
    return _cached_training(_Key(config), lora, rows, width, checkpointing, dtype)


def answering(
    config: PreTrainedConfig, rows: int, prompt: int, new: int, dtype: torch.dtype
) -> float:
    return _cached_answering(_Key(config), rows, prompt, new, dtype)


def reading(config: PreTrainedConfig, rows: int, width: int, dtype: torch.dtype) -> float:
    return _cached_reading(_Key(config), rows, width, dtype)


def gate_training(
    config: PreTrainedConfig,
    lora: Trained,
    num_experts: int,
    rows: int,
    width: int,
    dtype: torch.dtype,
) -> float:
    return _cached_gates(_Key(config), lora, num_experts, rows, width, dtype)


class _Key:
    """A config as the key of a cache: by its content."""

    def __init__(self, config: PreTrainedConfig) -> None:
        self.config = config
        self._text = config.to_json_string(use_diff=False)

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._text == other._text


@lru_cache(maxsize=256)
def _cached_training(
    key: _Key,
    lora: Trained | None,
    rows: int,
    width: int,
    checkpointing: bool,
    dtype: torch.dtype,
) -> float:
    return training_activations(
        key.config, lora, rows, width, learned=width, checkpointing=checkpointing, dtype=dtype
    )


@lru_cache(maxsize=256)
def _cached_answering(key: _Key, rows: int, prompt: int, new: int, dtype: torch.dtype) -> float:
    return inference_activations(key.config, rows, prompt, new, dtype=dtype)


@lru_cache(maxsize=256)
def _cached_reading(key: _Key, rows: int, width: int, dtype: torch.dtype) -> float:
    return reading_activations(key.config, rows, width, dtype=dtype)


@lru_cache(maxsize=256)
def _cached_gates(
    key: _Key, lora: Trained, num_experts: int, rows: int, width: int, dtype: torch.dtype
) -> float:
    return gate_activations(key.config, lora, num_experts, rows, width, learned=width, dtype=dtype)
