"""Preference pairs to tensors: both answers of a pair after the same prompt."""

# B pairs of a batch, T tokens; a batch has 2 B rows, the chosen answers first

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch

from codemoe.data.preferences import Preference
from codemoe.data.prompt import Example, encode_answer, encode_formatted
from codemoe.train.activation import draw_activation
from codemoe.train.order import plan_batches

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")  # as TRL names them


@dataclass(frozen=True)
class EncodedPair:
    pair: Preference
    chosen: Example
    rejected: Example

    @property
    def tokens(self) -> int:
        return len(self.chosen.input_ids) + len(self.rejected.input_ids)


def encode_pairs(
    pairs: Sequence[Preference], tokenizer: Any, max_length: int
) -> tuple[list[EncodedPair], Counter[str]]:
    """Pairs whose answers both fit, never cut, and a count of what was left out."""
    kept: list[EncodedPair] = []
    counts: Counter[str] = Counter()
    for pair in pairs:
        prompt = encode_formatted(tokenizer, pair.prompt)
        one = EncodedPair(
            pair,
            encode_answer(tokenizer, prompt, pair.chosen),
            encode_answer(tokenizer, prompt, pair.rejected, pair.rejected_finished),
        )
        if max(len(one.chosen.input_ids), len(one.rejected.input_ids)) > max_length:
            counts["longer than max_length"] += 1
        else:
            kept.append(one)
    counts["used"] = len(kept)
    return kept, counts


@dataclass(frozen=True)
class PairPlan:
    """Every pair of a training in order, what each was made of, and the optimizer's steps."""

    samples: list[dict[str, Any]]
    names: list[str]
    steps: int


def plan_pairs(
    pairs: Sequence[EncodedPair],
    *,
    batch_size: int,
    accumulated: int,
    epochs: int,
    activation: str,
    seed: int,
) -> PairPlan:
    """All batches, one after another; what is short of a last step is filled from the next epoch.

    `both` is drawn anew for each batch, as when the expert was trained.
    """
    steps = ceil(len(pairs) * epochs / (batch_size * accumulated))
    lengths = [one.tokens for one in pairs]
    plan = PairPlan([], [], steps)
    for index, batch in enumerate(plan_batches(lengths, batch_size, steps * accumulated, seed)):
        drawn = draw_activation(activation, index, seed)
        for i in batch:
            one = pairs[i]
            start = one.chosen.completion_start
            plan.samples.append(
                {
                    "prompt_ids": list(one.chosen.input_ids[:start]),
                    "chosen_ids": list(one.chosen.input_ids[start:]),
                    "rejected_ids": list(one.rejected.input_ids[start:]),
                    "active_from": 0 if drawn == "all" else one.chosen.marker_start,
                }
            )
            plan.names.append(f"{one.pair.id} ({one.pair.cause})")
    return plan


class PairCollator:
    """What TRL's DPO trainer takes, and `active_BT1`: 1 where the expert acts."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        rows = [(sample, answer) for answer in ("chosen_ids", "rejected_ids") for sample in samples]
        width = max(len(sample["prompt_ids"]) + len(sample[answer]) for sample, answer in rows)
        ids_BT = torch.full((len(rows), width), self.pad_id)
        mask_BT = torch.zeros((len(rows), width), dtype=torch.long)
        completion_BT = torch.zeros((len(rows), width), dtype=torch.long)
        active_BT1 = torch.zeros((len(rows), width, 1))
        for row, (sample, answer) in enumerate(rows):
            ids = [*sample["prompt_ids"], *sample[answer]]
            ids_BT[row, : len(ids)] = torch.tensor(ids)
            mask_BT[row, : len(ids)] = 1
            completion_BT[row, len(sample["prompt_ids"]) : len(ids)] = 1
            active_BT1[row, sample["active_from"] : len(ids)] = 1
        batch = {
            "input_ids": ids_BT,
            "attention_mask": mask_BT,
            "completion_mask": completion_BT,
            "active_BT1": active_BT1,
        }
        if REFERENCE[0] in samples[0]:
            batch |= {name: torch.tensor([s[name] for s in samples]) for name in REFERENCE}
        return batch
