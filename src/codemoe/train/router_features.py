"""True router inputs on labelled data, for fitting routers."""

# B batch, T tokens, D model, L layers, N samples

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from codemoe.data.prompt import Example, encode_example, encode_prompt
from codemoe.data.rows import Row, stable_hash
from codemoe.languages import get_language
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.features import instruction_features, mlp_inputs
from codemoe.models.load import CodeModel, Mixture
from codemoe.models.routers_file import TokenRouters
from codemoe.progress import progress

SNIPPET_TOKENS = 20
# What a sequence router has to know a language by: a whole prompt, one that does not name the
# language (but whose text may hold a signature), only the language's line, only its name in words,
# or only code.
KINDS = ("prompt", "unnamed prompt", "language line", "in words", "snippet")
_IN_WORDS = ("{lead} in {label}", "{label}: {lead}", "{lead}, using {label}", "A {label} {lead}")
_LEAD_WORDS = 12


@dataclass(frozen=True)
class SequenceSamples:
    """Pooled MLP inputs of every layer, for what a router may be asked with (`KINDS`)."""

    features_LND: torch.Tensor
    labels_N: torch.Tensor
    groups_N: torch.Tensor  # rows of one problem share a number
    kinds_N: torch.Tensor  # index into KINDS


def instruction_ids(tokenizer: Any, row: Row, kind: str) -> list[int]:
    """What a sequence router reads of a row, as a sample of this kind of `KINDS`."""
    if kind == "snippet":
        ids = tokenizer(row.code, add_special_tokens=False)["input_ids"]
        start = random.Random(f"snippet:{row.id}").randint(0, max(0, len(ids) - SNIPPET_TOKENS))
        return ids[start : start + SNIPPET_TOKENS] or [tokenizer.eos_token_id]
    text, language = row.text, row.language if kind in ("prompt", "language line") else None
    if kind == "language line":
        text = _lead(row.text)
    elif kind == "in words":
        form = _IN_WORDS[int(stable_hash(row.id), 16) % len(_IN_WORDS)]
        text = form.format(lead=_lead(row.text), label=get_language(row.language).label)
    prompt = encode_prompt(tokenizer, text, language)
    return list(prompt.input_ids[: prompt.marker_start])


def _lead(text: str) -> str:
    """How a description begins, before any signature or code in it: the first clause."""
    words = re.split(r"[.;:|`\n]", text.strip(), maxsplit=1)[0].split()
    return " ".join(words[:_LEAD_WORDS]) or text


