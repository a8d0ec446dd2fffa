"""Prompts in one batch and their way through a model: padding, the cache, the rows still alive."""

# B batch, T tokens, V vocabulary

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

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
        """Drop finished rows, so that a batch does not wait for its longest answer at full cost."""
        self.cache.batch_select_indices(rows)
        self.mask_BT = self.mask_BT[rows]
        self.position_B1 = self.position_B1[rows]

    def repeat(self, times: int) -> None:
        """Each row `times` times, with what was read so far: one prefill serves them all."""
        self.cache.batch_repeat_interleave(times)
        self.batch = self.batch.repeat(times)
        self.mask_BT = self.mask_BT.repeat_interleave(times, 0)
        self.positions_BT = self.positions_BT.repeat_interleave(times, 0)
        self.position_B1 = self.position_B1.repeat_interleave(times, 0)
