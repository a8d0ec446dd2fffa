"""pytest tests/evaluate/test_suite_runs.py: published suites as part of a run.

The model is the base that ships with codemoe: it cannot solve these, so what is tested is the way
of its answers, and that a model which does know them is scored as one.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from codemoe.data.prompt import MARKER
from codemoe.errors import UserError
from codemoe.evaluate import answers, suite_runs
from codemoe.evaluate.contenders import CONTENDERS, Contender
from codemoe.evaluate.sandbox import probe
from codemoe.evaluate.suites import read_suite
from codemoe.evaluate.suites.ask import encode_problem, kept_of, task_of
from codemoe.models.generate import Generation, Route
from codemoe.models.load import CodeModel, load_base
from codemoe.models.reference import BaseReference
from codemoe.recipe import BUILTIN, Recipe
from tests.evaluate.suites import rows as published

sandboxed = pytest.mark.skipif(probe().tier is None, reason=f"no sandbox: {probe().reason}")


def _write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def base() -> CodeModel:
    return load_base(BaseReference(BUILTIN))


@pytest.fixture
def recipe(tmp_path: Path, base: CodeModel, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Three problems, two samples each, batches of two; the base is open already."""
    rows = [{**published.HUMANEVAL, "task_id": f"HumanEval/{i}"} for i in range(3)]
    path = _write(tmp_path / "he.jsonl", *rows)
    opened = Contender(lambda _: {}, lambda _: base, lambda own: Route("none"))
    monkeypatch.setitem(CONTENDERS, "base", opened)
    suite = {"path": str(path), "samples": 2, "temperature": 0.5, "k": [1, 2], "max_new_tokens": 12}
    return Recipe(
        name="x",
        runs_dir=str(tmp_path / "runs"),
        base={"model": "builtin"},  # type: ignore[arg-type]
        eval={"models": ["base"], "suites": [suite], "batch_size": 2},  # type: ignore[arg-type]
    )


