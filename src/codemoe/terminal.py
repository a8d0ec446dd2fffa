"""What commands print for people: results, traces, the doctor's findings."""

import json
import shlex
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from codemoe.errors import UserError
from codemoe.languages import LANGUAGES
from codemoe.recipe import Recipe


def _console(stderr: bool = False) -> Console:
    """Plain text: brackets in paths are no markup. A pipe has no width; tables need some."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 120
    return Console(stderr=stderr, width=width, markup=False, highlight=False)


def read_summary(recipe: Recipe) -> dict[str, Any]:
    """report/summary.json of a finished run."""
    path = recipe.report_dir / "summary.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: {error}", "make it again: codemoe report RECIPE --force"
        ) from None


def _label(language: str) -> str:
    return LANGUAGES[language].label if language in LANGUAGES else language


def _number(value: float | None, digits: int = 3) -> str:
    return "not run" if value is None else f"{value:.{digits}f}"


def show_result(recipe: Recipe) -> None:
    """The table a finished run ends with, from report/summary.json."""
    summary = read_summary(recipe)
    console = _console()
    languages = [*recipe.languages, "all"]
    asked = "held-out" if recipe.eval.split == "test" else "validation"
    table = Table(title=f"{recipe.name}: {asked} problems, corrected CodeBLEU (pass@1)")
    table.add_column("model")
    for language in languages:
        table.add_column(_label(language), justify="right")
    for model, by_language in summary["models"].items():
        cells = []
        for language in languages:
            one = by_language.get(language)
            if one is None:
                cells.append("")
                continue
            passed = one["pass_at_1"]
            cells.append(f"{one['codebleu']:.3f}" + ("" if passed is None else f" ({passed:.2f})"))
        table.add_row(model, *cells)
    console.print(table)
    figures = {
        "retention (mixture / own expert)": summary["retention"].get("all"),
        "routing accuracy": (summary.get("routing") or {}).get("accuracy"),
    }
    for name, value in figures.items():
        if value is not None:
            console.print(f"{name}: {_number(value)}")
    scores = [one for by_language in summary["models"].values() for one in by_language.values()]
    if all(one["pass_at_1"] is None for one in scores):
        console.print("pass@1: not run; codemoe doctor says what it needs, the report says why")
    console.print(f"report: {recipe.report_dir / 'index.html'}", soft_wrap=True)
    console.print(
        f"try:    codemoe generate {shlex.quote(str(recipe.run_dir))} "
        '"Sum of the even numbers in Java" --trace',
        soft_wrap=True,
    )


_COMPONENTS = {
    "codebleu": "CodeBLEU",
    "ngram_match": "  n-gram match",
    "weighted_ngram_match": "  weighted n-gram match",
    "syntax_match": "  syntax match",
    "dataflow_match": "  data-flow match",
    "floor": "wrong-answer floor",
    "pooled": "pooled over the corpus",
}
_ODD = {
    "empty": "empty",
    "unparsable": "unparsable",
    "wrong_language": "in another language",
    "looping": "looping",
    "raw_tokens": "raw tokens",
    "template": "template leftovers",
    "fenced": "with Markdown fences",
}


def show_score(result: dict[str, Any]) -> None:
    """Both modes side by side, and what is odd about the answers."""
    console = _console()
    _show_modes(console, result)
    odd = ", ".join(f"{label} {result[name]}" for name, label in _ODD.items())
    console.print(f"of {result['n']} answers: {odd}", soft_wrap=True)
    parts = result["by_language"]
    if len(parts) > 1:
        _show_languages(console, parts)


def _show_modes(console: Console, result: dict[str, Any]) -> None:
    corrected, compat = result["corrected"], result["compat"]
    table = Table(title=f"{result['n']} answers: mean of the pairs' scores")
    table.add_column("")
    table.add_column("corrected", justify="right")
    table.add_column("codebleu 0.7.0", justify="right")
    for name, label in _COMPONENTS.items():
        shown = "none" if compat is None or compat[name] is None else f"{compat[name]:.4f}"
        value = corrected[name]
        table.add_row(label, "none" if value is None else f"{value:.4f}", shown)
    spans = [
        "none" if one is None else "{:.4f} to {:.4f}".format(*one["interval"])
        for one in (corrected, compat)
    ]
    table.add_row("95 % interval", *spans)
    if compat is not None:
        table.add_row("without its free points", "", f"{compat['without_free_points']:.4f}")
    console.print(table)
    if compat is not None and compat["n"] < result["n"]:
        console.print(f"the package knows the languages of {compat['n']} of {result['n']} rows")


def _show_languages(console: Console, parts: dict[str, Any]) -> None:
    table = Table(title="by language asked for")
    names = ("asked", "n", "corrected", "codebleu 0.7.0", "mended", "floor")
    for name in (*names, "empty", "unparsable", "other language", "looping", "answered in"):
        table.add_column(name, justify="left" if name in ("asked", "answered in") else "right")
    for language, one in parts.items():
        compat = one["compat"]
        floor = one["corrected"]["floor"]
        table.add_row(
            _label(language),
            str(one["n"]),
            f"{one['corrected']['codebleu']:.4f}",
            f"{compat['codebleu']:.4f}" if compat else "none",
            f"{compat['without_free_points']:.4f}" if compat else "none",
            "none" if floor is None else f"{floor:.4f}",
            *(str(one[name]) for name in ("empty", "unparsable", "wrong_language", "looping")),
            ", ".join(f"{_label(name)} {count}" for name, count in one["answered_in"].items()),
        )
    console.print(table)


def show_audit(result: dict[str, Any]) -> None:
    """One audited file: findings first, figures below."""
    console = _console()
    console.print(f"== {result['file']}", soft_wrap=True)
    for finding in result["findings"]:
        console.print(f"  - {finding}", soft_wrap=True)
    if "corrected" in result:
        console.print(f"  ({result['layout']})", soft_wrap=True)
        _show_modes(console, result)
        if len(result["by_language"]) > 1:
            _show_languages(console, result["by_language"])


def show_trace(result: dict[str, Any]) -> None:
    """Which expert answered and how sure the router was."""
    console = _console(stderr=True)
    routing = result["routing"]
    if routing is None:
        console.print("no routing: this model is dense")
        return
    if "load_by_layer" in routing:
        _show_load(console, routing["load_by_layer"])
        return
    table = Table(title="routing")
    table.add_column("expert")
    table.add_column("probability", justify="right")
    for name, probability in sorted(routing["probabilities"].items(), key=lambda pair: -pair[1]):
        mark = " <- answered" if name == routing["expert"] else ""
        table.add_row(name + mark, f"{probability:.4f}")
    console.print(table)
    console.print(
        f"chosen by {routing['by']}; {result['tokens']} tokens; {result['finish_reason']}"
    )
    for other in routing.get("hand_overs", ()):
        console.print(f"from token {other['token']} on: {other['expert']}")


def _show_load(console: Console, load: list[dict[str, float]]) -> None:
    """The share of the answer's tokens that each layer sent to each expert."""
    table = Table(title="routing by token")
    table.add_column("layer", justify="right")
    for name in load[0]:
        table.add_column(name, justify="right")
    for layer, shares in enumerate(load):
        silent = not any(shares.values())
        table.add_row(str(layer), *("base" if silent else f"{v:.2f}" for v in shares.values()))
    console.print(table)


