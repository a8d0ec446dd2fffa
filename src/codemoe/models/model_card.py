"""README.md of a saved model, with the metadata that the hub reads: base, languages, licence."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from codemoe import __version__
from codemoe.data.prompt import format_prompt
from codemoe.languages import find_language
from codemoe.models.export.scores import Scores
from codemoe.models.reference import BaseReference, resolve
from codemoe.recipe import BUILTIN


def hub_id(reference: BaseReference) -> str | None:
    """The base's name on the hub; None for a folder."""
    name = resolve(reference.model)
    return None if Path(name).is_dir() else name


def base_name(reference: BaseReference) -> str:
    """How people know the base; a folder of this machine by its name only."""
    if reference.model == BUILTIN:
        return "codemoe's built-in base"
    return hub_id(reference) or f"a local checkpoint ({Path(resolve(reference.model)).name})"


def base_license(base_dir: Path) -> str:
    """The base's, as its own card names it."""
    try:
        text = (base_dir / "README.md").read_text(encoding="utf-8")
        front = yaml.safe_load(text.split("---\n")[1])
        return str(front["license"])
    except (OSError, IndexError, KeyError, TypeError, ValueError, yaml.YAMLError):
        return "unknown"


def metadata(
    reference: BaseReference, base_dir: Path, languages: Sequence[str], library: str, kind: str
) -> dict[str, Any]:
    """The front matter; `kind` is a tag such as `mixture-of-experts`."""
    front: dict[str, Any] = {
        "library_name": library,
        "pipeline_tag": "text-generation",
        "license": base_license(base_dir),
        "language": ["code"],
        "tags": ["codemoe", kind, "code", *languages],
    }
    found = hub_id(reference)
    return ({"base_model": found} if found else {}) | front


def card(front: Mapping[str, Any], parts: Sequence[str]) -> str:
    matter = yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=True)
    return "\n\n".join([f"---\n{matter}---", *parts]) + "\n"


def model_index(name: str, scores: Scores) -> list[dict[str, Any]]:
    """The hub's `model-index`: scores by language, with their intervals."""
    results = []
    for language, figures in scores.mixture.items():
        metrics = []
        for kind, name in (("codebleu", "CodeBLEU (corrected)"), ("pass_at_1", "pass@1")):
            if figures.get(kind) is None:
                continue
            metric: dict[str, Any] = {"type": kind, "name": name, "value": round(figures[kind], 4)}
            if figures.get(f"{kind}_interval"):
                low, high = figures[f"{kind}_interval"]
                metric["args"] = {"interval_95": [round(low, 4), round(high, 4)]}
            metrics.append(metric)
        results.append(
            {
                "task": {"type": "text-generation"},
                # Without a config the hub takes all languages for one result.
                "dataset": {
                    "name": f"held-out problems, {language}",
                    "type": "codemoe-test",
                    "config": language,
                },
                "metrics": metrics,
            }
        )
    return [{"name": name, "results": results}]


def quality(scores: Scores, how: str) -> str:
    """The card's section of scores; `how` says who routed."""
    rows = []
    for language, figures in scores.mixture.items():
        low, high = figures["codebleu_interval"]
        kept, passed = scores.retention(language), figures["pass_at_1"]
        rows.append(
            f"| {language} | {figures['codebleu']:.3f} [{low:.3f}, {high:.3f}] | "
            f"{'not run' if passed is None else f'{passed:.2f}'} | "
            f"{'' if kept is None else f'{kept:.3f}'} | {figures['n']} |"
        )
    table = "\n".join(rows)
    return (
        f"## Quality\n\n{how} on held-out problems. Retention is CodeBLEU over that of the "
        "language's own expert alone.\n\n| language | CodeBLEU [95 %] | pass@1 | retention | n |\n"
        f"|---|---|---|---|---|\n{table}"
    )


TRAINING = "training.json"  # of an expert: what it was trained on


@dataclass(frozen=True)
class Training:
    """The languages and licences of the rows that some experts were trained on."""

    languages: tuple[str, ...]
    licenses: Mapping[str, int]


def read_training(experts: Sequence[Path]) -> Training:
    """From the experts' folders; adapters from elsewhere say nothing of their data."""
    languages: dict[str, None] = {}
    licenses: Counter[str] = Counter()
    for folder in experts:
        try:
            about = json.loads((folder / TRAINING).read_text())
        except (OSError, ValueError):
            continue
        languages |= dict.fromkeys(about.get("languages", []))
        licenses.update(about.get("licenses", {}))
    return Training(tuple(languages), licenses)


def write_card(
    folder: Path,
    reference: BaseReference,
    *,
    title: str,
    languages: Sequence[str],
    library: str,
    kind: str,
    what: str,
    licenses: Mapping[str, int],
    scores: Scores | None = None,
    file: str = "README.md",
) -> None:
    """The card of what a stage saved. `what` says what it is; scores are known after `eval`.

    `licenses` counts the training rows by licence.
    """
    shown = ", ".join(row.label for name in languages if (row := find_language(name)))
    rows = "; ".join(f"{name or 'unknown'}: {count} rows" for name, count in licenses.items())
    prompt = format_prompt("Sum of the even numbers", next(iter(languages), None))
    base_dir = Path(resolve(reference.model))
    parts = [
        f"# {title}",
        f"{what} Made by codemoe {__version__} on {base_name(reference)}"
        + (f", for {shown}." if shown else "."),
        f"## Use\n\nAsk in this form (the language line may be left out):\n\n```text\n{prompt}```",
        "## Licence\n\nThe licence is the base's. Training data by licence: "
        + (f"{rows}." if rows else "none recorded."),
        "## Quality\n\nNot measured by this step. `codemoe report` of the same run writes a card "
        "with scores, and so does `codemoe export`."
        if scores is None
        else quality(scores, "The sequence router"),
    ]
    front = metadata(reference, base_dir, languages, library, kind)
    if scores is not None:
        front["model-index"] = model_index(title, scores)
    (folder / file).write_text(card(front, parts), encoding="utf-8")
