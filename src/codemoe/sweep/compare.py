"""Finished variants side by side: figures with intervals, and paired differences to the first."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from codemoe.eval_config import MODEL_NAMES
from codemoe.evaluate.report.compare import difference
from codemoe.evaluate.report.read import Evaluation, ModelResult, read_evaluation
from codemoe.sweep.variants import Variant


def compare_variants(variants: Sequence[Variant], failed: dict[str, str]) -> dict[str, Any]:
    """All that a sweep tells. `failed`: why, by label; such variants have no figures."""
    done = [v for v in variants if v.label not in failed]
    evaluations = {
        v.label: read_evaluation(v.recipe.run_dir, v.recipe.eval.split, v.recipe.eval.models)
        for v in done
    }
    present = [n for n in MODEL_NAMES if any(n in e.models for e in evaluations.values())]
    same = [name for name in present if _the_same(name, list(evaluations.values()))]
    return {
        "variants": [
            {
                "label": v.label,
                "run": str(v.recipe.run_dir),
                "overrides": list(v.overrides),
                "failed": failed.get(v.label),
            }
            for v in variants
        ],
        "compared_with": done[0].label if done else None,
        "unchanged": {
            name: {"label": name} | _figures(evaluations[done[0].label].models[name])
            for name in same
        },
        "models": {
            name: [_row(name, v.label, evaluations, done[0].label) for v in done]
            for name in present
            if name not in same
        },
    }


def _the_same(name: str, evaluations: Sequence[Evaluation]) -> bool:
    """Whether this model gave the same answers in all variants, shared or made again."""
    answers = [
        None
        if (model := evaluation.models.get(name)) is None
        else {key: (one.prediction, one.status, one.expert) for key, one in model.answers.items()}
        for evaluation in evaluations
    ]
    return bool(answers[0]) and all(one == answers[0] for one in answers)


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


HEADS = ("variant", "n", "CodeBLEU", "pass@1", "exact", "wrong language", "routing")
HEADS_OF_DIFFERENCES = (*HEADS, "difference to the first", "p")


def cells(row: dict[str, Any], heads: Sequence[str] = HEADS_OF_DIFFERENCES) -> list[str]:
    """One line of a model's table."""
    if "codebleu" not in row:
        return [row["label"], "", "not evaluated", *[""] * (len(heads) - 3)]
    found = row.get("difference")
    accuracy = row["routing_accuracy"]
    line = [
        row["label"],
        str(row["n"]),
        _with_interval(row["codebleu"], row["codebleu_interval"]),
        _with_interval(row["pass_at_1"], row["pass_at_1_interval"]),
        _with_interval(row["exact"], row["exact_interval"]),
        f"{row['wrong_language']:.3f}",
        "" if accuracy is None else f"{accuracy:.3f}",
        "" if found is None else _with_interval(found["difference"], found["interval"], "+.3f"),
        "" if found is None else f"{found['p']:.4f}",
    ]
    return line[: len(heads)]


def tables(compared: dict[str, Any]) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """(title, heads, lines) of every table, what changed first."""
    found: list[tuple[str, Sequence[str], list[list[str]]]] = [
        (name, HEADS_OF_DIFFERENCES, [cells(row) for row in rows])
        for name, rows in compared["models"].items()
    ]
    if compared["unchanged"]:
        heads = ("model", *HEADS[1:])
        lines = [cells(row, heads) for row in compared["unchanged"].values()]
        found.append(("the same answers in all variants", heads, lines))
    return found


def _with_interval(value: float | None, interval: Any, form: str = ".3f") -> str:
    if value is None:
        return "not run"
    return f"{value:{form}}" + (
        "" if interval is None else f" [{interval[0]:{form}}, {interval[1]:{form}}]"
    )


def notes(compared: dict[str, Any]) -> list[str]:
    lines = []
    rows = [row for some in compared["models"].values() for row in some]
    comparisons = sum(1 for row in rows if row.get("difference"))
    if comparisons:
        lines.append(
            f"Differences of CodeBLEU are paired over the problems that both answered, to "
            f"`{compared['compared_with']}`; brackets are 95 % intervals, p two-sided."
        )
    if comparisons > 1:
        lines[-1] += (
            f" There are {comparisons} comparisons: one p below {0.05 / comparisons:.4f} is sure "
            "at 5 % among so many (Bonferroni)."
        )
    if any(row.get("routing_accuracy") is not None for row in rows):
        lines.append(
            "Routing: the share of choices, prompts or tokens by layer, that are the own expert's."
        )
    failed = [v for v in compared["variants"] if v["failed"]]
    return lines + [f"Failed: `{v['label']}`: {v['failed']}" for v in failed]


def markdown(compared: dict[str, Any]) -> str:
    parts = [f"# Sweep\n\nMade by `{compared['command']}`."]
    for title, heads, lines in tables(compared):
        table = [heads, ["---"] * len(heads), *lines]
        parts.append(f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in table))
    parts += notes(compared)
    return "\n\n".join(parts) + "\n"
