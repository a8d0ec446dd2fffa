"""The stage graph: which stages there are, in which order they run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from codemoe.artifacts import Redo
from codemoe.errors import UserError
from codemoe.lock import run_lock
from codemoe.progress import say
from codemoe.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """One verb of the command line: where its `run(recipe, redo=...) -> made` lives."""

    name: str
    module: str
    summary: str

    def run(self, recipe: Recipe, redo: Redo) -> bool:
        work: Callable[..., bool] = import_module(self.module).run
        return work(recipe, redo=redo)


STAGES = (
    Stage("data", "codemoe.data.stage", "sources to train/valid/test Parquet"),
    Stage("base", "codemoe.train.base_stage", "the frozen base, or a tiny one from scratch"),
    Stage(
        "experts", "codemoe.train.experts_stage", "one adapter per expert, and the dense baseline"
    ),
    Stage("merge", "codemoe.merge.stage", "dense merges of the experts, the baselines to beat"),
    Stage("moe", "codemoe.models.moe_stage", "the experts under a router, the base by reference"),
    Stage("router", "codemoe.train.router_stage", "fit the sequence router and the token gates"),
    Stage("eval", "codemoe.evaluate.stage", "every model on the same held-out problems"),
    Stage("report", "codemoe.evaluate.report.stage", "HTML, figures, tables and summary.json"),
)


def find_stage(name: str) -> Stage:
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise UserError(f"no stage named {name!r}; stages: {', '.join(s.name for s in STAGES)}")


def run_stages(recipe: Recipe, stages: tuple[Stage, ...] = STAGES, redo: Redo = "never") -> None:
    """Run stages in order; finished ones with the same settings are skipped."""
    with run_lock(recipe.run_dir):
        for stage in stages:
            started = time.monotonic()
            made = stage.run(recipe, redo)
            spent = time.monotonic() - started
            say(f"{stage.name}: {f'done in {spent:.1f} s' if made else 'finished before, skipped'}")
