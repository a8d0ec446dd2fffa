"""What training will really read: the first batch decoded from its tensors, and what all rows cost.

Everything here goes through the functions that training itself uses, so that a preview cannot be
right about a training that is wrong.
"""

# B rows of a batch, T tokens

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from codemoe.artifacts import is_finished
from codemoe.data.rows import Row
from codemoe.data.stage import read_split
from codemoe.errors import UserError
from codemoe.recipe import DENSE, Recipe, TrainConfig
from codemoe.train.expert_job import select_rows
from codemoe.train.experts_stage import dense_budget

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_COUNTED_BATCHES = 400  # padding is counted over so many of the first batches


@dataclass(frozen=True)
class Span:
    """Neighbouring tokens of one kind, decoded in place."""

    text: str
    tokens: int
    learned: bool  # counts in the loss
    active: bool  # the expert acts on it


@dataclass(frozen=True)
class Sample:
    """One sample of the first batch: its place there (from 0) and its text."""

    row: int
    id: str
    spans: list[Span]


@dataclass(frozen=True)
class Lengths:
    """Tokens a sample, prompt and end token included, those that do not fit too."""

    minimum: int
    median: float
    p95: float
    maximum: int
    histogram: list[tuple[int, int, int]]  # from, to (both included), samples


@dataclass(frozen=True)
class Padding:
    """Positions that the first `batches` compute, and those that hold a token of a sample."""

    batches: int
    tokens: int
    padded: int  # a sample a row
    packed: int  # several samples a row, none of which sees another
    to_max_length: int  # every sample padded to max_length, for comparison


@dataclass(frozen=True)
class ExpertPreview:
    name: str
    rows: int
    used: int
    too_long: int  # longer than `longest`: dropped, never cut
    longest: int  # tokens that a sample may have
    passes: float  # over the data, in all steps
    learned_share: float  # of the tokens
    batches_acting_on: dict[str, int]  # `all` | `completion` -> batches
    packing: bool
    lengths: Lengths
    padding: Padding
    samples: list[Sample]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def preview(recipe: Recipe, experts: Sequence[str] = (), samples: int = 2) -> list[ExpertPreview]:
    """Each expert of the recipe (those named, when any) and the dense baseline.

    Reads the finished `data/`. Raises UserError for an unknown expert and where training would.
    """
    made = [name for name, one in recipe.expert_filters.items() if one.checkpoint is None]
    known = [*made, *([DENSE] if recipe.experts.dense_baseline else [])]
    unknown = [name for name in experts if name not in known]
    if unknown:
        raise UserError(
            f"no expert named {', '.join(unknown)} in this recipe", f"it has {', '.join(known)}"
        )
    rows = read_split(recipe.run_dir / "data", "train")
    tokenizer, window = _tokenizer(recipe, rows)
    return [
        _preview_one(recipe, name, rows, tokenizer, window, samples) for name in (experts or known)
    ]


def _tokenizer(recipe: Recipe, rows: Sequence[Row]) -> "tuple[PreTrainedTokenizerBase, int | None]":
    """The tokenizer that training will use, and the base's window in tokens."""
    from codemoe.models.load import load_tokenizer, read_config
    from codemoe.models.reference import BaseReference, read_reference

    base_dir, scratch = recipe.run_dir / "base", recipe.base.from_scratch
    if scratch is not None and not is_finished(base_dir):
        from codemoe.train.pretrain import scratch_tokenizer

        return scratch_tokenizer(rows, scratch, recipe.seed), scratch.max_position_embeddings
    if is_finished(base_dir):
        reference = read_reference(base_dir)
    else:
        assert recipe.base.model is not None
        reference = BaseReference(recipe.base.model, recipe.base.revision)
    window = getattr(read_config(reference), "max_position_embeddings", None)
    return load_tokenizer(reference), window


def _preview_one(
    recipe: Recipe,
    name: str,
    all_rows: Sequence[Row],
    tokenizer: "PreTrainedTokenizerBase",
    window: int | None,
    num_samples: int,
) -> ExpertPreview:
    from codemoe.data.prompt import encode_example
    from codemoe.train.activation import draw_activation
    from codemoe.train.batches import (
        Collator,
        encode_fitting,
        fim_share,
        plan_training,
        weights_of,
    )

    filters, train, activation = _training_of(recipe, name)
    rows = select_rows(all_rows, filters)
    if not rows:
        raise UserError(
            f"expert {name!r}: its filter admits no training row",
            "check experts.define and the data's languages and sources",
        )
    longest = min(train.max_length, window or train.max_length)
    fitting, counts = encode_fitting(rows, tokenizer, longest, fim_share(train, recipe.seed))
    lengths = [
        len(encode_example(tokenizer, row.text, row.language, row.code).input_ids) for row in rows
    ]
    if not fitting:
        raise UserError(
            f"expert {name!r}: none of its {len(rows)} samples fits into {longest} tokens; the "
            f"shortest has {min(lengths)}",
            "raise experts.train.max_length"
            if longest == train.max_length
            else "shorten the data (data.max_code_chars) or take a base with a longer window",
        )
    num_batches = train.steps * train.gradient_accumulation_steps
    shown_batches = min(num_batches, _COUNTED_BATCHES)
    plan = plan_training(
        [example for _, example in fitting],
        [row.id for row, _ in fitting],
        batch_size=train.batch_size,
        num_batches=shown_batches,
        activation=activation,
        seed=recipe.seed,
        weights=weights_of([row for row, _ in fitting], train),
    )
    first = plan.samples[: train.batch_size]
    batch = Collator(tokenizer.pad_token_id, longest if train.packing else None)(first)
    acting = [draw_activation(activation, i, recipe.seed) for i in range(num_batches)]
    learned = sum(len(e.input_ids) - e.completion_start for _, e in fitting)
    return ExpertPreview(
        name=name,
        rows=len(rows),
        used=counts["used"],
        too_long=counts["longer than max_length"],
        longest=longest,
        passes=num_batches * train.batch_size / len(fitting),
        learned_share=learned / sum(len(e.input_ids) for _, e in fitting),
        batches_acting_on={kind: acting.count(kind) for kind in sorted(set(acting))},
        packing=train.packing,
        lengths=_lengths(lengths),
        padding=_padding(
            [len(s["input_ids"]) for s in plan.samples], train.batch_size, longest, shown_batches
        ),
        samples=_decoded(batch, first, plan.names, tokenizer, num_samples),
    )


