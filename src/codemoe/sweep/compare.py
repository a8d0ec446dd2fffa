"""Finished variants side by side: figures with intervals, and paired differences to the first."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codemoe.artifacts import digest_of, is_finished, read_manifest
from codemoe.evaluate.report.compare import difference
from codemoe.evaluate.report.read import Evaluation, ModelResult, read_evaluation
from codemoe.recipe import MODEL_NAMES
from codemoe.sweep.variants import Variant


def compare_variants(variants: Sequence[Variant], failed: dict[str, str]) -> dict[str, Any]:
    """What `sweep.json` holds. `failed`: why, by label; such variants have no figures."""
    done = [v for v in variants if v.label not in failed]
    evaluations = {
        v.label: read_evaluation(v.recipe.run_dir, v.recipe.eval.split, v.recipe.eval.models)
        for v in done
    }
    changed = [name for name in MODEL_NAMES if not _the_same(name, done)]
    present = [n for n in MODEL_NAMES if any(n in e.models for e in evaluations.values())]
    return {
        "variants": [
            {"label": v.label, "run": str(v.recipe.run_dir), "failed": failed.get(v.label)}
            for v in variants
        ],
        "compared_with": done[0].label if done else None,
        "unchanged": {
            name: _figures(evaluations[done[0].label].models[name])
            for name in present
            if name not in changed
        },
        "models": {
            name: [_row(name, v.label, evaluations, done[0].label) for v in done]
            for name in present
            if name in changed
        },
    }


def _the_same(name: str, variants: Sequence[Variant]) -> bool:
    """Whether all variants share one evaluation of this model."""
    folders = [v.recipe.run_dir / "eval" / name / v.recipe.eval.split for v in variants]
    return len({digest_of(f) if is_finished(f) else None for f in folders}) == 1


def _row(name: str, label: str, evaluations: dict[str, Evaluation], first: str) -> dict[str, Any]:
    own, other = evaluations[label].models.get(name), evaluations[first].models.get(name)
    row: dict[str, Any] = {"label": label}
    if own is None:
        return row
    row |= _figures(own)
    if label != first and other is not None:
        found = difference(own, other)
        row["difference"] = None if found is None else asdict(found)
    return row


def _figures(model: ModelResult) -> dict[str, Any]:
    total, routing = model.total, model.routing
    return {
        "n": total.n,
        "codebleu": total.codebleu,
        "codebleu_interval": total.codebleu_interval,
        "exact": total.exact,
        "exact_interval": total.exact_interval,
        "pass_at_1": total.pass_at_1,
        "pass_at_1_interval": total.pass_at_1_interval,
        "wrong_language": total.wrong_language,
        "routing_accuracy": None if routing is None else routing.accuracy,
        "total_parameters": model.cost.total_parameters,
        "by_language": {name: scores.codebleu for name, scores in model.languages.items()},
    }


HEADS = ("variant", "CodeBLEU", "pass@1", "exact", "routing", "difference to the first", "p")


def cells(row: dict[str, Any]) -> list[str]:
    """One line of a model's table."""
    if "codebleu" not in row:
        return [row["label"], "not evaluated", *[""] * (len(HEADS) - 2)]
    found = row.get("difference")
    accuracy = row["routing_accuracy"]
    return [
        row["label"],
        _with_interval(row["codebleu"], row["codebleu_interval"]),
        _with_interval(row["pass_at_1"], row["pass_at_1_interval"]),
        _with_interval(row["exact"], row["exact_interval"]),
        "" if accuracy is None else f"{accuracy:.3f}",
        "" if found is None else _with_interval(found["difference"], found["interval"], "+.3f"),
        "" if found is None else f"{found['p']:.4f}",
    ]


def _with_interval(value: float | None, interval: Any, form: str = ".3f") -> str:
    if value is None:
        return "not run"
    return f"{value:{form}}" + (
        "" if interval is None else f" [{interval[0]:{form}}, {interval[1]:{form}}]"
    )


def notes(compared: dict[str, Any]) -> list[str]:
    lines = []
    if compared["unchanged"]:
        same = ", ".join(f"{n} {f['codebleu']:.3f}" for n, f in compared["unchanged"].items())
        lines.append(f"The same in all variants, and evaluated once (CodeBLEU): {same}.")
    comparisons = sum(
        1 for rows in compared["models"].values() for row in rows if row.get("difference")
    )
    if comparisons:
        lines.append(
            f"Differences of CodeBLEU are paired over the same problems, to "
            f"`{compared['compared_with']}`; brackets are 95 % intervals, p two-sided. There are "
            f"{comparisons} comparisons: one p below {0.05 / comparisons:.4f} is sure at 5 % among "
            "so many (Bonferroni)."
        )
    failed = [v for v in compared["variants"] if v["failed"]]
    return lines + [f"Failed: `{v['label']}`: {v['failed']}" for v in failed]


def markdown(compared: dict[str, Any], command: str) -> str:
    parts = [f"# Sweep\n\nMade by `{command}`."]
    for name, rows in compared["models"].items():
        table = [HEADS, ["---"] * len(HEADS), *map(cells, rows)]
        parts.append(f"## {name}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in table))
    parts += notes(compared)
    return "\n\n".join(parts) + "\n"


def shared_stages(run_dir: Path) -> tuple[int, int]:
    """(shared, all) finished stages of a run: a shared one's files have another name as well."""
    manifests = [path for path in run_dir.rglob("manifest.json") if read_manifest(path.parent)]
    return sum(path.stat().st_nlink > 1 for path in manifests), len(manifests)
