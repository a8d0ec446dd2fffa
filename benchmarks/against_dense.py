"""Does the mixture beat one dense adapter of the same budget? In pairs, on many held-out rows.

Ways of running one set of experts, in the keys of the recipe's `moe` and `router` sections, against
`dense-all` (the experts' parameters and steps in one adapter) of the same run. Made stages are
skipped, so a stopped benchmark goes on with the same command.

    python benchmarks/against_dense.py recipes/demo.yaml
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peft
import transformers
import trl
from paired import RESULTS, provenance, publish

from codemoe.artifacts import share_from
from codemoe.evaluate.compare_results import compare_results
from codemoe.pipeline import STAGES, run_stages
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe

NEEDED = ("data", "base", "experts", "moe", "router", "eval")
# Name, keys, the models that it is for.
WAYS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("completion", (), ("moe-sequence", "moe-token")),
    ("all", ("moe.activation=all",), ("moe-sequence", "moe-token")),
    ("completion-trained", ("router.train_gates={steps: 150}",), ("moe-token",)),
    (
        "all-trained",
        ("moe.activation=all", "router.train_gates={steps: 150}"),
        ("moe-token",),
    ),
)
LABELS = {
    "completion": "as the recipe: experts act from the marker on",
    "all": "experts act on all tokens",
    "completion-trained": "from the marker on, gates trained",
    "all-trained": "on all tokens, gates trained",
}


def made(recipe: Recipe, donors: Sequence[Path]) -> Recipe:
    recipe.run_dir.mkdir(parents=True, exist_ok=True)
    with share_from(recipe.run_dir, donors):
        run_stages(recipe, tuple(stage for stage in STAGES if stage.name in NEEDED))
    return recipe


def results(recipe: Recipe, model: str) -> Path:
    return recipe.run_dir / "eval" / model / recipe.eval.split / "results.jsonl"


def figure(recipe: Recipe, model: str) -> dict[str, Any]:
    path = results(recipe, model).parent / "metrics.json"
    found: dict[str, Any] = json.loads(path.read_text())["languages"]["all"]
    return found


def row(label: str, recipe: Recipe, model: str, dense: Path) -> str:
    cells = [model, label]
    for name, measure in compare_results(dense, results(recipe, model))["measures"].items():
        low, high = measure["interval"]
        clear = "**" if low > 0 or high < 0 else ""
        change = f"{clear}{measure['difference']:+.4f} [{low:+.4f}, {high:+.4f}]{clear}"
        cells += [f"{measure['b']:.4f}", change, f"{measure['p']:.3f}"]
        assert name in ("pass_at_1", "codebleu")
    return f"| {' | '.join(cells)} |"


def told(options: argparse.Namespace, recipes: dict[str, Recipe]) -> list[str]:
    first = recipes["completion"]
    dense = results(first, "dense-all")
    one = figure(first, "dense-all")
    heads = ["model", "how", "pass@1", "minus dense-all [95 %]", "p"]
    heads += ["CodeBLEU", "minus dense-all [95 %]", "p"]
    lines = [
        "# The mixture against one dense adapter of the same budget",
        "",
        *provenance(
            "against_dense.py",
            [str(options.recipe), "--rows", str(options.rows), "--split", options.split],
            "cpu",
            f"transformers {transformers.__version__}, peft {peft.__version__}, "
            f"trl {trl.__version__}",
        ),
        "",
        f"{one['n']} {options.split} rows, at most {options.rows} a language. `dense-all`: pass@1 "
        f"{one['pass_at_1']:.4f}, CodeBLEU {one['codebleu']:.4f}. Differences are paired over the "
        "same problems (bootstrap); bold: the interval excludes zero.",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        row("each language's own, alone", first, "expert", dense),
    ]
    for name, _, models in WAYS:
        if name in recipes:
            lines += [row(LABELS[name], recipes[name], model, dense) for model in models]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--runs", default="runs", help="where runs are kept")
    parser.add_argument("--donor", action="append", default=[], type=Path, help="a run to share")
    parser.add_argument("--rows", type=int, default=200, help="held-out rows a language")
    parser.add_argument("--split", choices=("test", "valid"), default="test")
    parser.add_argument("--out", type=Path, default=RESULTS / "against_dense.md")
    options = parser.parse_args()
    recipes: dict[str, Recipe] = {}
    for name, keys, models in WAYS:
        asked = [*models, *(["expert", "dense-all"] if name == "completion" else [])]
        common = [
            f"runs_dir={options.runs}",
            f"name=dense-{name}",
            "merge.methods=[]",
            "eval.execute=required",
            f"eval.models=[{', '.join(asked)}]",
            f"eval.split={options.split}",
            f"eval.samples_per_language={options.rows}",
        ]
        recipe = load_recipe(options.recipe, [*common, *keys])
        donors = [*options.donor, *(one.run_dir for one in recipes.values())]
        recipes[name] = made(recipe, donors)
        publish(told(options, recipes), options.out)


if __name__ == "__main__":
    main()
