"""A whole small sweep: shared stages, the table, a variant that fails, a stop, `--force`.

Run with: pytest tests/sweep/test_sweep.py
"""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from codemoe.artifacts import Redo, read_manifest
from codemoe.sweep.compare import HEADS_OF_DIFFERENCES, notes
from codemoe.sweep.run import run_sweep
from codemoe.sweep.variants import grid
from codemoe.train.stopping import Stopped
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
    steps: 20
    batch_tokens: 256
    sequence_length: 64
    warmup_steps: 5
experts:
  lora: {rank: 2, alpha: 4}
  train: {steps: 4, batch_size: 2, warmup_steps: 2}
  dense_baseline: false
merge: {methods: []}
router: {samples_per_expert: 12, gate_tokens_per_expert: 200, folds: 2}
eval:
  samples_per_language: 3
  max_new_tokens: 12
  batch_size: 4
  execute: never
  models: [expert, moe-token, moe-oracle]
"""
KINDS = "router={kind: top-k},{kind: softmax, ridge: 0.1}"
# Has no such language in its data: found out in the middle of the run only.
FAILING = "data.min_rows_per_language=5,100000"
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}


def sweep(place: Path, *arguments: str) -> Finished:
    """As a user types it."""
    return run_codemoe("sweep", "tiny.yaml", *arguments, "--json", cwd=place, **ENVIRONMENT)


def sweep_here(*arguments: str, redo: Redo = "never") -> dict[str, Any]:
    """The same in this process, which has its libraries loaded."""
    return run_sweep(grid(Path("tiny.yaml"), arguments), "codemoe sweep", redo)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "tiny.yaml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def first(place: Path) -> Finished:
    return sweep(place, KINDS)


@pytest.fixture
def told(first: Finished, place: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(place)
    assert first.code == 0, first.err
    found: dict[str, Any] = json.loads(first.out)
    return found


def runs_of(told: dict[str, Any], place: Path) -> list[Path]:
    return [place / one["run"] for one in told["variants"]]


def made_when(run: Path, stage: str) -> tuple[int, int]:
    """Which file the stage's manifest is, and when it was written."""
    about = (run / stage / "manifest.json").stat()
    return about.st_ino, about.st_mtime_ns


def test_what_a_key_does_not_touch_is_made_once(told: dict[str, Any], place: Path) -> None:
    one, other = runs_of(told, place)
    for stage in (
        "data",
        "base",
        "experts/java",
        "moe",
        "eval/expert/test",
        "eval/moe-oracle/test",
    ):
        assert made_when(one, stage) == made_when(other, stage), stage
    for stage in ("router", "eval/moe-token/test"):
        assert made_when(one, stage) != made_when(other, stage), stage
    settings = [read_manifest(run / "router")["config"]["router"] for run in (one, other)]
    assert [s["kind"] for s in settings] == ["top-k", "softmax"]
    assert [s["ridge"] for s in settings] == [0.01, 0.1]
    # The section's other keys are the recipe's.
    assert [s["samples_per_expert"] for s in settings] == [12, 12]


def test_the_table_has_every_variant_with_intervals(told: dict[str, Any], place: Path) -> None:
    assert [v["label"] for v in told["variants"]] == ["kind: top-k", "kind: softmax, ridge: 0.1"]
    rows = told["models"]["moe-token"]
    assert [row["label"] for row in rows] == ["kind: top-k", "kind: softmax, ridge: 0.1"]
    for row in rows:
        low, high = row["codebleu_interval"]
        assert low <= row["codebleu"] <= high
        assert row["n"] == 6
    assert "difference" not in rows[0]
    found = rows[1]["difference"]
    assert found["difference"] == pytest.approx(rows[1]["codebleu"] - rows[0]["codebleu"])
    assert found["interval"][0] <= found["difference"] <= found["interval"][1]
    # The same answers are told once, shared or asked again.
    assert {"expert", "moe-oracle"} <= told["unchanged"].keys()
    assert not told["unchanged"].keys() & told["models"].keys()
    (table,) = (place / "runs" / "tiny-sweep").glob("router-*.md")
    text = table.read_text()
    assert f"| {' | '.join(HEADS_OF_DIFFERENCES)} |" in text
    assert "Made by `codemoe sweep tiny.yaml 'router={kind: top-k}," in text
    assert json.loads(table.with_suffix(".json").read_text()) == told


def test_again_makes_nothing_and_another_sweep_shares(told: dict[str, Any], place: Path) -> None:
    one, other = runs_of(told, place)
    before = made_when(other, "router")
    again = sweep_here(KINDS)
    assert json.loads(json.dumps(again["models"])) == told["models"]
    assert made_when(other, "router") == before
    more = sweep_here("router={kind: top-k},{kind: sigmoid, num_experts_per_tok: 2}")
    assert made_when(runs_of(more, place)[0], "router") == made_when(one, "router")
    assert len(list((place / "runs" / "tiny-sweep").glob("router-*.md"))) == 2


def test_a_failed_variant_loses_no_other(first: Finished, place: Path) -> None:
    done = sweep(place, FAILING)
    assert done.code == 1, done.err
    assert "1 of 2 variants failed" in done.err
    assert "Traceback" not in done.err
    told = json.loads(done.out)
    assert [v["failed"] is None for v in told["variants"]] == [True, False]
    assert "too few rows" in told["variants"][1]["failed"]
    assert told["unchanged"]["expert"]["n"] == 6
    (table,) = (place / "runs" / "tiny-sweep").glob("data.min_rows_per_language-*.md")
    assert "Failed: `min_rows_per_language=100000`: too few rows" in table.read_text()


def test_changed_settings_stop_until_forced(told: dict[str, Any], place: Path) -> None:
    one, other = runs_of(told, place)
    data, router = made_when(one, "data"), made_when(other, "router")
    (place / "tiny.yaml").write_text(RECIPE.replace("folds: 2", "folds: 3"))
    try:
        done = sweep(place, KINDS)
        done.user_error(
            "with other settings", "router.folds: made with 2, now 3", "sweep", "--force"
        )
        assert made_when(other, "router") == router
        done = sweep(place, KINDS, "--force")
        assert done.code == 0, done.err
    finally:
        (place / "tiny.yaml").write_text(RECIPE)
    assert made_when(one, "data") == data
    assert made_when(other, "router") != router
    assert read_manifest(other / "router")["config"]["router"]["folds"] == 3


def test_a_stop_is_for_the_whole_sweep(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def stopped(recipe: Any, *arguments: Any) -> None:
        begun.append(recipe.name)
        raise Stopped(signal.SIGTERM, 3)

    monkeypatch.setattr("codemoe.sweep.run.run_stages", stopped)
    monkeypatch.chdir(place)
    with pytest.raises(Stopped):
        sweep_here(KINDS)
    assert len(begun) == 1


@pytest.mark.parametrize("count", [0, 1, 3])
def test_many_comparisons_are_warned_of(count: int) -> None:
    rows = [{"difference": {"p": 0.04}}] * count
    told = " ".join(notes({"models": {"a": rows}, "compared_with": "x=1", "variants": []}))
    assert ("are paired" in told) == (count > 0)
    assert ("3 comparisons: one p below 0.0167" in told) == (count == 3)
    assert ("comparisons" in told) == (count > 1)
