"""Samples to tensors: what is learned from, where the expert acts, padded or packed."""

# B rows of a batch, T tokens

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from codemoe.data.fim import Fim, FimShare, encode_middle, fim_of
from codemoe.data.prompt import Example, encode_example
from codemoe.data.rows import Row
from codemoe.errors import UserError
from codemoe.recipe import TrainConfig
from codemoe.train.activation import draw_activation
from codemoe.train.order import lay_out, plan_batches

IGNORE = -100


def encode_rows(
    rows: Sequence[Row], tokenizer: Any, max_length: int
) -> tuple[list[Example], Counter[str]]:
    """Samples that fit, and a count of what was left out.

    Longer ones are dropped, never cut: a model trained on cut answers learns not to stop.
    """
    kept, counts = encode_fitting(rows, tokenizer, max_length)
    return [example for _, example in kept], counts


def encode_fitting(
    rows: Sequence[Row], tokenizer: Any, max_length: int, share: FimShare | None = None
) -> tuple[list[tuple[Row, Example]], Counter[str]]:
    """The same, each sample beside the row it was made of; a share of them to be filled in the
    middle. Raises UserError where the tokenizer has no tokens for that."""
    counts: Counter[str] = Counter()
    kept = []
    fim = _fim_tokens(tokenizer) if share is not None and share.rate else None
    for row in rows:
        mode = share.mode_of(row.id) if share is not None and fim is not None else None
        if mode is None or fim is None:
            example = encode_example(tokenizer, row.text, row.language, row.code)
        else:
            example = encode_middle(tokenizer, fim, row.code, row.id, mode == "spm")
            counts[f"filled in the middle ({mode})"] += 1
        if len(example.input_ids) > max_length:
            counts["longer than max_length"] += 1
        else:
            kept.append((row, example))
    counts["used"] = len(kept)
    return kept, counts


def fim_share(train: TrainConfig, seed: int) -> FimShare:
    return FimShare(train.fim_rate, train.fim_spm_rate, seed)


def weights_of(rows: Sequence[Row], train: TrainConfig) -> list[float] | None:
    """How often each row is drawn; None: all alike."""
    if not train.source_weights:
        return None
    return [train.source_weights.get(row.source, 1.0) for row in rows]


def _fim_tokens(tokenizer: Any) -> Fim:
    fim = fim_of(tokenizer)
    if fim is None:
        raise UserError(
            "experts.train.fim_rate is above 0, but the base's tokenizer has no fill-in-the-middle "
            "tokens, so it never learned to",
            "experts.train.fim_rate=0, or a base such as SantaCoder, StarCoder or Qwen2.5-Coder",
        )
    return fim


def as_sample(example: Example, activation: str) -> dict[str, Any]:
    """What the collator takes: tokens, labels, and the token from which the expert acts."""
    start = example.completion_start
    return {
        "input_ids": list(example.input_ids),
        "labels": [IGNORE] * start + list(example.input_ids[start:]),
        "active_from": 0 if activation == "all" else example.marker_start,
    }


@dataclass(frozen=True)
class Plan:
    """Every sample of a training in order, and the row that each was made of."""

    samples: list[dict[str, Any]]
    names: list[str]


def plan_training(
    examples: Sequence[Example],
    names: Sequence[str],
    *,
    batch_size: int,
    num_batches: int,
    activation: str,
    seed: int,
    weights: Sequence[float] | None = None,
) -> Plan:
    """All batches of the run, one after another; `both` is drawn anew for each."""
    lengths = [len(example.input_ids) for example in examples]
    plan = Plan([], [])
    for index, batch in enumerate(plan_batches(lengths, batch_size, num_batches, seed, weights)):
        drawn = draw_activation(activation, index, seed)
        plan.samples.extend(as_sample(examples[i], drawn) for i in batch)
        plan.names.extend(names[i] for i in batch)
    return plan


class Collator:
    """One tensor a field; `active_BT1` is 1 on the tokens on which the expert acts.

    Padded: a sample a row. Packed (`row_tokens`): several samples share a row of at most so many
    tokens, as evenly as they go. Each keeps its own positions, from 0; `position_ids` that start
    again are how transformers' masks and flash attention tell samples apart.
    """

    def __init__(self, pad_id: int, row_tokens: int | None = None) -> None:
        self.pad_id = pad_id
        self.row_tokens = row_tokens

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        lengths = [len(s["input_ids"]) for s in samples]
        packed = self.row_tokens is not None
        rows = [[i] for i in range(len(samples))]
        if self.row_tokens is not None:
            rows = lay_out(lengths, self.row_tokens)
        width = max(sum(lengths[i] for i in row) for row in rows)
        shape = (len(rows), width)
        ids_BT = torch.full(shape, self.pad_id)
        labels_BT = torch.full(shape, IGNORE)
        mask_BT = torch.zeros(shape, dtype=torch.long)
        positions_BT = torch.zeros(shape, dtype=torch.long)
        active_BT1 = torch.zeros((*shape, 1))
        for row, members in enumerate(rows):
            start = 0
            for i in members:
                here = slice(start, start + lengths[i])
                ids_BT[row, here] = torch.tensor(samples[i]["input_ids"])
                labels_BT[row, here] = torch.tensor(samples[i]["labels"])
                mask_BT[row, here] = 1
                positions_BT[row, here] = torch.arange(lengths[i])
                active_BT1[row, start + samples[i]["active_from"] : here.stop] = 1
                start = here.stop
            positions_BT[row, start:] = torch.arange(width - start)  # pads: a sample of their own
        batch = {"input_ids": ids_BT, "labels": labels_BT, "active_BT1": active_BT1}
        return batch | ({"position_ids": positions_BT} if packed else {"attention_mask": mask_BT})


def completion_loss(
    model: Any,
    input_ids_BT: torch.Tensor,
    mask_BT: torch.Tensor | None,
    labels_BT: torch.Tensor,
    count: torch.Tensor | int | None = None,
    positions_BT: torch.Tensor | None = None,
) -> tuple[torch.Tensor, Any]:
    """Mean cross-entropy of the learned tokens (over `count`, theirs when None), and the output.

    Logits are made for learned columns only: nearly half of a batch is prompts, and the head is a
    third of a small model's work. A packed batch has positions and no mask. No sample begins with a
    learned token, so that none is predicted from its neighbour in the row.
    """
    learned_T = (labels_BT[:, 1:] != IGNORE).any(0)
    if positions_BT is None:
        learned_T[int(learned_T.nonzero()[0]) :] = True  # one piece; pads are ignored below
    columns = learned_T.nonzero()[:, 0]
    place = {"attention_mask": mask_BT} if positions_BT is None else {"position_ids": positions_BT}
    output = model(input_ids=input_ids_BT, **place, use_cache=False, logits_to_keep=columns)
    total = torch.nn.functional.cross_entropy(
        output.logits.flatten(0, 1).float(),
        labels_BT[:, columns + 1].flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )
    return total / (count if count is not None else (labels_BT[:, 1:] != IGNORE).sum()), output