def _training_of(recipe: Recipe, name: str) -> tuple[list[Any], TrainConfig, str]:
    """Filters, training settings and activation, as the `experts` stage has them."""
    filters = recipe.expert_filters
    if name != DENSE:
        return [filters[name]], recipe.experts.train, recipe.experts.activation
    _, train = dense_budget(None, recipe.experts.train, len(filters))
    return list(filters.values()), train, "all"


def _lengths(lengths: Sequence[int], bars: int = 10) -> Lengths:
    cuts = quantiles(lengths, n=20, method="inclusive") if len(lengths) > 1 else [lengths[0]] * 19
    low, high = min(lengths), max(lengths)
    width = max(1, -(-(high - low + 1) // bars))
    starts = range(low, high + 1, width)
    histogram = [
        (start, start + width - 1, sum(start <= n < start + width for n in lengths))
        for start in starts
    ]
    return Lengths(low, cuts[9], cuts[18], high, histogram)


def _padding(lengths: Sequence[int], batch_size: int, longest: int, batches: int) -> Padding:
    from codemoe.train.order import lay_out

    padded = packed = 0
    for start in range(0, len(lengths), batch_size):
        batch = lengths[start : start + batch_size]
        padded += len(batch) * max(batch)
        rows = lay_out(batch, longest)
        packed += len(rows) * max(sum(batch[i] for i in row) for row in rows)
    return Padding(batches, sum(lengths), padded, packed, len(lengths) * longest)


def _decoded(
    batch: dict[str, Any],
    samples: Sequence[dict[str, Any]],
    names: Sequence[str],
    tokenizer: "PreTrainedTokenizerBase",
    num_samples: int,
) -> list[Sample]:
    """Samples read back from a batch's tensors: what is in them, not what should be."""
    from codemoe.train.batches import IGNORE

    waiting = {tuple(s["input_ids"]): n for s, n in zip(samples, names, strict=False)}
    found = []
    for row in range(len(batch["input_ids"])):
        ids = batch["input_ids"][row].tolist()
        learned = [label != IGNORE for label in batch["labels"][row].tolist()]
        active = [bool(a) for a in batch["active_BT1"][row, :, 0].tolist()]
        for start, end in _borders(batch, row, learned):
            name = waiting.get(tuple(ids[start:end]), "?")
            kinds = list(zip(learned[start:end], active[start:end], strict=True))
            spans = list(decoded_spans(ids[start:end], kinds, tokenizer))
            found.append(Sample(row, name, spans))
    return found[:num_samples]


def _borders(batch: dict[str, Any], row: int, learned: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Where samples begin and end in a row; each ends with a learned token, then pads."""
    end_of_row = max(i for i, one in enumerate(learned) if one) + 1
    starts = [0]
    if "position_ids" in batch:
        starts = [i for i, p in enumerate(batch["position_ids"][row].tolist()) if p == 0]
    starts = [start for start in starts if start < end_of_row]
    yield from zip(starts, [*starts[1:], end_of_row], strict=True)


def decoded_spans(
    ids: Sequence[int], kinds: Sequence[tuple[bool, bool]], tokenizer: "PreTrainedTokenizerBase"
) -> Iterator[Span]:
    """The text of each run of one kind, as the difference of what is decoded up to its two ends.

    Decoded alone, a piece may lose the space it begins with, or half of a character.
    """
    borders = [i for i in range(1, len(ids)) if kinds[i] != kinds[i - 1]]
    before = ""
    for start, end in zip([0, *borders], [*borders, len(ids)], strict=True):
        text = str(tokenizer.decode(list(ids[:end]), skip_special_tokens=False))
        alone = str(tokenizer.decode(list(ids[start:end])))
        piece = text[len(before) :] if text.startswith(before) else alone
        yield Span(piece, end - start, *kinds[start])
        before = text
