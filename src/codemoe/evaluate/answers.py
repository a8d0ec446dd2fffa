"""Ask a model in batches, appended to samples.jsonl: an interrupted evaluation goes on there."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from codemoe.data.prompt import EncodedPrompt, encode_prompt
from codemoe.data.rows import Row, stable_hash
from codemoe.evaluate.contenders import Contender, own_experts
from codemoe.evaluate.memory import PeakMemory
from codemoe.models.generate import Generation, context_window, generate_batch
from codemoe.models.load import CodeModel
from codemoe.progress import progress, say
from codemoe.recipe import Recipe

SAMPLES = "samples.jsonl"
T = TypeVar("T")


@dataclass(frozen=True)
class Effort:
    """What answering took: generated tokens, and seconds of generation."""

    tokens: int
    seconds: float

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class Question(Generic[T]):
    """One prompt to answer, the `number`-th time it is asked."""

    id: str
    number: int
    prompt: EncodedPrompt
    subject: T  # the row or problem it comes from

    @property
    def key(self) -> tuple[str, int]:
        return self.id, self.number


Ask = Callable[[Sequence[Question[T]]], list[Generation]]
Describe = Callable[[Question[T], Generation], dict[str, Any]]


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


def answer_rows(
    model: CodeModel,
    name: str,
    how: Contender,
    recipe: Recipe,
    rows: Sequence[Row],
    out: Path,
    memory: PeakMemory,
) -> tuple[list[dict[str, Any]], Effort]:
    """Samples in the order of `rows`; those already in `out/samples.jsonl` are not made again."""
    questions = [
        Question(row.id, 0, encode_prompt(model.tokenizer, row.text, row.language), row)
        for row in rows
    ]

    def ask(batch: Sequence[Question[Row]]) -> list[Generation]:
        return generate_batch(
            model,
            [question.prompt for question in batch],
            how.route(own_experts(recipe, [question.subject for question in batch])),
            max_new_tokens=recipe.eval.max_new_tokens,
        )

    return answer_all(
        model,
        f"eval {name}",
        # Rows of one language and similar length share a batch, so that it ends at about one time.
        sorted(questions, key=lambda q: (q.subject.language, len(q.prompt.input_ids))),
        [question.key for question in questions],
        ask,
        lambda question, answer: {"completion": answer.text},
        out,
        memory,
        batch_size=recipe.eval.batch_size,
    )


def answer_all(
    model: CodeModel,
    label: str,
    questions: Sequence[Question[T]],
    order: Sequence[tuple[str, int]],
    ask: Ask[T],
    describe: Describe[T],
    out: Path,
    memory: PeakMemory,
    *,
    batch_size: int,
) -> tuple[list[dict[str, Any]], Effort]:
    """A sample for every question, in `order`; batches are cut from `questions` as they come.

    Whole batches that `out/samples.jsonl` holds are kept; an unfinished one is made again: with
    other neighbours the last bits of its answers might differ. `describe` says what a sample has
    beside the common fields: a `completion`, or an `answer` to look for one in.
    """
    path = out / SAMPLES
    window = context_window(model)
    too_long = [q for q in questions if window and len(q.prompt.input_ids) >= window]
    if too_long:
        say(f"{label}: {len(too_long)} prompts are longer than the window; not answered")
    left_out = {question.key for question in too_long}
    asked = [question for question in questions if question.key not in left_out]
    batches = [asked[start : start + batch_size] for start in range(0, len(asked), batch_size)]
    found = {_key(sample): sample for sample in read_jsonl(path)}
    remaining = [batch for batch in batches if any(q.key not in found for q in batch)]
    again = {question.key for batch in remaining for question in batch}
    kept = {question.key for question in asked} - again
    done = [sample for key, sample in found.items() if key in kept]
    _keep(path, done)
    with (
        memory.watch(),
        progress(label, len(again), "answers") as advance,
        path.open("a", encoding="utf-8") as file,
    ):
        for batch in remaining:
            started = time.perf_counter()
            answers = ask(batch)
            seconds = (time.perf_counter() - started) / len(batch)
            for question, answer in zip(batch, answers, strict=True):
                told = _sample(question, answer, seconds) | describe(question, answer)
                file.write(json.dumps(told) + "\n")
                done.append(told)
            file.flush()
            advance(len(batch), "")
        if batches and not remaining:
            ask(batches[0])  # nothing was left to answer, but what it needs is to be told
    by_key = {_key(sample): sample for sample in [*done, *map(_unanswered, too_long)]}
    ordered = [by_key[key] for key in order]
    return ordered, Effort(sum(s["tokens"] for s in ordered), sum(s["seconds"] for s in ordered))


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Complete lines only: the last one may have been cut by a kill."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def _keep(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Cut off what a kill left unfinished; else the file only ever grows."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    draft = path.with_suffix(".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _key(sample: dict[str, Any]) -> tuple[str, int]:
    return sample["id"], sample.get("sample", 0)


def _sample(question: Question[Any], answer: Generation, seconds: float) -> dict[str, Any]:
    return {
        "id": question.id,
        "sample": question.number,
        "finish_reason": answer.finish_reason,
        "tokens": len(answer.token_ids),
        "seconds": round(seconds, 4),
        "expert": answer.choice.expert if answer.choice else None,
        "confidence": answer.choice.confidence if answer.choice else None,
        "load": answer.load_LE,
    }


def _unanswered(question: Question[Any]) -> dict[str, Any]:
    """An empty answer, counted as one: the prompt does not fit into the model's window."""
    nothing = dict.fromkeys(("expert", "confidence", "load"))
    told = {"completion": "", "finish_reason": "prompt too long", "tokens": 0, "seconds": 0.0}
    return {"id": question.id, "sample": question.number, **told, **nothing}
