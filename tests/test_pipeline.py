"""A whole tiny run, from the corpus to the report; killed at several moments it ends the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codemoe.artifacts import digest_of, is_finished, read_manifest, verify
from codemoe.eval_config import MODEL_NAMES
from tests.conftest import Finished, run_codemoe

RECIPE = """
name: tiny
languages: [python, java]
data:
  sources: [{kind: corpus, tasks: 60, phrasings: 1}]
  valid_fraction: 0.1
  test_fraction: 0.2
base:
  from_scratch:
    vocab_size: 400
    hidden_size: 32
    num_hidden_layers: 2
    num_attention_heads: 4
    num_key_value_heads: 2
    intermediate_size: 64
    steps: 50
    batch_tokens: 256
    sequence_length: 64
    warmup_steps: 5
    checkpoint_steps: 20
experts:
  lora: {rank: 2, alpha: 4}
  train: {steps: 8, batch_size: 2, warmup_steps: 2, logging_steps: 2, checkpoint_steps: 4}
merge: {methods: [ties, average, slerp]}
router: {samples_per_expert: 12, gate_tokens_per_expert: 200, folds: 2}
eval: {samples_per_language: 2, max_new_tokens: 16, batch_size: 2, execute: never}
"""
STAGES = (
    "data",
    "base",
    "experts/python",
    "experts/java",
    "experts/dense-all",
    "merged/ties",
    "merged/average",
    "merged/slerp",
    "moe",
    "router",
    *(f"eval/{name}/test" for name in MODEL_NAMES),
    "report",
)
# Their outputs hold nothing that depends on time; those of eval and report hold seconds.
TIMELESS = STAGES[:10]

# Two threads would wait for each other more than they compute on a model this small.
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}

KILLED = """
import os, signal, sys
from codemoe import cli

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def before_call(module, name, times):
    import importlib
    module = importlib.import_module(module)
    real = getattr(module, name)
    calls = 0
    def call(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls > times:
            die()
        return real(*args, **kwargs)
    setattr(module, name, call)

def after_step(description, step):
    from codemoe.train.trainer import ProgressAndMetrics as Callback
    real = Callback.on_step_end
    def on_step_end(self, args, state, *more, **kwargs):
        real(self, args, state, *more, **kwargs)
        if self.description == description and state.global_step == step:
            die()
    Callback.on_step_end = on_step_end

{moment}
sys.argv = ["codemoe", "run", "tiny.yaml"]
cli.main()
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "tiny.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def first(place: Path) -> Finished:
    """The undisturbed run."""
    return run_codemoe("run", "tiny.yaml", "--json", cwd=place, PYTHONHASHSEED="1", **ENVIRONMENT)


@pytest.fixture
def run(place: Path, first: Finished) -> Path:
    """Its directory."""
    assert first.code == 0, first.err
    return place / "runs" / "tiny"


def test_every_stage_is_whole(run: Path) -> None:
    for stage in STAGES:
        verify(run / stage)
    assert {path.parent.relative_to(run).as_posix() for path in run.rglob("manifest.json")} == set(
        STAGES
    )
    assert not list(run.rglob("*.partial"))
    assert not list(run.rglob("checkpoints"))


def test_json_is_the_summary_and_nothing_else(run: Path, first: Finished) -> None:
    summary = json.loads(first.out)
    assert summary == json.loads((run / "report" / "summary.json").read_text())
    assert {"models", "retention", "routing", "cost", "seconds"} <= summary.keys()
    assert set(summary["models"]) == set(MODEL_NAMES)
    for scores in summary["models"].values():
        assert set(scores) == {"python", "java", "all"}
        for one in scores.values():
            assert set(one) == {"codebleu", "pass_at_1", "exact", "wrong_language"}
    assert set(summary["retention"]) <= {"python", "java", "all"}
    assert set(summary["routing"]) == {"accuracy", "confusion"}
    for cost in summary["cost"].values():
        assert set(cost) == {
            "active_parameters",
            "total_parameters",
            "tokens_per_s",
            "peak_memory_mb",
        }
    assert summary["seconds"] > 0


def test_the_report_is_there(run: Path) -> None:
    page = (run / "report" / "index.html").read_text()
    assert "tiny" in page
    assert "http-equiv" not in page.lower() or "refresh" not in page.lower()
    assert list((run / "report" / "figures").glob("*.png"))
    assert "CodeBLEU" in (run / "report" / "tables.md").read_text()


def test_progress_goes_to_standard_error(first: Finished) -> None:
    for stage in ("data", "base", "experts", "merge", "moe", "router", "eval", "report"):
        assert f"{stage}: done in" in first.err
    assert "Traceback" not in first.err
    assert "Warning" not in first.err


def test_a_second_run_skips_everything_at_once(place: Path, run: Path) -> None:
    again = run_codemoe("run", "tiny.yaml", cwd=place)
    assert again.code == 0, again.err
    assert again.err.count("finished before, skipped") == 8
    assert again.cpu_s < 4
    for text in ("moe-sequence", "runs/tiny/report/index.html", "codemoe generate runs/tiny"):
        assert text in again.out


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("experts.train.steps=9", "experts.train.steps: made with 8, now 9"),
        ("base.from_scratch.hidden_size=64", "base.from_scratch.hidden_size: made with 32, now 64"),
        ("merge.density=0.3", "merge.density: made with 0.5, now 0.3"),
        ("moe.activation=all", 'moe.activation: made with "completion", now "all"'),
        ("router.folds=3", "router.folds: made with 2, now 3"),
        ("eval.max_new_tokens=17", "eval.max_new_tokens: made with 16, now 17"),
        ("data.max_code_chars=900", "data.max_code_chars: made with 4000, now 900"),
    ],
)
def test_a_changed_key_stops_the_run_and_is_named_as_in_the_recipe(
    override: str, line: str, place: Path, run: Path
) -> None:
    before = {stage: digest_of(run / stage) for stage in STAGES}
    stopped = run_codemoe("run", "tiny.yaml", override, cwd=place)
    stopped.user_error(line, "was made with other settings", "--force")
    assert {stage: digest_of(run / stage) for stage in STAGES} == before


