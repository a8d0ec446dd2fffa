"""The `eval` stage's second half: published suites, answered and executed by every model."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemoe.artifacts import sha256_of
from codemoe.data.hub import is_hub_id, load_hub_rows
from codemoe.data.rows import stable_hash
from codemoe.errors import UserError
from codemoe.eval_config import ModelName, SuiteConfig
from codemoe.evaluate.contenders import CONTENDERS
from codemoe.evaluate.suites import Problem, read_suite, suite_files
from codemoe.progress import progress, say
from codemoe.recipe import Recipe

if TYPE_CHECKING:
    from codemoe.evaluate.answers import Effort, Question
    from codemoe.evaluate.cost import Size
    from codemoe.evaluate.memory import PeakMemory
    from codemoe.models.generate import Generation

_CHECK_EVERY = 8  # tokens between two looks at whether an answer is finished


@dataclass(frozen=True)
class SuiteRun:
    """One suite file under its settings; `name` is its folder below eval/<model>/."""

    name: str
    path: Path
    config: SuiteConfig

    def settings(self, recipe: Recipe) -> dict[str, Any]:
        """All that answers and verdicts depend on besides the model."""
        return {
            **self.config.model_dump(mode="json", exclude={"path", "revision", "subset", "split"}),
            "sha256": sha256_of(self.path),
            "batch_size": recipe.eval.batch_size,
            "max_new_tokens": self.max_new_tokens(recipe),
            "execute": recipe.eval.execute,
            "timeout_s": recipe.eval.timeout_s,
        }

    def max_new_tokens(self, recipe: Recipe) -> int:
        return self.config.max_new_tokens or recipe.eval.max_new_tokens

    def problems(self) -> list[Problem]:
        return read_suite(self.path, self.config.format)[: self.config.limit]


def suite_runs(recipe: Recipe) -> list[SuiteRun]:
    """Every suite file that the recipe names. Raises UserError for missing or like-named ones."""
    runs: dict[str, SuiteRun] = {}
    for run in _runs(recipe):
        if run.name in runs:
            raise UserError(
                f"eval.suites: {runs[run.name].path} and {run.path} would both be {run.name!r}",
                "rename one of the files",
            )
        if run.name in ("test", "valid"):
            raise UserError(
                f"eval.suites: {run.path} has the name of the run's own rows", "rename the file"
            )
        runs[run.name] = run
    return list(runs.values())


def _runs(recipe: Recipe) -> Iterator[SuiteRun]:
    for config in recipe.eval.suites:
        if is_hub_id(config.path):
            file = hub_suite(config, recipe.run_dir / ".cache" / "suites")
            yield SuiteRun(file.stem, file, config)
            continue
        path = Path(config.path)
        files = suite_files(path)
        if not path.exists() or not files:
            what = "holds no .jsonl files" if path.exists() else "does not exist"
            raise UserError(f"eval.suites: {path} {what}", "give a suite file or a folder of them")
        for file in files:
            yield SuiteRun(file.name.removesuffix(".gz").removesuffix(".jsonl"), file, config)


def hub_suite(config: SuiteConfig, folder: Path) -> Path:
    """A suite of the hub as a file, downloaded once: its rows as they are published."""
    name = config.subset or config.path.rpartition("/")[2]
    file = folder / stable_hash(f"{config.path} {config.revision} {config.split}") / f"{name}.jsonl"
    if not file.is_file():
        rows = load_hub_rows(
            config.path, config.subset, split=config.split, revision=config.revision
        )
        lines = [json.dumps(row, default=str) + "\n" for row in rows]
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".draft")
        draft.write_text("".join(lines), encoding="utf-8")
        draft.replace(file)
    return file


def cannot_answer(name: ModelName, recipe: Recipe, problems: Sequence[Problem]) -> str | None:
    """Why a model is not asked a suite, or None."""
    if not CONTENDERS[name].needs_own_expert:
        return None
    known = recipe.expert_of_language()
    without = sorted({problem.language for problem in problems} - known.keys())
    return f"no expert for {', '.join(without)}" if without else None


def evaluate_suite(name: ModelName, recipe: Recipe, run: SuiteRun, out: Path) -> None:
    """Answer a suite's problems, run them, sum up: samples, results and metrics in `out`."""
    from codemoe.evaluate.answers import SAMPLES
    from codemoe.evaluate.execute import execute_suite
    from codemoe.evaluate.memory import PeakMemory
    from codemoe.evaluate.sandbox import Limits
    from codemoe.evaluate.scoring import sandbox_probe

    problems = run.problems()
    memory = PeakMemory()
    samples, effort, size = _answer(name, recipe, run, problems, out, memory)
    peak_memory_mb = memory.close()
    sandbox = sandbox_probe(recipe.eval, True)
    found: dict[str, Any] = {}
    if sandbox.tier is not None:
        with progress(f"test {name} {run.name}", len(samples), "programs") as advance:
            found = execute_suite(
                run.path,
                out / SAMPLES,
                out / "results.jsonl",
                run.config.k,
                lambda verdict: advance(1, ""),
                limits=Limits(wall_s=recipe.eval.timeout_s),
                cache=recipe.run_dir / ".cache" / "verdicts",
                suite_format=run.config.format,
            )
    metrics = {
        "model": name,
        "suite": run.name,
        "format": problems[0].suite_format,
        "problems": len(problems),
        "samples": run.config.samples,
        "not_answered": sum(sample["finish_reason"] == "prompt too long" for sample in samples),
        "cut_off": sum(sample["finish_reason"] == "length" for sample in samples),
        **{
            key: found.get(key)
            for key in ("n", "passed", "not_run", "by_status", "by_language", "pass_at_k",
                        "pass_at_k_interval", "detectable_difference")
        },
        "cost": {
            **asdict(size),
            "tokens_per_s": effort.tokens_per_s,
            "peak_memory_mb": peak_memory_mb,
        },
        "sandbox": asdict(sandbox),
        "seconds": effort.seconds,
    }  # fmt: skip
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    shown = ", ".join(
        f"pass@{k} {'not run' if value is None else f'{value:.3f}'}"
        for k, value in (found.get("pass_at_k") or {"1": None}).items()
    )
    say(f"eval {name} {run.name}: {shown}")