def show_compared(result: dict[str, Any]) -> None:
    """Every expert's answer, the routed one marked; heads on standard error, code on output."""
    console = _console(stderr=True)
    routing = result["routing"]
    for one in result["answers"]:
        chosen = routing is not None and routing["expert"] == one["expert"]
        mark = f" <- the router's choice ({routing['confidence']:.4f})" if chosen else ""
        console.print(f"== {one['expert']}{mark}; {one['tokens']} tokens; {one['finish_reason']}")
        print(one["text"], flush=True)


def show_doctor(found: dict[str, Any]) -> None:
    console = _console()
    device = found["device"]
    console.print(f"codemoe {found['codemoe']}, Python {found['python']}, {found['cores']} cores")
    console.print(
        f"device: {device['kind']} ({device['name']}); disk {found['free_disk_gb']} GB free"
    )
    packages = ", ".join(f"{name} {v or 'missing'}" for name, v in found["packages"].items())
    console.print(f"packages: {packages}")
    table = Table(title="toolchains, for pass@1")
    table.add_column("language")
    table.add_column("state")
    for one in found["toolchains"].values():
        table.add_row(one["label"], one["problem"] or f"ready: {', '.join(one['versions'])}")
    console.print(table)
    sandbox = found["sandbox"]
    if sandbox["tier"]:
        console.print(f"sandbox: {sandbox['tier']} ({sandbox['reason']})")
        if sandbox["fix"]:
            console.print(f"  -> for the stronger one: {sandbox['fix']}")
    else:
        console.print(f"sandbox: none ({sandbox['reason']}); pass@1 will not be run")
        console.print(f"  -> {sandbox['fix']}")
