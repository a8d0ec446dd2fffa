"""From the reference paper's choices to ours, one mend a row, on the demo's base and data.

Every row is recipes/demo.yaml with some keys of recipes/paper-as-published.yaml put back; each
mends one of them and keeps what was mended before. All answer the same held-out rows. Stages that
rows have in common are made once; a stopped benchmark goes on with the same command.

    python benchmarks/ablation.py
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import transformers
import trl
from paired import provenance, publish

from codemoe.artifacts import share_from
from codemoe.evaluate.compare_results import compare_results
from codemoe.pipeline import STAGES, run_stages
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes"
NEEDED = ("data", "base", "experts", "moe", "router", "eval", "report")
PROMPTS = (
    "router.prompts={python: {positive: [Generate Python code for the following problem]}, "
    "java: {positive: [Generate Java code for the following problem]}, "
    "javascript: {positive: [Generate JavaScript code for the following problem]}, "
    "cpp: {positive: [Generate C++ code for the following problem]}}"
)


@dataclass(frozen=True)
class Row:
    """One step: what was mended, the keys that say so, and the mixture's way of routing."""

    name: str
    what: str
    keys: tuple[str, ...]
    model: str = "moe-token"


ROWS = (
    Row(
        "paper",
        "the paper as published: rank 64 at alpha 16 on all projections and the head, a mixture of "
        "the experts' MLPs, one prompt a gate, two experts a token, short answers",
        (
            "experts.lora={rank: 64, alpha: 16, target: all}",
            "experts.activation=all",
            "moe={activation: all, parts: mlp}",
            "router.start=prompts",
            PROMPTS,
            "router.num_experts_per_tok=2",
            # 256 of the 650 that answers need, in proportion to the demo's 220.
            "eval.max_new_tokens=87",
        ),
    ),
    Row("length", "answers as long as they need", ("eval.max_new_tokens=220",)),
    Row(
        "kept",
        "experts train only what the mixture keeps: MLPs",
        ("experts.lora={rank: 64, alpha: 16, target: mlp}", "moe.parts=all"),
    ),
    Row(
        "activation",
        "experts learn to act on the answer alone, and do (rank 16 at alpha 32)",
        (
            "experts.lora={rank: 16, alpha: 32, target: mlp}",
            "experts.activation=both",
            "moe.activation=completion",
        ),
    ),
    Row("fitted", "gates fitted on labelled answers", ("router.start=fitted", "router.prompts={}")),
    Row("one", "one expert a token", ("router.num_experts_per_tok=1",)),
    Row("trained", "gates trained by gradient", ("router.train_gates={steps: 150}",)),
    Row("sequence", "one decision a prompt: ours", (), model="moe-sequence"),
)


def recipes(options: argparse.Namespace) -> list[tuple[Row, Recipe]]:
    """Each row's recipe: its own keys, and all before it."""
    found = []
    keys: list[str] = []
    for row in ROWS:
        keys = [*keys, *row.keys]
        common = [
            f"runs_dir={options.runs}",
            f"name=ablation-{row.name}",
            "experts.dense_baseline=false",
            "merge.methods=[]",
            f"eval.models=[base, expert, {row.model}]",
            f"eval.split={options.split}",
            f"eval.samples_per_language={options.rows}",
            "eval.thresholds={}",
        ]
        own = [*common, *_latest(keys), *options.set]
        found.append((row, load_recipe(RECIPES / "demo.yaml", own)))
    return found


def _latest(keys: Sequence[str]) -> list[str]:
    """A key that comes again replaces the earlier one; a section that comes later resets it."""
    kept: dict[str, str] = {}
    for key in keys:
        name = key.partition("=")[0]
        kept.pop(name, None)
        kept[name] = key
    return list(kept.values())


def make(recipe: Recipe, donors: Sequence[Path]) -> None:
    recipe.run_dir.mkdir(parents=True, exist_ok=True)
    with share_from(recipe.run_dir, donors):
        run_stages(recipe, tuple(stage for stage in STAGES if stage.name in NEEDED))


def results(recipe: Recipe, model: str) -> Path:
    return recipe.run_dir / "eval" / model / recipe.eval.split / "results.jsonl"


def figures(path: Path) -> dict[str, Any]:
    return json.loads((path.parent / "metrics.json").read_text())["languages"]["all"]


def _interval(pair: Sequence[float] | None) -> str:
    return "" if pair is None else f" [{pair[0]:.3f}, {pair[1]:.3f}]"


def line(row: Row, recipe: Recipe, before: Path | None) -> str:
    own = results(recipe, row.model)
    mixture, expert = figures(own), figures(results(recipe, "expert"))
    change = ""
    if before is not None:
        found = compare_results(before, own)["measures"]["codebleu"]
        low, high = found["interval"]
        change = f"{found['difference']:+.3f} [{low:+.3f}, {high:+.3f}]"
    passed = mixture["pass_at_1"]
    cells = [
        row.what,
        f"{mixture['codebleu']:.3f}{_interval(mixture['codebleu_interval'])}",
        change,
        "not run" if passed is None else f"{passed:.3f}{_interval(mixture['pass_at_1_interval'])}",
        f"{expert['codebleu']:.3f}",
        f"{mixture['codebleu'] / expert['codebleu']:.2f}",
        f"{mixture['wrong_language']:.1%}",
    ]
    return f"| {' | '.join(cells)} |"


def told(made: Sequence[tuple[Row, Recipe]], options: argparse.Namespace) -> list[str]:
    first = made[0][1]
    base = figures(results(first, "base"))
    heads = ["mended", "CodeBLEU [95 %]", "change [95 %]", "pass@1 [95 %]", "own experts"]
    heads += ["kept", "wrong language"]
    lines = [
        "# From the paper's choices to ours",
        "",
        "The demo's base, data and steps; each row keeps the mends above it. `own experts` is what "
        "each language's expert scores alone, `kept` the mixture's share of it. Changes are paired "
        "over the same problems (bootstrap). The base alone scores "
        f"{base['codebleu']:.3f}.",
        "",
        *provenance(
            "ablation.py",
            ["--rows", str(options.rows), "--split", options.split],
            "cpu",
            f"transformers {transformers.__version__}, peft {peft.__version__}, "
            f"trl {trl.__version__}",
        ),
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    before = None
    for row, recipe in made:
        lines.append(line(row, recipe, before))
        before = results(recipe, row.model)
    breaks = []
    for row, recipe in made:
        summary = json.loads((recipe.report_dir / "summary.json").read_text())
        breaks += [f"- {row.what.partition(':')[0]}: {one}" for one in summary["chain_breaks"]]
    lines += ["", "Where the reports say that the lossless chain breaks:", "", *breaks]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default="runs", help="where runs are kept")
    parser.add_argument("--donor", action="append", default=[], type=Path, help="a run to share")
    parser.add_argument("--rows", type=int, default=50, help="held-out rows a language")
    parser.add_argument("--split", choices=("test", "valid"), default="test")
    parser.add_argument("--set", action="append", default=[], help="another key of the recipe")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "ablation.md")
    options = parser.parse_args()
    made: list[tuple[Row, Recipe]] = []
    for row, recipe in recipes(options):
        make(recipe, [*options.donor, *(one.run_dir for _, one in reversed(made))])
        made.append((row, recipe))
        publish(told(made, options), options.out)


if __name__ == "__main__":
    main()