def _batches(sequences: Sequence[Any], size: int, length: Any) -> Iterator[list[int]]:
    order = sorted(range(len(sequences)), key=lambda i: length(sequences[i]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _group_numbers(rows: Sequence[Row]) -> list[int]:
    return [int(stable_hash(row.group), 16) >> 2 for row in rows]


@torch.no_grad()
def sequence_samples(
    model: CodeModel, rows: Sequence[Row], labels: Sequence[int], batch_size: int = 32
) -> SequenceSamples:
    """One sample a row of each of `KINDS`, read by the bare base."""
    ids, meta = [], []
    for row, label, group in zip(rows, labels, _group_numbers(rows), strict=True):
        for kind, name in enumerate(KINDS):
            ids.append(instruction_ids(model.tokenizer, row, name))
            meta.append((label, group, kind))
    columns = [torch.tensor(column) for column in zip(*meta, strict=True)]
    return SequenceSamples(_pooled(model, ids, batch_size), *columns)


@dataclass(frozen=True)
class PromptSamples:
    """Mean MLP inputs of every layer, for prompts that say what an expert is for, or is not."""

    features_LND: torch.Tensor
    labels_N: torch.Tensor  # whose prompt it is
    signs_N: torch.Tensor  # 1: it should answer; -1: it should not


@torch.no_grad()
def prompt_samples(
    model: CodeModel, prompts: Sequence[tuple[Sequence[str], Sequence[str]]]
) -> PromptSamples:
    """One sample a text, of each expert's (positive, negative) texts, read by the bare base."""
    texts = [
        (text, label, sign)
        for label, both in enumerate(prompts)
        for sign, some in zip((1, -1), both, strict=True)
        for text in some
    ]
    ids = []
    for text, _, _ in texts:
        prompt = encode_prompt(model.tokenizer, text)
        ids.append(list(prompt.input_ids[: prompt.marker_start]))
    means_LND = _pooled(model, ids, 32)[..., : model.model.config.hidden_size]
    _, labels, signs = zip(*texts, strict=True)
    return PromptSamples(means_LND, torch.tensor(labels), torch.tensor(signs))


def _pooled(model: CodeModel, ids: Sequence[list[int]], batch_size: int) -> torch.Tensor:
    """(L, N, 2 D) `instruction_features` of each text, in every layer."""
    layers = range(model.model.config.num_hidden_layers)
    # Made whole: a stack of parts would hold all of it twice, gigabytes of a large base.
    features_LND = torch.empty(len(layers), len(ids), 2 * model.model.config.hidden_size)
    pad = model.tokenizer.pad_token_id
    with (
        progress("router: read prompts", len(ids), "prompts") as advance,
        mlp_inputs(model.model, list(layers)) as inputs,
    ):
        for batch in _batches(ids, batch_size, len):
            width = max(len(ids[i]) for i in batch)
            ids_BT = torch.tensor([ids[i] + [pad] * (width - len(ids[i])) for i in batch])
            mask_BT = torch.tensor([[1] * len(ids[i]) + [0] * (width - len(ids[i])) for i in batch])
            ids_BT, mask_BT = ids_BT.to(model.model.device), mask_BT.to(model.model.device)
            model.model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False, logits_to_keep=1)
            pooled_LBD = torch.stack(
                [instruction_features(inputs[layer], mask_BT) for layer in layers]
            )
            features_LND[:, batch] = pooled_LBD.cpu()
            advance(len(batch), "")
    return features_LND


@dataclass(frozen=True)
class TokenSamples:
    """MLP inputs of every layer at completion tokens."""

    features_LND: torch.Tensor
    labels_N: torch.Tensor
    sequences_N: torch.Tensor  # tokens of one sequence share a number

    def with_more(self, more: "TokenSamples") -> "TokenSamples":
        """Both, where they are of the same sequences."""
        return TokenSamples(
            torch.cat([self.features_LND, more.features_LND], dim=1),
            torch.cat([self.labels_N, more.labels_N]),
            torch.cat([self.sequences_N, more.sequences_N]),
        )


@torch.no_grad()
def token_samples(
    model: CodeModel,
    rows: Sequence[Row],
    labels: Sequence[int],
    tokens_per_expert: int,
    max_length: int,
    batch_size: int = 16,
    gates: TokenRouters | None = None,
) -> TokenSamples:
    """What the token gates see when every gate before them chose right (teacher forcing), or when
    `gates` choose."""
    mixture = model.mixture
    assert mixture is not None
    budget = dict.fromkeys(range(len(mixture.experts)), tokens_per_expert)
    chosen: list[tuple[Example, int]] = []
    for row, label in zip(rows, labels, strict=True):
        example = encode_example(model.tokenizer, row.text, row.language, row.code)
        if budget[label] > 0 and len(example.input_ids) <= max_length:
            budget[label] -= len(example.input_ids) - example.marker_start
            chosen.append((example, label))
    layers = range(model.model.config.num_hidden_layers)
    num_tokens = sum(len(example.input_ids) - example.marker_start for example, _ in chosen)
    # Made whole, as in `_pooled`.
    features_LND = torch.empty(len(layers), num_tokens, model.model.config.hidden_size)
    token_labels: list[int] = []
    sequences: list[int] = []
    pad = model.tokenizer.pad_token_id
    with (
        progress("router: read answers", len(chosen), "answers") as advance,
        mlp_inputs(model.model, list(layers)) as inputs,
    ):
        for batch in _batches(chosen, batch_size, lambda pair: len(pair[0].input_ids)):
            width = max(len(chosen[i][0].input_ids) for i in batch)
            ids_BT = torch.full((len(batch), width), pad)
            mask_BT = torch.zeros((len(batch), width), dtype=torch.long)
            active_BT1 = torch.zeros((len(batch), width, 1))
            for row_index, i in enumerate(batch):
                example = chosen[i][0]
                ids_BT[row_index, : len(example.input_ids)] = torch.tensor(example.input_ids)
                mask_BT[row_index, : len(example.input_ids)] = 1
                start = example.marker_start if mixture.activation == "completion" else 0
                active_BT1[row_index, start:] = 1
            device = model.model.device
            with _steered(mixture, [chosen[i][1] for i in batch], active_BT1.to(device), gates):
                model.model(
                    input_ids=ids_BT.to(device),
                    attention_mask=mask_BT.to(device),
                    use_cache=False,
                    logits_to_keep=1,
                )
            for row_index, i in enumerate(batch):
                example, label = chosen[i]
                span = slice(example.marker_start, len(example.input_ids))
                here, count = len(token_labels), span.stop - span.start
                for k in layers:
                    features_LND[k, here : here + count] = inputs[k][row_index, span]
                token_labels += [label] * count
                sequences += [i] * count
            advance(len(batch), "")
    return TokenSamples(features_LND, torch.tensor(token_labels), torch.tensor(sequences))


def _steered(
    mixture: Mixture,
    experts: Sequence[int],
    active_BT1: torch.Tensor,
    gates: TokenRouters | None,
) -> AbstractContextManager[Any]:
    """The mixture under gates, or each row under its own expert."""
    if gates is not None:
        return mixture.layers.use_tokens(gates, active_BT1)
    one_hot_B1E = one_hot_gates(torch.tensor(experts), len(mixture.experts)).to(active_BT1.device)
    return mixture.layers.use(one_hot_B1E * active_BT1)
