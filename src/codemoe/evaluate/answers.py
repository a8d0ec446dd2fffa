"""Ask a model for answers to held-out rows: batched, appended to samples.jsonl, resumable."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from codemoe.data.prompt import EncodedPrompt, encode_prompt
from codemoe.data.rows import Row, stable_hash
from codemoe.evaluate.contenders import route_for
from codemoe.models.generate import Generation, context_window, generate_batch
from codemoe.models.load import CodeModel
from codemoe.progress import progress, say
from codemoe.recipe import Recipe

SAMPLES = "samples.jsonl"


@dataclass(frozen=True)
class Effort:
    """What answering took: generated tokens, seconds of generation, peak resident memory."""

    tokens: int
    seconds: float
    peak_memory_mb: float


def held_out(
    rows: Sequence[Row], languages: Sequence[str], per_language: int, seed: int
) -> list[Row]:
    """Up to `per_language` rows a language, the same problems in each where the data allow it."""
    chosen: list[Row] = []
    for language in languages:
        own = [row for row in rows if row.language == language]
        own.sort(key=lambda row: (stable_hash(f"{seed}:{row.group}"), row.id))
        chosen += own[:per_language]
    return chosen


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Complete lines only: the last one may have been cut by a kill."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    draft.replace(path)


def _sample(row: Row, answer: Generation, seconds: float) -> dict[str, Any]:
    return {
        "id": row.id,
        "completion": answer.text,
        "finish_reason": answer.finish_reason,
        "tokens": len(answer.token_ids),
        "seconds": round(seconds, 4),
        "expert": answer.choice.expert if answer.choice else None,
        "confidence": answer.choice.confidence if answer.choice else None,
        "load": answer.load_LE,
    }


def _unanswered(row: Row) -> dict[str, Any]:
    """An empty answer, counted as one: the prompt does not fit into the model's window."""
    nothing = dict.fromkeys(("expert", "confidence", "load"))
    told = {"completion": "", "finish_reason": "prompt too long", "tokens": 0, "seconds": 0.0}
    return {"id": row.id, **told, **nothing}


def answer_rows(
    model: CodeModel, name: str, recipe: Recipe, rows: Sequence[Row], out: Path
) -> tuple[list[dict[str, Any]], Effort]:
    """Samples in the order of `rows`; those already in `out/samples.jsonl` are not made again."""
    path = out / SAMPLES
    asked = [(row, encode_prompt(model.tokenizer, row.text, row.language)) for row in rows]
    window = context_window(model)
    too_long = [row for row, prompt in asked if window and len(prompt.input_ids) >= window]
    if too_long:
        say(f"eval {name}: {len(too_long)} prompts are longer than the window; not answered")
        unasked = {row.id for row in too_long}
        asked = [pair for pair in asked if pair[0].id not in unasked]
    # Rows of one language and similar length share a batch, so that it ends at about one time.
    asked.sort(key=lambda pair: (pair[0].language, len(pair[1].input_ids)))
    size = recipe.eval.batch_size
    batches = [asked[start : start + size] for start in range(0, len(asked), size)]
    found = {sample["id"]: sample for sample in read_jsonl(path)}
    # A batch is kept whole or made again: with other neighbours its last bits might differ.
    remaining = [batch for batch in batches if any(row.id not in found for row, _ in batch)]
    again = {row.id for batch in remaining for row, _ in batch}
    done = [sample for sample in found.values() if sample["id"] not in again]
    _write_jsonl(path, done)
    process = psutil.Process()
    peak = process.memory_info().rss
    with (
        progress(f"eval {name}", len(again), "answers") as advance,
        path.open("a", encoding="utf-8") as file,
    ):
        for batch in remaining:
            batch_rows = [row for row, _ in batch]
            prompts: list[EncodedPrompt] = [prompt for _, prompt in batch]
            started = time.perf_counter()
            answers = generate_batch(
                model,
                prompts,
                route_for(name, recipe, batch_rows),
                max_new_tokens=recipe.eval.max_new_tokens,
            )
            seconds = (time.perf_counter() - started) / len(batch)
            peak = max(peak, process.memory_info().rss)
            for row, answer in zip(batch_rows, answers, strict=True):
                sample = _sample(row, answer, seconds)
                file.write(json.dumps(sample) + "\n")
                done.append(sample)
            file.flush()
            advance(len(batch), "")
    by_id = {sample["id"]: sample for sample in [*done, *map(_unanswered, too_long)]}
    ordered = [by_id[row.id] for row in rows]
    effort = Effort(
        sum(s["tokens"] for s in ordered), sum(s["seconds"] for s in ordered), peak / 2**20
    )
    return ordered, effort
