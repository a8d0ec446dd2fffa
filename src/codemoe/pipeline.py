"""The stage graph: which stages there are, in which order they run."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from codemoe.errors import UserError
from codemoe.progress import say

if TYPE_CHECKING:
    from codemoe.artifacts import Redo
    from codemoe.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """One verb of the command line: where its `run(recipe, redo=...) -> made` lives."""

    name: str
    module: str
    summary: str
    writes: str
    section: str | None = None  # of a recipe, without which the stage is not wanted

    def is_wanted(self, recipe: "Recipe") -> bool:
        return self.section is None or getattr(recipe, self.section) is not None

    def run(self, recipe: "Recipe", redo: "Redo") -> bool:
        work: Callable[..., bool] = import_module(self.module).run
        return work(recipe, redo=redo)


STAGES = (
    Stage(
        "data",
        "codemoe.data.stage",
        "Sources to train, valid and test rows.",
        "data/: Parquet splits, dropped.csv with a reason for each row left out, test suites",
    ),
    Stage(
        "base",
        "codemoe.train.base_stage",
        "The frozen base, or a tiny one from scratch.",
        "base/: a reference to the checkpoint and its revision, or the trained checkpoint",
    ),
    Stage(
        "experts",
        "codemoe.train.experts_stage",
        "One adapter per expert, and the dense baseline.",
        "experts/<name>/: a PEFT adapter and its metrics.jsonl",
    ),
    Stage(
        "align",
        "codemoe.align_stage",
        "Teach experts by the tests of their own answers.",
        "aligned/: samples/, pairs/ and experts/, each by expert",
        section="align",
    ),
    Stage(
        "merge",
        "codemoe.merge.stage",
        "Dense merges of the experts, to be beaten.",
        "merged/<method>/: a Hugging Face checkpoint",
    ),
    Stage(
        "moe",
        "codemoe.models.moe_stage",
        "The experts under a router.",
        "moe/: the adapters and moe.json, the base by reference",
    ),
    Stage(
        "router",
        "codemoe.train.router_stage",
        "Fit the sequence router and the token gates.",
        "router/: router.safetensors and cross-validated routing_metrics.json",
    ),
    Stage(
        "eval",
        "codemoe.evaluate.stage",
        "Every model on the same held-out problems.",
        "eval/<model>/test/: samples.jsonl, results.jsonl, metrics.json",
    ),
    Stage(
        "report",
        "codemoe.evaluate.report.stage",
        "Page, figures, tables and summary.json.",
        "report/: index.html, figures/, tables.md, summary.json; fails below eval.thresholds",
    ),
)


@dataclass(frozen=True)
class Outcome:
    """What became of one stage: made now, or finished before."""

    stage: str
    made: bool
    seconds: float


def refuse_launchers(environment: Mapping[str, str]) -> None:
    """Several copies of codemoe would each run the whole pipeline, in one folder."""
    together = environment.get("WORLD_SIZE", "1")
    if together not in ("", "0", "1"):
        raise UserError(
            f"codemoe was started as {together} processes at once (WORLD_SIZE={together}, as "
            "torchrun and accelerate launch set it)",
            f"start it once; it starts its own processes: experts.train.num_processes={together}",
        )


# Stages that put experts into one model, or onto its weights.
_STACKING = {"align", "merge", "moe", "router", "eval", "report"}


def refuse_before(recipe: "Recipe", stages: tuple[Stage, ...]) -> None:
    """Say before hours or days of other work what would fail after them."""
    from codemoe.train.trackers import check_trackers

    if any(stage.name == "experts" for stage in stages):
        check_trackers(recipe.experts.train.report_to)
    verbs = [stage.name for stage in stages if stage.name in _STACKING]
    if recipe.experts.lora.use_dora and verbs:
        raise UserError(
            "experts.lora.use_dora: a DoRA expert also scales what the base itself puts out, which "
            f"stacked low-rank experts cannot, so codemoe has no {verbs[0]} of them",
            "codemoe experts RECIPE trains them for PEFT; for a mixture, "
            "experts.lora.use_rslora=true or a larger rank",
        )


def run_stages(
    recipe: "Recipe",
    stages: tuple[Stage, ...] = STAGES,
    redo: "Redo" = "never",
    on_done: Callable[[Outcome], None] = lambda outcome: None,
) -> None:
    """Run stages in order; finished ones with the same settings are skipped."""
    from codemoe.lock import run_lock

    refuse_launchers(os.environ)
    if len(stages) > 1:
        stages = tuple(stage for stage in stages if stage.is_wanted(recipe))
    refuse_before(recipe, stages)
    with run_lock(recipe.run_dir):
        for stage in stages:
            started = time.monotonic()
            made = stage.run(recipe, redo)
            spent = time.monotonic() - started
            on_done(Outcome(stage.name, made, round(spent, 3)))
            say(f"{stage.name}: {f'done in {spent:.1f} s' if made else 'finished before, skipped'}")