def _answer(
    name: ModelName,
    recipe: Recipe,
    run: SuiteRun,
    problems: Sequence[Problem],
    out: Path,
    memory: "PeakMemory",
) -> "tuple[list[dict[str, Any]], Effort, Size]":
    """Samples of all problems; the model is gone from memory when programs start to run."""
    from codemoe.evaluate.answers import answer_all
    from codemoe.evaluate.cost import size_of
    from codemoe.evaluate.suites.ask import kept_of

    how = CONTENDERS[name]
    model = how.open(recipe)
    questions, left_off = _questions(model.tokenizer, problems, run.config)
    own = recipe.expert_of_language()

    def ask(batch: Sequence["Question[Problem]"]) -> "list[Generation]":
        return _generate(recipe, run, model, how.route, own, batch)

    def describe(question: "Question[Problem]", answer: "Generation") -> dict[str, str]:
        style = run.config.prompt
        return kept_of(question.subject, style, left_off[question.id], answer.text)

    samples, effort = answer_all(
        model,
        f"eval {name} {run.name}",
        # The first sample of every problem comes before the second of any, so that results
        # count them in this order; then neighbours of one length end at about one time.
        sorted(questions, key=lambda q: (q.number, q.subject.language, len(q.prompt.input_ids))),
        [question.key for question in questions],
        ask,
        describe,
        out,
        memory,
        batch_size=recipe.eval.batch_size,
    )
    return samples, effort, size_of(model, how.routers)


def _questions(
    tokenizer: Any, problems: Sequence[Problem], config: SuiteConfig
) -> "tuple[list[Question[Problem]], dict[str, str]]":
    from codemoe.evaluate.answers import Question
    from codemoe.evaluate.suites.ask import encode_problem

    asked = {one.id: encode_problem(tokenizer, one, config.prompt) for one in problems}
    questions = [
        Question(problem.id, number, asked[problem.id].prompt, problem)
        for problem in problems
        for number in range(config.samples)
    ]
    return questions, {name: one.left_off for name, one in asked.items()}


def _generate(
    recipe: Recipe,
    run: SuiteRun,
    model: Any,
    route: Any,
    own: dict[str, str],
    batch: "Sequence[Question[Problem]]",
) -> "list[Generation]":
    from codemoe.evaluate.suites.extract import is_finished
    from codemoe.models.generate import generate_batch
    from codemoe.models.sampling import Sampling

    problems = [question.subject for question in batch]
    config = run.config

    def finished(row: int, tokens: Sequence[int]) -> bool:
        problem = problems[row]
        if len(tokens) % _CHECK_EVERY or config.prompt == "ask" or not problem.prompt:
            return False
        return is_finished(problem, model.tokenizer.decode(tokens, skip_special_tokens=True))

    prompts = [question.prompt for question in batch]
    asked = route([own.get(problem.language, "") for problem in problems])
    if asked.by == "none":
        # Nothing acts from a marker on, so prompts with unlike ones need not be taken apart.
        prompts = [replace(one, marker_start=len(one.input_ids) - 1) for one in prompts]
    # Its own seed for each batch, the same when it is made again.
    key = f"{recipe.seed}:{run.name}:{batch[0].id}:{batch[0].number}"
    return generate_batch(
        model,
        prompts,
        asked,
        max_new_tokens=run.max_new_tokens(recipe),
        sampling=Sampling(config.temperature, config.top_p, int(stable_hash(key)[:8], 16)),
        is_finished=finished,
    )
