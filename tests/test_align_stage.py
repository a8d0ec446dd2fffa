"""A whole alignment of tiny experts: sampled, tested in the sandbox, paired, trained, mixed.

The experts learn to write one line that passes its test; drawn at a temperature, some answers do.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codemoe import align_stage
from codemoe.artifacts import digest_of, is_finished, read_manifest, run_stage, verify
from codemoe.data.preferences import read_preferences
from codemoe.data.rows import Row, write_parquet
from codemoe.errors import UserError, WorkError
from codemoe.evaluate.contenders import CONTENDERS
from codemoe.evaluate.preferences import judge, sample
from codemoe.evaluate.sandbox import SandboxProbe, probe
from codemoe.models import moe_stage
from codemoe.models.load import load_model
from codemoe.pipeline import STAGES, run_stages
from codemoe.recipe import Recipe
from codemoe.train import base_stage, experts_stage
from tests.conftest import run_codemoe
from tests.test_repo import ROOT

needs_sandbox = pytest.mark.skipif(probe().tier is None, reason="no sandbox here")
LINES = {"python": "x = 1", "javascript": "var x = 1;"}
TESTS = {"python": "assert x == 1", "javascript": "require('assert')(x === 1)"}
HUMAN = {"prompt": "let x be 1", "language": "python", "chosen": "x = 1", "rejected": "y = 2"}


def rows(language: str) -> list[Row]:
    return [
        Row(f"{language}-{i}", f"g{i}", language, f"let x be 1 ({i})", LINES[language], "s", "MIT")
        for i in range(6)
    ]


def write_data(out: Path) -> None:
    train = [row for language in LINES for row in rows(language)]
    for split in ("train", "valid", "test"):
        write_parquet(train, out / f"{split}.parquet")
    suite = [
        {
            "id": row.id,
            "language": row.language,
            "prompt": "",
            "solution": row.code,
            "tests": TESTS[row.language],
            "entry_point": "x",
        }
        for row in train
    ]
    (out / "train.suite.jsonl").write_text("".join(json.dumps(row) + "\n" for row in suite))


def recipe_of(folder: Path, base: Path, **align: Any) -> Recipe:
    tree: dict[str, Any] = {
        "name": "tiny",
        "languages": list(LINES),
        "runs_dir": str(folder),
        "base": {"model": str(base)},
        "experts": {
            "dense_baseline": False,
            "lora": {"rank": 8},
            "train": {"steps": 40, "batch_size": 4, "learning_rate": 0.02, "warmup_steps": 2},
        },
        "align": {
            "samples_per_task": 6,
            "max_tasks": 4,
            "temperature": 1.0,
            "max_new_tokens": 16,
            "batch_size": 12,
            "train": {"batch_size": 2, "logging_steps": 1, "checkpoint_steps": 1},
        }
        | align,
    }
    return Recipe.model_validate(tree)


@pytest.fixture
def place(sure_checkpoint: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """Data, base and trained experts of a run, linked from one that is made once."""
    trained = sure_checkpoint.parent / "trained"
    first = recipe_of(trained, sure_checkpoint)
    if not is_finished(first.run_dir / "experts" / "javascript"):
        run_stage(first.run_dir / "data", "data", {}, {}, write_data)
        base_stage.run(first)
        experts_stage.run(first)

    def make(**align: Any) -> Recipe:
        recipe = recipe_of(tmp_path / "runs", sure_checkpoint, **align)
        recipe.run_dir.mkdir(parents=True, exist_ok=True)
        for stage in ("data", "base", "experts"):
            if not (recipe.run_dir / stage).exists():
                (recipe.run_dir / stage).symlink_to((first.run_dir / stage).resolve())
        return recipe

    return make


def counts(recipe: Recipe, expert: str) -> dict[str, Any]:
    file = recipe.run_dir / "aligned/pairs" / expert / "counts.json"
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@needs_sandbox
def test_from_experts_to_a_mixture_of_aligned_ones(
    place: Callable[..., Recipe], tmp_path: Path
) -> None:
    (tmp_path / "human.jsonl").write_text(json.dumps(HUMAN) + "\n")
    recipe = place(human=[{"path": str(tmp_path / "human.jsonl")}])
    assert align_stage.run(recipe)
    aligned = recipe.run_dir / "aligned"
    total = 0
    for expert in LINES:
        for part in ("samples", "pairs", "experts"):
            verify(aligned / part / expert)
        told = counts(recipe, expert)
        assert (told["tasks"], told["answers"]) == (4, 24)
        assert sum(told["by_status"].values()) == 24
        assert 0 < told["passed"] < 1, "the case must have both kinds of answers"
        assert told["pairs"]["human"] == (expert == "python")
        pairs = read_preferences(aligned / "pairs" / expert / "pairs.jsonl")
        assert len(pairs) == sum(told["pairs"].values())
        total += len(pairs)
        assert all(p.prompt.startswith("### Task: let x be 1") for p in pairs)
        assert all(p.prompt.endswith("### Code:\n") for p in pairs)
        own = [pair for pair in pairs if pair.cause == "pass over fail"]
        assert all(p.chosen_status == "pass" and p.rejected_status != "pass" for p in own)
        summary = json.loads((aligned / "experts" / expert / "training.json").read_text())
        assert summary["languages"] == [expert]
        assert summary["licenses"] == {"MIT": 6}
        assert summary["aligned"]["pairs"]["used"] == len(pairs)
        before = (recipe.run_dir / "experts" / expert / "adapter_model.safetensors").read_bytes()
        after = (aligned / "experts" / expert / "adapter_model.safetensors").read_bytes()
        assert (before != after) == bool(pairs)
        assert load_model(str(aligned / "experts" / expert)).mixture is not None
    assert total > 1
    assert not align_stage.run(recipe), "finished before"
    assert moe_stage.run(recipe)
    moe = read_manifest(recipe.run_dir / "moe")
    assert set(moe["inputs"]) == {"base", "aligned/python", "aligned/javascript"}
    mixed = recipe.run_dir / "moe/experts/python/adapter_model.safetensors"
    assert mixed.read_bytes() == (aligned / "experts/python/adapter_model.safetensors").read_bytes()
    assert set(CONTENDERS["expert"].inputs(recipe)) == set(moe["inputs"])
    # Other pairs make other experts, and what was made of the old ones is told to be old.
    changed = place(pairs_per_task=1, human=[])
    with pytest.raises(UserError, match=r"pairs_per_task: made with 2, now 1"):
        align_stage.run(changed)
    samples = digest_of(aligned / "samples/python")
    assert align_stage.run(changed, redo="different")
    assert digest_of(aligned / "samples/python") == samples, "no answer was sampled again"
    with pytest.raises(UserError, match="its input aligned/python has changed since"):
        moe_stage.run(changed)
    with pytest.raises(UserError, match="its input aligned/python has changed since"):
        moe_stage.run(changed.model_copy(update={"align": None}))


@needs_sandbox
def test_cut_anywhere_it_ends_the_same(
    place: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(Exception):
        pass

    def cut_at(owner: object, name: str, call: int) -> None:
        real, calls = getattr(owner, name), 0

        def deadly(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == call:
                raise Cut
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, deadly)

    from codemoe.evaluate import answers
    from codemoe.models import generate
    from codemoe.train import dpo, trainer

    recipe = place(max_tasks=2, batch_size=6)
    # In the second batch of answers, while tests run, after the first expert's first checkpoint.
    for owner, name, call in (
        (generate, "generate_batch", 2),
        (sample, "judge", 1),
        (trainer, "seal", 2),
        (dpo, "align_expert", 2),
    ):
        with monkeypatch.context():
            cut_at(owner, name, call)
            with pytest.raises(Cut):
                align_stage.run(recipe)
        monkeypatch.undo()
    assert answers.read_jsonl(recipe.run_dir / "aligned/samples/python/samples.jsonl")
    first = digest_of(recipe.run_dir / "aligned/experts/python")
    assert align_stage.run(recipe)
    assert digest_of(recipe.run_dir / "aligned/experts/python") == first, "not repeated"
    straight = recipe.model_copy(update={"name": "straight"})
    straight.run_dir.mkdir()
    for stage in ("data", "base", "experts"):
        (straight.run_dir / stage).symlink_to((recipe.run_dir / stage).resolve())
    assert align_stage.run(straight)
    for expert in LINES:
        assert judged(recipe, expert) == judged(straight, expert)
        for part in ("pairs", "experts"):
            outputs = [
                read_manifest(run.run_dir / "aligned" / part / expert)["outputs"]
                for run in (recipe, straight)
            ]
            assert outputs[0] == outputs[1]


def judged(recipe: Recipe, expert: str) -> list[dict[str, Any]]:
    """Answers and verdicts; details may tell of places and times."""
    text = (recipe.run_dir / "aligned/samples" / expert / "results.jsonl").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in row.items() if k != "detail"} for row in found]


@needs_sandbox
def test_grpo_is_rewarded_by_the_sandbox(place: Callable[..., Recipe]) -> None:
    train = {"batch_size": 6, "max_length": 64, "logging_steps": 1, "checkpoint_steps": 50}
    recipe = place(method="grpo", train=train)
    assert align_stage.run(recipe)
    aligned = recipe.run_dir / "aligned"
    assert sorted(path.name for path in aligned.iterdir()) == ["experts"], "no pairs are made"
    for expert in LINES:
        lines = (aligned / "experts" / expert / "metrics.jsonl").read_text().splitlines()
        rewards = [json.loads(line)["reward"] for line in lines]
        assert len(rewards) == 4
        assert max(rewards) > 0, "some answer passed its test"
        summary = json.loads((aligned / "experts" / expert / "training.json").read_text())
        assert summary["aligned"] | {"steps": 4, "tasks": 4, "method": "grpo"} == summary["aligned"]
    assert not align_stage.run(recipe)


def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "probe", lambda: SandboxProbe(None, "no bwrap", "install it"))


def test_without_a_sandbox_only_people_s_pairs_do(
    place: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_sandbox(monkeypatch)
    with pytest.raises(UserError, match=r"no sandbox works here: no bwrap\n.*samples_per_task=0"):
        align_stage.run(place())
    with pytest.raises(UserError, match="no sandbox works here"):
        align_stage.run(place(method="grpo", train={"batch_size": 6}))
    path = tmp_path / "human.csv"
    path.write_text(
        "prompt,language,chosen,rejected\n"
        + ",".join(HUMAN[key] for key in ("prompt", "language", "chosen", "rejected"))
    )
    human = [{"path": str(path)}]
    recipe = place(samples_per_task=0, human=human, train={"batch_size": 1})
    assert align_stage.run(recipe)
    assert not list(recipe.run_dir.glob("aligned/samples/*/manifest.json"))
    assert counts(recipe, "python")["pairs"]["human"] == 1
    assert counts(recipe, "javascript")["human_dropped"] == {"another expert's language": 1}
    aligned = recipe.run_dir / "aligned/experts"
    kept = json.loads((aligned / "javascript/training.json").read_text())
    assert kept["aligned"]["steps"] == 0
    # Another file under the same name is another setting.
    path.write_text(path.read_text().replace("y = 2", "y = 3"))
    with pytest.raises(UserError, match=r"files\..*human\.csv: made with"):
        align_stage.run(recipe)


def test_no_pairs_at_all_is_told(
    place: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "human.jsonl").write_text(json.dumps(HUMAN | {"language": "rust"}) + "\n")
    human = [{"path": str(tmp_path / "human.jsonl")}]
    with pytest.raises(WorkError, match=r"python: another expert's language 1.*\n.*align\.human"):
        align_stage.run(place(samples_per_task=0, human=human))

    def all_fail(label: str, tasks: Any, answers: Any, *_: Any) -> list[Any]:
        from codemoe.evaluate.sandbox import Verdict

        return [Verdict(str(i), "python", "fail", 0.0, "") for i, _ in enumerate(answers)]

    monkeypatch.setattr(judge, "probe", lambda: SandboxProbe("bubblewrap", "", ""))
    monkeypatch.setattr(sample, "judge", all_fail)
    monkeypatch.setattr(sample, "languages", lambda tasks, answers: [None] * len(answers))
    with pytest.raises(WorkError, match=r"no pair for any expert.*javascript: no answer passes 4"):
        align_stage.run(place(), redo="different")


def test_data_without_tests_are_told(
    place: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "probe", lambda: SandboxProbe("bubblewrap", "", ""))
    recipe = place()
    data = recipe.run_dir / "data"
    data.unlink()

    def write(out: Path) -> None:
        write_data(out)
        (out / "train.suite.jsonl").unlink()

    run_stage(data, "data", {}, {}, write)
    with pytest.raises(UserError, match="no training row of expert 'python' has tests"):
        align_stage.run(recipe)


def test_a_recipe_without_the_section_has_no_such_stage(
    place: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = place().model_copy(update={"align": None})
    with pytest.raises(UserError, match="no section `align`"):
        align_stage.run(plain)
    ran: list[str] = []
    monkeypatch.setattr(
        type(STAGES[0]), "run", lambda self, recipe, redo: bool(ran.append(self.name))
    )
    for recipe in (plain, place()):
        run_stages(recipe)
    names = [stage.name for stage in STAGES]
    assert ran == [name for name in names if name != "align"] + names
    assert names.index("experts") < names.index("align") < names.index("moe")


def test_the_command_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    def refused(*overrides: str) -> None:
        *settings, what = overrides
        done = run_codemoe("align", ROOT / "recipes/demo.yaml", *settings, cwd=tmp_path)
        done.user_error(what)

    refused("no section `align`")
    refused("align.samples_per_task=1", "nothing to compare")
    refused("align.samples_per_task=0", "no `human` pairs to train on")
    refused("align.beta=0", "beta must be above 0")
    refused("align.method=grpo", "align.train.batch_size=12", "must be a multiple of")
    refused("align.human=[{path: x.csv, fields: {good: a}}]", "unknown field good")
    refused("align.methode=dpo", "did you mean align.method?")
    refused("align.method=dpo", "experts.lora.use_dora=true", "codemoe has no align of them")
