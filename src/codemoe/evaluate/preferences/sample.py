"""Several answers of one expert to each training task that has tests, and how the tests ended."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemoe.align_config import AlignConfig
from codemoe.data.rows import Row, stable_hash
from codemoe.data.stage import read_split, read_suite
from codemoe.errors import UserError
from codemoe.evaluate.preferences.judge import Task, judge, languages
from codemoe.evaluate.preferences.pairs import Candidate
from codemoe.evaluate.sandbox.records import NOT_COUNTED
from codemoe.jsonl import read_jsonl
from codemoe.progress import say
from codemoe.recipe import ExpertFilter

if TYPE_CHECKING:
    from codemoe.evaluate.answers import Question
    from codemoe.models.generate import Generation
    from codemoe.models.load import CodeModel

RESULTS = "results.jsonl"


def tasks_of(data_dir: Path, admits: ExpertFilter, most: int | None, seed: int) -> list[Task]:
    """The training rows of an expert that have tests; of more than `most`, some drawn by name."""
    suite = read_suite(data_dir, "train")
    rows = [
        row
        for row in read_split(data_dir, "train")
        if row.id in suite and admits.admits(row.language, row.source)
    ]
    rows.sort(key=lambda row: (stable_hash(f"{seed}:{row.group}"), row.id))
    return [Task(row, suite[row.id]["tests"]) for row in rows[:most]]


def sample(
    expert: str,
    folder: Path,
    base_dir: Path,
    tasks: Sequence[Task],
    config: AlignConfig,
    activation: str,
    max_new_tokens: int,
    seed: int,
    out: Path,
    cache: Path,
) -> None:
    """Write `samples.jsonl` (whole batches of an earlier attempt are kept) and `results.jsonl`.

    The expert acts as it will in the mixture: `activation`.
    """
    samples = _answers(
        expert, folder, base_dir, tasks, config, activation, max_new_tokens, seed, out
    )
    by_id = {task.row.id: task for task in tasks}
    asked = [by_id[one["id"]] for one in samples]
    answers = [one["completion"] for one in samples]
    verdicts = judge(f"align {expert}: tests", asked, answers, config.timeout_s, cache)
    found = languages(asked, answers)
    with (out / RESULTS).open("w", encoding="utf-8") as file:
        for one, verdict, language in zip(samples, verdicts, found, strict=True):
            told = {
                "id": one["id"],
                "sample": one["sample"],
                "status": verdict.status,
                "detail": verdict.detail,
                "detected_language": language,
                "completion": one["completion"],
                "tokens": one["tokens"],
                "finish_reason": one["finish_reason"],
            }
            file.write(json.dumps(told) + "\n")
    counted = [v for v in verdicts if v.status not in NOT_COUNTED]
    if verdicts and not counted:
        raise UserError(
            f"align: no answer of expert {expert!r} could be tested: {verdicts[0].detail}",
            "codemoe doctor says what is missing here",
        )
    passed = sum(verdict.status == "pass" for verdict in counted)
    say(f"align {expert}: {passed} of {len(counted)} sampled answers pass")


def read_candidates(folder: Path) -> dict[str, list[Candidate]]:
    """The judged answers of a finished `sample`, by task."""
    found: dict[str, list[Candidate]] = {}
    if (folder / RESULTS).stat().st_size == 0:
        return found
    for _, row in read_jsonl(folder / RESULTS):
        candidate = Candidate(
            row["completion"],
            row["status"],
            row["detected_language"],
            row["tokens"],
            row["finish_reason"] == "stop",
        )
        found.setdefault(row["id"], []).append(candidate)
    return found


def _answers(
    expert: str,
    folder: Path,
    base_dir: Path,
    tasks: Sequence[Task],
    config: AlignConfig,
    activation: str,
    max_new_tokens: int,
    seed: int,
    out: Path,
) -> list[dict[str, Any]]:
    from codemoe.data.prompt import encode_prompt
    from codemoe.evaluate.answers import Question, answer_all
    from codemoe.evaluate.memory import PeakMemory
    from codemoe.models.load import attach_experts, load_base
    from codemoe.models.reference import read_reference

    if not tasks:
        (out / "samples.jsonl").touch()
        return []
    memory = PeakMemory()
    model = attach_experts(load_base(read_reference(base_dir)), {expert: folder}, activation)
    prompts = {
        task.row.id: encode_prompt(model.tokenizer, task.row.text, task.row.language)
        for task in tasks
    }
    questions = [
        Question(task.row.id, number, prompts[task.row.id], task.row)
        for task in tasks
        for number in range(config.samples_per_task)
    ]

    def ask(batch: "Sequence[Question[Row]]") -> "list[Generation]":
        return _generate(model, expert, batch, config, max_new_tokens, seed)

    samples, _ = answer_all(
        model,
        f"align {expert}: sample",
        sorted(questions, key=lambda q: (len(q.prompt.input_ids), q.id, q.number)),
        [question.key for question in questions],
        ask,
        lambda question, answer: {"completion": answer.text},
        out,
        memory,
        batch_size=config.batch_size,
    )
    return samples


def _generate(
    model: "CodeModel",
    expert: str,
    batch: "Sequence[Question[Row]]",
    config: AlignConfig,
    max_new_tokens: int,
    seed: int,
) -> "list[Generation]":
    from codemoe.models.generate import Route, generate_batch
    from codemoe.models.sampling import Sampling

    # Its own seed for each batch, the same when it is made again.
    key = f"{seed}:align:{expert}:{batch[0].id}:{batch[0].number}"
    return generate_batch(
        model,
        [question.prompt for question in batch],
        Route("named", (expert,) * len(batch)),
        max_new_tokens=max_new_tokens,
        sampling=Sampling(config.temperature, config.top_p, int(stable_hash(key)[:8], 16)),
    )
