"""The `eval` stage: every compared model on the same held-out rows: samples, results, metrics."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemoe.artifacts import Redo, run_stage
from codemoe.data.rows import Row
from codemoe.data.stage import read_split, read_suite
from codemoe.eval_config import ModelName
from codemoe.evaluate.contenders import CONTENDERS, own_experts, unavailable
from codemoe.evaluate.suite_runs import SuiteRun, cannot_answer, evaluate_suite, suite_runs
from codemoe.progress import say
from codemoe.recipe import Recipe

if TYPE_CHECKING:
    from codemoe.evaluate.sandbox import SandboxProbe


def run(recipe: Recipe, *, redo: Redo = "never") -> bool:
    """Make `eval/<model>/<split>/`, and `eval/<model>/<suite>/` for each suite, for each model of
    the recipe; True when any was made."""
    suites = [(one, one.problems()) for one in suite_runs(recipe)]  # their defects come first
    if recipe.eval.execute == "required":
        _sandbox(recipe)  # before hours of generation, not after
    made = False
    for name in recipe.eval.models:
        reason = unavailable(name, recipe)
        if reason:
            say(f"eval: {name} is left out: {reason}")
            continue
        made |= _with_tests(name, recipe, None, redo)
        for suite, problems in suites:
            reason = cannot_answer(name, recipe, problems)
            if reason:
                say(f"eval: {name} is not asked {suite.name}: {reason}")
                continue
            made |= _with_tests(name, recipe, suite, redo)
    return made


def _with_tests(name: ModelName, recipe: Recipe, suite: SuiteRun | None, redo: Redo) -> bool:
    """Make one evaluation; one that had no sandbox is tested when there is one, not asked again."""
    part = suite.name if suite else recipe.eval.split
    finished = recipe.run_dir / "eval" / name / part
    if _make(name, recipe, suite, finished, redo):
        return True
    if _untested(finished) and _sandbox(recipe).tier is not None:
        say(f"eval: {name} was not tested for want of a sandbox; testing its answers now")
        answers = finished / "samples.jsonl"
        return _make(name, recipe, suite, finished, "always", answers=answers)
    return False


def _make(
    name: ModelName,
    recipe: Recipe,
    suite: SuiteRun | None,
    finished: Path,
    redo: Redo,
    answers: Path | None = None,
) -> bool:
    if suite is None:
        config = recipe.eval.model_dump(mode="json", exclude={"models", "suites", "thresholds"})
        settings = {"eval": config, "seed": recipe.seed, "model": name}
    else:
        settings = {"suite": suite.settings(recipe), "seed": recipe.seed, "model": name}

    def work(out: Path) -> None:
        if answers is not None and not (out / answers.name).exists():
            shutil.copyfile(answers, out / answers.name)
        if suite is None:
            _evaluate(name, recipe, out)
        else:
            evaluate_suite(name, recipe, suite, out)

    inputs = CONTENDERS[name].inputs(recipe)
    if suite is None:
        inputs["data"] = recipe.run_dir / "data"
    return run_stage(finished, "eval", settings, inputs, work, seed=recipe.seed, redo=redo)


def _sandbox(recipe: Recipe) -> "SandboxProbe":
    """What the tests would run in. Raises UserError for `required` where there is nothing."""
    from codemoe.evaluate.scoring import sandbox_probe

    has_own = bool(read_suite(recipe.run_dir / "data", recipe.eval.split))
    return sandbox_probe(recipe.eval, has_own or bool(recipe.eval.suites))


def _untested(finished: Path) -> bool:
    """Whether a finished evaluation has answers with tests that were not run."""
    from codemoe.evaluate.scoring import NO_TESTS

    metrics = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    return metrics["sandbox"]["tier"] is None and metrics["sandbox"]["reason"] != NO_TESTS


def _evaluate(name: ModelName, recipe: Recipe, out: Path) -> None:
    from codemoe.evaluate.answers import answer_rows, held_out
    from codemoe.evaluate.cost import size_of
    from codemoe.evaluate.memory import PeakMemory
    from codemoe.evaluate.scoring import (
        execute_answers,
        figures,
        result_rows,
        sandbox_probe,
    )
    from codemoe.evaluate.traces import TRACES, trace_rows

    data_dir = recipe.run_dir / "data"
    asked = read_split(data_dir, recipe.eval.split)
    rows = held_out(
        [row for row in asked if recipe.own_expert(row.language, row.source)],
        recipe.languages,
        recipe.eval.samples_per_language,
        recipe.data.split_seed,
    )
    suite = read_suite(data_dir, recipe.eval.split)
    how = CONTENDERS[name]
    memory = PeakMemory()
    model = how.open(recipe)
    samples, effort = answer_rows(model, name, how, recipe, rows, out, memory)
    routing = _routing(how.routers, model, rows, samples, recipe)
    traces = trace_rows(model, how.routers, rows, samples, own_experts(recipe, rows))
    if traces is not None:
        (out / TRACES).write_text(json.dumps(traces) + "\n", encoding="utf-8")
    size = size_of(model, how.routers)
    del model
    peak_memory_mb = memory.close()
    sandbox = sandbox_probe(recipe.eval, any(row.id in suite for row in rows))
    verdicts: Sequence[tuple[str | None, str]] = [(None, "")] * len(rows)
    if sandbox.tier is not None:
        predictions = [sample["completion"] for sample in samples]
        cache = recipe.run_dir / ".cache" / "verdicts"
        verdicts = execute_answers(name, rows, predictions, suite, recipe.eval, cache)
    results = result_rows(rows, samples, verdicts)
    with (out / "results.jsonl").open("w", encoding="utf-8") as file:
        for result in results:
            file.write(json.dumps(result) + "\n")
    by_language = {
        language: [r for r in results if r["language"] == language] for language in recipe.languages
    }
    metrics: dict[str, Any] = {
        "model": name,
        "suite": recipe.eval.split,
        "n": len(results),
        "languages": {language: figures(some) for language, some in by_language.items() if some}
        | {"all": figures(results)},
        "scores": {
            language: [r["codebleu"] for r in some] for language, some in by_language.items()
        },
        "routing": routing,
        "cost": {
            **asdict(size),
            "tokens_per_s": effort.tokens_per_s,
            "peak_memory_mb": peak_memory_mb,
        },
        "sandbox": asdict(sandbox),
        "seconds": effort.seconds,
    }
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    figure = metrics["languages"]["all"]
    passed = figure["pass_at_1"]
    shown = "not run" if passed is None else f"{passed:.3f}"
    say(
        f"eval {name}: CodeBLEU {figure['codebleu']:.3f}, exact {figure['exact']:.3f}, "
        f"pass@1 {shown}, wrong language {figure['wrong_language']:.3f}"
    )


def _routing(
    routers: str, model: Any, rows: Sequence[Row], samples: Sequence[dict[str, Any]], recipe: Recipe
) -> dict[str, Any] | None:
    from codemoe.evaluate.routing_metrics import sequence_routing, token_routing

    measure = {"sequence": sequence_routing, "token": token_routing}.get(routers)
    if measure is None:
        return None
    pairs = [(r, s) for r, s in zip(rows, samples, strict=True) if s["expert"] or s["load"]]
    if not pairs:
        return None
    rows, samples = [row for row, _ in pairs], [sample for _, sample in pairs]
    return measure(model, rows, samples, list(recipe.languages), own_experts(recipe, rows))
