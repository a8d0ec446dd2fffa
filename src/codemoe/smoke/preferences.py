"""Alignment in small: few answers, and pairs to train on where random answers make none."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from codemoe.align_config import AlignConfig, HumanPairs
from codemoe.data.hub import is_hub_id
from codemoe.data.preferences import read_human
from codemoe.data.rows import Row
from codemoe.errors import WorkError
from codemoe.recipe import Recipe
from codemoe.smoke.reach import unreachable

_PAIRS = 8


def small_align(
    recipe: Recipe, align: AlignConfig, rows: Sequence[Row], folder: Path
) -> tuple[dict[str, Any], list[str]]:
    """The section in small, and what people should know of it.

    Raises what reading people's pairs raises in the real run; a hub data set of them that cannot be
    reached is stood in for.
    """
    notes: list[str] = []
    sampled = min(align.samples_per_task, 2)
    human = [
        h.model_copy(update={"max_pairs": min(h.max_pairs or _PAIRS, _PAIRS)}) for h in align.human
    ]
    here = []
    for source in human:
        try:
            list(read_human(source))
        except WorkError as error:
            if not (is_hub_id(source.path) and unreachable(error)):
                raise
            notes.append(f"the pairs {source.path} cannot be reached: made ones stand in for them")
        else:
            here.append(source)
    # Without tests and without pairs of people the real run stops, and so does this one.
    has_tests = any(source.kind == "corpus" for source in recipe.data.sources)
    if align.method != "grpo" and (has_tests or human):
        here.append(_made(rows, folder / "pairs.jsonl"))
        notes.append("answers of random weights pass no test: made pairs are trained on as well")
    small: dict[str, Any] = {
        "samples_per_task": sampled,
        "max_tasks": min(align.max_tasks or 2, 2),
        "max_new_tokens": 12,
        "batch_size": min(align.batch_size, 8),
        "human": [source.model_dump(mode="json") for source in here],
        "train": align.train.model_dump(mode="json")
        | {
            "batch_size": 2,
            "gradient_accumulation_steps": min(align.train.gradient_accumulation_steps, 2),
            "max_length": max(align.train.max_length, 1024),
            "epochs": 1,
            "warmup_steps": min(align.train.warmup_steps, 1),
            "logging_steps": 1,
            "checkpoint_steps": 1,
        },
    }
    return align.model_dump(mode="json") | small, notes


def _made(rows: Sequence[Row], path: Path) -> HumanPairs:
    """Each row's program before another row's of its language, a few of each language."""
    by_language: dict[str, list[Row]] = {}
    for row in rows:
        by_language.setdefault(row.language, []).append(row)
    pairs = [
        {"prompt": one.text, "chosen": one.code, "rejected": other.code, "language": language}
        for language, some in by_language.items()
        for one, other in pairwise(some[:_PAIRS])
    ]
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    return HumanPairs(path=str(path.resolve()))
