"""Prompts in one batch and their way through a model: padding, the cache, the rows still alive."""

# B batch, T tokens, H heads, D of a head, V vocabulary

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from codemoe.data.prompt import EncodedPrompt


@dataclass(frozen=True)
class Batch:
    """Left-padded prompts; columns from `cut` on hold every row's marker."""

    input_ids_BT: torch.Tensor
    mask_BT: torch.Tensor
    marked_BT: torch.Tensor  # 1 from each row's marker on
    cut: int

    @property
    def width(self) -> int:
        return self.input_ids_BT.shape[1]

    def instruction_BT(self) -> torch.Tensor:
        """1 on what a sequence router reads: the tokens before the marker, within `cut` columns."""
        return self.mask_BT[:, : self.cut] * (1 - self.marked_BT[:, : self.cut])

    def repeat(self, times: int) -> "Batch":
        """Each row `times` times, neighbours together."""
        return Batch(
            self.input_ids_BT.repeat_interleave(times, 0),
            self.mask_BT.repeat_interleave(times, 0),
            self.marked_BT.repeat_interleave(times, 0),
            self.cut,
        )


def left_pad(prompts: Sequence[EncodedPrompt], pad_id: int, device: torch.device) -> Batch:
    width = max(len(p.input_ids) for p in prompts)
    ids_BT = torch.full((len(prompts), width), pad_id, dtype=torch.long)
    mask_BT = torch.zeros((len(prompts), width), dtype=torch.long)
    marked_BT = torch.zeros((len(prompts), width))
    for row, prompt in enumerate(prompts):
        ids_BT[row, width - len(prompt.input_ids) :] = torch.tensor(prompt.input_ids)
        mask_BT[row, width - len(prompt.input_ids) :] = 1
        marked_BT[row, width - len(prompt.input_ids) + prompt.marker_start :] = 1
    longest_marker = max(len(p.input_ids) - p.marker_start for p in prompts)
    return Batch(
        ids_BT.to(device), mask_BT.to(device), marked_BT.to(device), width - longest_marker
    )


class Decoder:
    """One batch on its way through the model: the cache, the mask and the rows still alive."""

    def __init__(self, model: Any, batch: Batch) -> None:
        from transformers import DynamicCache

        self.model = model
        self.batch = batch
        self.cache = DynamicCache(config=model.config)
        self.mask_BT = batch.mask_BT
        self.positions_BT = (batch.mask_BT.cumsum(-1) - 1).clamp_min(0)
        self.position_B1 = self.positions_BT[:, -1:]

    def _columns(self, start: int, end: int) -> dict[str, Any]:
        return {
            "input_ids": self.batch.input_ids_BT[:, start:end],
            "attention_mask": self.mask_BT[:, :end],
            "position_ids": self.positions_BT[:, start:end],
            "past_key_values": self.cache,
            "use_cache": True,
        }

    def read(self, start: int, end: int) -> None:
        """The prompt's columns start..end enter the cache; logits would cost a pass of their own
        over the vocabulary."""
        self.model.base_model(**self._columns(start, end))

    def prefill(self, start: int, end: int) -> torch.Tensor:
        """Logits (B, V) after the prompt's columns start..end; they enter the cache."""
        out = self.model(**self._columns(start, end), logits_to_keep=1)
        return out.logits[:, -1]

    def step(self, token_B: torch.Tensor) -> torch.Tensor:
        self.position_B1 = self.position_B1 + 1
        self.mask_BT = torch.cat([self.mask_BT, torch.ones_like(self.mask_BT[:, :1])], dim=1)
        out = self.model(
            input_ids=token_B[:, None],
            attention_mask=self.mask_BT,
            position_ids=self.position_B1,
            past_key_values=self.cache,
            use_cache=True,
        )
        return out.logits[:, -1]

    def keep(self, rows: torch.Tensor) -> None:
        """Only these rows go on, so that a batch does not wait for its longest answer at full
        cost; columns that only the others had used go too. A row may be named several times."""
        self.cache.batch_select_indices(rows)
        self.mask_BT = self.mask_BT[rows]
        self.position_B1 = self.position_B1[rows]
        unused = int(self.mask_BT.argmax(1).min())
        if unused:
            self._resize(self.mask_BT.shape[1] - unused)

    def join(self, other: "Decoder") -> None:
        """Another decoder's rows go on in this one; both have read what they were given.

        Right-aligned: whose columns are fewer gets masked ones on its left. Positions are each
        row's own, so where its columns stand does not matter.
        """
        width = max(self.mask_BT.shape[1], other.mask_BT.shape[1])
        self._resize(width)
        other._resize(width)
        for own, new in zip(self.cache.layers, other.cache.layers, strict=True):
            assert isinstance(own, DynamicLayer)
            assert isinstance(new, DynamicLayer)
            own.keys = torch.cat([_held(own.keys), _held(new.keys)])
            own.values = torch.cat([_held(own.values), _held(new.values)])
        self.mask_BT = torch.cat([self.mask_BT, other.mask_BT])
        self.position_B1 = torch.cat([self.position_B1, other.position_B1])

    def _resize(self, width: int) -> None:
        """Add or take away columns on the left that no row has used."""
        self.mask_BT = _right_columns(self.mask_BT, width)
        for layer in self.cache.layers:
            assert isinstance(layer, DynamicLayer)
            held = width
            if isinstance(layer, DynamicSlidingWindowLayer):
                # Such a layer counts all columns and holds those that a next token can still see.
                held = min(width, layer.sliding_window - 1)
                layer.cumulative_length = width
            keys_BHDT = _held(layer.keys).transpose(-1, -2)
            values_BHDT = _held(layer.values).transpose(-1, -2)
            layer.keys = _right_columns(keys_BHDT, held).transpose(-1, -2)
            layer.values = _right_columns(values_BHDT, held).transpose(-1, -2)

    def repeat(self, times: int) -> None:
        """Each row `times` times, with what was read so far: one prefill serves them all."""
        self.cache.batch_repeat_interleave(times)
        self.batch = self.batch.repeat(times)
        self.mask_BT = self.mask_BT.repeat_interleave(times, 0)
        self.positions_BT = self.positions_BT.repeat_interleave(times, 0)
        self.position_B1 = self.position_B1.repeat_interleave(times, 0)


def _held(states: torch.Tensor | None) -> torch.Tensor:
    assert states is not None
    return states


def _right_columns(values_T: torch.Tensor, width: int) -> torch.Tensor:
    """The last `width` columns of (.., T), with zeros on the left where there are fewer."""
    missing = width - values_T.shape[-1]
    if missing > 0:
        return nn.functional.pad(values_T, (missing, 0))
    return values_T[..., -missing:]