@sandboxed
def test_an_interrupted_suite_goes_on_and_ends_with_the_same_answers(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = suite_runs.suite_runs(recipe)
    assert run.name == "he"
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    suite_runs.evaluate_suite("base", recipe, run, whole)
    asked: list[int] = []
    real = suite_runs._generate

    def failing(*arguments: Any) -> list[Generation]:
        asked.append(len(arguments[-1]))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(suite_runs, "_generate", failing)
    with pytest.raises(KeyboardInterrupt):
        suite_runs.evaluate_suite("base", recipe, run, cut)
    before = (cut / "samples.jsonl").read_text()
    assert before.count("\n") == 2
    with (cut / "samples.jsonl").open("a") as file:
        file.write('{"id": "HumanEval/2", "sam')  # killed while it wrote
    suite_runs.evaluate_suite("base", recipe, run, cut)
    assert asked == [2, 2, 2, 2]  # four of the six answers were left, in two batches
    assert (cut / "samples.jsonl").read_text().startswith(before)

    def texts(out: Path) -> list[Any]:
        found = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
        return [{k: v for k, v in row.items() if k != "seconds"} for row in found]

    assert texts(cut) == texts(whole)
    metrics = json.loads((cut / "metrics.json").read_text())
    assert metrics["problems"] == 3
    assert metrics["n"] == 6
    assert metrics["pass_at_k"] == {"1": 0.0, "2": 0.0}
    assert metrics["pass_at_k_interval"]["1"][0] == 0.0
    assert metrics["pass_at_k_interval"]["1"][1] > 0.5  # three problems say little
    assert metrics["cost"]["peak_memory_mb"] >= 0
    results = (cut / "results.jsonl").read_text()
    suite_runs.evaluate_suite("base", recipe, run, cut)
    assert (cut / "results.jsonl").read_text() == results


@sandboxed
@pytest.mark.parametrize("style", ["continue", "ask", "raw"])
def test_a_model_that_knows_the_answer_passes(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    (run,) = suite_runs.suite_runs(recipe)
    config = run.config.model_copy(update={"prompt": style})
    written = {
        "ask": "Sure:\n```python\ndef double(x):\n    return 2 * x\n```",
        "continue": "\n    return 2 * x\n\n\nprint(double(1))",
        "raw": " # twice\n    return 2 * x\n\ndef more():",
    }[style]

    def knowing(*arguments: Any) -> list[Generation]:
        return [Generation(written, (1, 2), 3, "stop") for _ in arguments[-1]]

    monkeypatch.setattr(suite_runs, "_generate", knowing)
    out = tmp_path / "out"
    out.mkdir()
    suite_runs.evaluate_suite("base", recipe, suite_runs.SuiteRun("he", run.path, config), out)
    assert json.loads((out / "metrics.json").read_text())["pass_at_k"] == {"1": 1.0, "2": 1.0}


def test_prompts_keep_the_one_format(base: CodeModel, tmp_path: Path) -> None:
    path = _write(tmp_path / "s.jsonl", published.MULTIPL_E["java"])
    (problem,) = read_suite(path)
    for style in ("continue", "ask"):
        asked = encode_problem(base.tokenizer, problem, style)  # type: ignore[arg-type]
        text = base.tokenizer.decode(asked.prompt.input_ids)
        assert text.startswith("### Task: Twice x.\n")
        assert "### Language: Java\n" in text
        end = text.index(MARKER) + len(MARKER)
        assert text[end:] == (problem.prompt.rstrip() if style == "continue" else "")
        marker = base.tokenizer.decode(asked.prompt.input_ids[asked.prompt.marker_start :])
        assert marker.endswith(text[text.index(MARKER) :])
    raw = encode_problem(base.tokenizer, problem, "raw")
    assert base.tokenizer.decode(raw.prompt.input_ids) == problem.prompt.rstrip()
    assert raw.prompt.marker_start == len(raw.prompt.input_ids) - 1


def test_tasks_are_the_words_of_the_prompt(tmp_path: Path) -> None:
    for row in (
        published.HUMANEVAL,
        *published.HUMANEVAL_X.values(),
        *published.MBXP.values(),
        *published.MULTIPL_E.values(),
    ):
        (problem,) = read_suite(_write(tmp_path / "s.jsonl", row))
        assert task_of(problem).partition("\n>>>")[0] == "Twice x.", row
    (problem,) = read_suite(_write(tmp_path / "s.jsonl", published.MBPP))
    assert task_of(problem).startswith("Write a function to double")


def test_what_goes_on_in_the_prompts_line_is_a_program(tmp_path: Path) -> None:
    (problem,) = read_suite(_write(tmp_path / "s.jsonl", published.HUMANEVAL))
    assert kept_of(problem, "continue", "\n", "\n    return 1") == {"completion": "    return 1"}
    assert kept_of(problem, "continue", "\n", "  # so\n    return 1")["program"].endswith(
        '"""  # so\n    return 1'
    )
    assert kept_of(problem, "ask", "", "words") == {"answer": "words"}


def test_names_of_suites_must_differ(tmp_path: Path) -> None:
    def recipe(*paths: Path) -> Recipe:
        suites = [{"path": str(path)} for path in paths]
        return Recipe(name="x", base={"model": "builtin"}, eval={"suites": suites})  # type: ignore[arg-type]

    (tmp_path / "a").mkdir()
    one = _write(tmp_path / "he.jsonl", published.HUMANEVAL)
    _write(tmp_path / "a" / "he.jsonl", published.HUMANEVAL)
    _write(tmp_path / "a" / "mbpp.jsonl", published.MBPP)
    names = [run.name for run in suite_runs.suite_runs(recipe(tmp_path / "a"))]
    assert names == ["he", "mbpp"]
    with pytest.raises(UserError, match="would both be 'he'"):
        suite_runs.suite_runs(recipe(one, tmp_path / "a"))
    with pytest.raises(UserError, match="does not exist"):
        suite_runs.suite_runs(recipe(tmp_path / "none"))
    with pytest.raises(UserError, match="name of the run's own rows"):
        suite_runs.suite_runs(recipe(_write(tmp_path / "test.jsonl", published.MBPP)))
    assert answers.SAMPLES == "samples.jsonl"


def test_a_language_without_an_expert_is_not_asked_of_experts(tmp_path: Path) -> None:
    recipe = Recipe(name="x", base={"model": "builtin"}, languages=("java",))  # type: ignore[arg-type]
    problems = read_suite(_write(tmp_path / "s.jsonl", published.HUMANEVAL))
    assert suite_runs.cannot_answer("expert", recipe, problems) == "no expert for python"
    assert suite_runs.cannot_answer("moe-oracle", recipe, problems) == "no expert for python"
    assert suite_runs.cannot_answer("base", recipe, problems) is None
