"""The eval stage around its work: answers without verdicts are tested later, not made again."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from codemoe.artifacts import run_stage
from codemoe.evaluate import stage
from codemoe.evaluate.sandbox import SandboxProbe
from codemoe.evaluate.scoring import NO_TESTS
from codemoe.recipe import Recipe


class Harness:
    """A recipe with one model, made-up work, and a sandbox that can be installed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recipe = Recipe(
            name="x",
            runs_dir=str(folder),
            base={"model": "builtin"},  # type: ignore[arg-type]
            eval={"models": ["base"]},  # type: ignore[arg-type]
        )
        self.sandbox = SandboxProbe(None, "bwrap not found", "install it")
        self.answered = 0
        self.finished = self.recipe.run_dir / "eval" / "base" / "test"
        monkeypatch.setattr(stage, "CONTENDERS", {"base": SimpleNamespace(inputs=lambda _: {})})
        data = self.recipe.run_dir / "data"
        run_stage(data, "data", {}, {}, lambda out: None)
        monkeypatch.setattr(stage, "_sandbox", lambda recipe: self.sandbox)
        monkeypatch.setattr(stage, "_evaluate", self._evaluate)

    def _evaluate(self, name: str, recipe: Recipe, out: Path) -> None:
        if not (out / "samples.jsonl").exists():
            self.answered += 1
            (out / "samples.jsonl").write_text("answers")
        sandbox = {"tier": self.sandbox.tier, "reason": self.sandbox.reason}
        (out / "metrics.json").write_text(json.dumps({"sandbox": sandbox}))

    def tier(self) -> str | None:
        found: str | None = json.loads((self.finished / "metrics.json").read_text())["sandbox"][
            "tier"
        ]
        return found


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Harness:
    return Harness(tmp_path, monkeypatch)


def test_a_sandbox_that_came_later_tests_the_same_answers(harness: Harness) -> None:
    assert stage.run(harness.recipe)
    assert not stage.run(harness.recipe)  # still no sandbox: nothing to do
    harness.sandbox = SandboxProbe("bubblewrap", "", "")
    assert stage.run(harness.recipe)
    assert harness.tier() == "bubblewrap"
    assert harness.answered == 1
    assert not stage.run(harness.recipe)


def test_forced_answers_are_new_ones(harness: Harness) -> None:
    assert stage.run(harness.recipe)
    assert stage.run(harness.recipe, redo="always")
    assert harness.answered == 2


def test_data_without_tests_is_not_asked_again(harness: Harness) -> None:
    harness.sandbox = SandboxProbe(None, NO_TESTS, "")
    assert stage.run(harness.recipe)
    harness.sandbox = SandboxProbe("bubblewrap", "", "")
    assert not stage.run(harness.recipe)
