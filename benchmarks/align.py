"""Alignment on a run: pass@1 of the experts before and after, paired, and the pairs by cause.

Each `--align` is one way, in the keys of the recipe's `align` section; all share the data, the
experts and, where their sampling is the same, the sampled answers. Every way answers the same
held-out rows, each language's own expert, alone and greedily. Made stages are skipped, so a
stopped benchmark goes on with the same command.

    python benchmarks/align.py recipes/demo.yaml --align "reference=base" --align "reference=start"
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peft
import transformers
import trl
from paired import RESULTS, provenance, publish

from codemoe.artifacts import read_manifest, share_from
from codemoe.evaluate.compare_results import compare_results
from codemoe.pipeline import STAGES, run_stages
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe
from codemoe.sweep.variants import folder_name

NEEDED = ("data", "base", "experts", "align", "eval")


def made(recipe: Recipe, donors: Sequence[Path]) -> Recipe:
    """All stages up to the evaluation of the experts; what a donor has is not made again."""
    recipe.run_dir.mkdir(parents=True, exist_ok=True)
    cache = recipe.run_dir / ".cache"
    if donors and not cache.exists():  # verdicts of the same answers
        (donors[0] / ".cache").mkdir(exist_ok=True)
        cache.symlink_to((donors[0] / ".cache").resolve())
    stages = tuple(stage for stage in STAGES if stage.name in NEEDED)
    with share_from(recipe.run_dir, donors):
        run_stages(recipe, stages)
    return recipe


def results(recipe: Recipe) -> Path:
    return recipe.run_dir / "eval" / "expert" / recipe.eval.split / "results.jsonl"


def passed(recipe: Recipe, language: str | None = None) -> float:
    rows = [json.loads(line) for line in results(recipe).read_text().splitlines()]
    own = [row for row in rows if language in (None, row["language"])]
    return sum(row["status"] == "pass" for row in own) / len(own)


def counts(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """What became of tasks and answers, by expert."""
    folder = recipe.run_dir / "aligned" / "pairs"
    return {
        name: json.loads((folder / name / "counts.json").read_text())
        for name in recipe.expert_filters
    }


def row(name: str, before: Recipe, after: Recipe) -> str:
    found = compare_results(results(before), results(after))["measures"]["pass_at_1"]
    low, high = found["interval"]
    cells = [
        name,
        f"{found['b']:.3f}",
        *(f"{passed(after, language):.3f}" for language in before.languages),
        f"{found['difference']:+.3f} [{low:+.3f}, {high:+.3f}]",
        f"{found['p']:.3f}",
        f"{_changed(before, after, 'pass')} / {_changed(after, before, 'pass')}",
    ]
    return f"| {' | '.join(cells)} |"


def _changed(before: Recipe, after: Recipe, status: str) -> int:
    """Problems that end so after and did not before."""
    found = []
    for recipe in (before, after):
        rows = [json.loads(line) for line in results(recipe).read_text().splitlines()]
        found.append({one["id"] for one in rows if one["status"] == status})
    return len(found[1] - found[0])


def pairs_table(after: Recipe) -> list[str]:
    told = counts(after)
    causes = list(dict.fromkeys(cause for one in told.values() for cause in one["pairs"]))
    reasons = list(
        dict.fromkeys(reason for one in told.values() for reason in one["without_contrast"])
    )
    heads = ["expert", "tasks", "answers", "pass", *causes, *(f"no pair: {r}" for r in reasons)]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    total: Counter[str] = Counter()
    for name, one in told.items():
        values = {
            "tasks": one["tasks"],
            "answers": one["answers"],
            "pass": one["by_status"].get("pass", 0),
            **one["pairs"],
            **{f"no pair: {r}": one["without_contrast"].get(r, 0) for r in reasons},
        }
        total.update(values)
        lines.append(f"| {' | '.join([name, *(str(values[head]) for head in heads[1:])])} |")
    lines.append(f"| {' | '.join(['all', *(str(total[head]) for head in heads[1:])])} |")
    return lines


def seconds(recipe: Recipe, part: str) -> float:
    folder = recipe.run_dir / "aligned" / part
    return sum(read_manifest(folder / name)["seconds"] for name in recipe.expert_filters)


def told(options: argparse.Namespace, before: Recipe, ways: dict[str, Recipe]) -> list[str]:
    """The result file, of the ways made so far."""
    heads = ["", "pass@1", *before.languages, "difference [95 %]", "p", "newly pass / fail"]
    share = [f"{passed(before, language):.3f}" for language in before.languages]
    lines = [
        "# Alignment: pass@1 before and after",
        "",
        *provenance(
            "align.py",
            [
                str(options.recipe),
                *(part for keys in ways for part in ("--align", keys)),
                *(part for key in options.set for part in ("--set", key)),
                *("--rows", str(options.rows), "--split", options.split),
            ],
            "cpu",
            f"transformers {transformers.__version__}, peft {peft.__version__}, "
            f"trl {trl.__version__}",
        ),
        "",
        f"{options.rows} {options.split} rows a language, each answered greedily by its own "
        "expert, alone. Differences are paired over the same problems (bootstrap).",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        f"| before | {' | '.join([f'{passed(before):.3f}', *share, '', '', ''])} |",
        *(row(f"`{keys}`", before, after) for keys, after in ways.items()),
    ]
    shown: list[list[str]] = []
    for keys, after in ways.items():
        table = pairs_table(after)
        took = f"trained in {seconds(after, 'experts'):.0f} s"
        if table in shown:
            lines += ["", f"Pairs of `{keys}`: the same; {took}."]
            continue
        shown.append(table)
        sampled = f"{seconds(after, 'samples') + seconds(after, 'pairs'):.0f} s"
        lines += [
            "",
            f"Pairs of `{keys}`; sampled, tested and paired in {sampled}, {took}:",
            "",
            *table,
        ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--align", action="append", default=[], help="keys of `align`, a way each")
    parser.add_argument("--set", action="append", default=[], help="another key of the recipe")
    parser.add_argument("--runs", default="runs", help="where runs are kept")
    parser.add_argument("--donor", action="append", default=[], type=Path, help="a run to share")
    parser.add_argument("--name", default="before", help="of the run without alignment")
    parser.add_argument("--rows", type=int, default=200, help="held-out rows a language")
    parser.add_argument("--split", choices=("test", "valid"), default="test")
    parser.add_argument("--out", type=Path, default=RESULTS / "align.md")
    options = parser.parse_args()
    common = [
        f"runs_dir={options.runs}",
        "experts.dense_baseline=false",
        "merge.methods=[]",
        "eval.models=[expert]",
        "eval.execute=required",
        f"eval.split={options.split}",
        f"eval.samples_per_language={options.rows}",
        *options.set,
    ]
    before = made(load_recipe(options.recipe, [*common, f"name={options.name}"]), options.donor)
    ways: dict[str, Recipe] = {}
    for keys in options.align:
        own = [f"align.{key}" for key in keys.split()]
        name = f"name={options.name}-{folder_name(keys, own)}"
        recipe = load_recipe(options.recipe, [*common, *own, name])
        ways[keys] = made(recipe, [before.run_dir, *(one.run_dir for one in ways.values())])
        publish(told(options, before, ways), options.out)


if __name__ == "__main__":
    main()