def test_a_missed_threshold_shows_the_result_and_fails(place: Path, run: Path) -> None:
    shutil.copytree(run, place / "copy" / "tiny")
    arguments = ("run", "tiny.yaml", "runs_dir=copy", "eval.thresholds.base_ratio=100")
    missed = run_codemoe(*arguments, cwd=place)
    assert missed.code == 1
    # A report is made again whenever what it tells has changed; it holds nothing of its own.
    assert missed.err.count("finished before, skipped") == 7
    assert "falls below the recipe's thresholds" in missed.err
    assert "base_ratio" in missed.err
    assert "Traceback" not in missed.err
    assert "moe-sequence" in missed.out
    # It stays missed, also when nothing is left to do.
    again = run_codemoe(*arguments, "--json", cwd=place)
    assert again.code == 1
    assert json.loads(again.out)["models"]


def test_generate_answers_with_its_routing(place: Path, run: Path) -> None:
    shown = run_codemoe(
        "generate", "runs/tiny", "Sum of a list", "--max-new-tokens", 8, "--json", cwd=place
    )
    assert shown.code == 0, shown.err
    answer = json.loads(shown.out)
    assert set(answer["routing"]["probabilities"]) == {"python", "java"}
    assert answer["routing"]["expert"] in ("python", "java")
    assert 0 < answer["tokens"] <= 8
    ask = ("generate", "runs/tiny", "Sum of a list", "--max-new-tokens", 8)
    compared = json.loads(run_codemoe(*ask, "--compare", "--json", cwd=place).out)
    assert [one["expert"] for one in compared["answers"]] == ["python", "java"]
    assert compared["routing"]["expert"] == answer["routing"]["expert"]
    chosen = next(
        one for one in compared["answers"] if one["expert"] == answer["routing"]["expert"]
    )
    assert chosen["text"] == answer["text"]
    named = run_codemoe(*ask, "--expert", "java", "--trace", cwd=place)
    assert named.code == 0
    assert "chosen by name" in named.err
    run_codemoe(*ask, "--expert", "rust", cwd=place).user_error("no expert named rust")
    run_codemoe(*ask, "--compare", "--expert", "java", cwd=place).user_error("--compare asks every")


# -- kill -9 ---------------------------------------------------------------------------------

MOMENTS = {
    "base": "after_step('pre-training', 25)",
    "experts": "after_step('expert java', 6)",
    "merge": "before_call('codemoe.artifacts', '_finish', 3)",
    "eval": "before_call('codemoe.evaluate.answers', 'generate_batch', 5)",
}


@pytest.fixture
def killed(place: Path, run: Path) -> Iterator[Path]:
    """The same run in the same place, killed at each moment and started again."""
    kept = place / "undisturbed"
    run.rename(kept)
    try:
        for stage, moment in MOMENTS.items():
            script = textwrap.dedent(KILLED).format(moment=moment)
            done = subprocess.run(
                [sys.executable, "-c", script],
                cwd=place,
                env=os.environ | ENVIRONMENT,
                capture_output=True,
                text=True,
            )
            assert done.returncode == -signal.SIGKILL, (stage, done.stderr)
            assert list(run.rglob(".*.partial")), stage
            if stage == "experts":
                assert (run / "experts/.java.partial/checkpoints/checkpoint-4").is_dir()
        last = run_codemoe("run", "tiny.yaml", cwd=place, PYTHONHASHSEED="2", **ENVIRONMENT)
        assert last.code == 0, last.err
        yield run
    finally:
        shutil.rmtree(run, ignore_errors=True)
        kept.rename(run)


def _without_time(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_killed_at_any_moment_a_run_ends_the_same(killed: Path, place: Path) -> None:
    undisturbed = place / "undisturbed"
    for stage in TIMELESS:
        assert (
            read_manifest(killed / stage)["outputs"]
            == read_manifest(undisturbed / stage)["outputs"]
        ), stage
    for name in MODEL_NAMES:
        for file in ("samples.jsonl", "results.jsonl"):
            place_in_run = f"eval/{name}/test/{file}"
            assert _without_time(killed / place_in_run) == _without_time(
                undisturbed / place_in_run
            ), place_in_run
    summaries = [
        json.loads((run / "report" / "summary.json").read_text()) for run in (killed, undisturbed)
    ]
    for key in ("models", "retention", "routing"):
        assert summaries[0][key] == summaries[1][key]
    for stage in STAGES:
        verify(killed / stage)
    assert not [path for path in killed.rglob(".*.partial") if not is_finished(path)]


def test_dora_experts_are_refused_before_anything_is_trained(place: Path) -> None:
    """They train, but do not stack: `run` says so at once."""
    done = run_codemoe("run", "tiny.yaml", "name=dora", "experts.lora.use_dora=true", cwd=place)
    done.user_error("use_dora", "no merge of them", "codemoe experts RECIPE")
    assert not (place / "runs" / "dora").exists()


def test_a_tracker_that_is_not_there_is_told_before_anything_is_made(place: Path) -> None:
    for verb in ("run", "experts"):
        given = ("name=tracked", "experts.train.report_to=[wandbb]")
        done = run_codemoe(verb, "tiny.yaml", *given, cwd=place)
        done.user_error("unknown tracker 'wandbb'", "wandb")
    assert not list(place.glob("runs/tracked/*/manifest.json"))
