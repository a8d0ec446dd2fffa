"""What commands print for people: results, traces, the doctor's findings."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from codemoe.languages import LANGUAGES
from codemoe.recipe import Recipe


def _label(language: str) -> str:
    return LANGUAGES[language].label if language in LANGUAGES else language


def _number(value: float | None, digits: int = 3) -> str:
    return "not run" if value is None else f"{value:.{digits}f}"


def show_result(recipe: Recipe) -> None:
    """The table a finished run ends with, from report/summary.json."""
    report = recipe.run_dir / "report"
    summary = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    console = Console()
    languages = [*recipe.languages, "all"]
    table = Table(title=f"{recipe.name}: held-out problems, corrected CodeBLEU (pass@1)")
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
    for name, value in summary["retention"].items():
        if name == "all":
            console.print(f"retention (mixture / own expert): {_number(value)}")
    routing = summary.get("routing") or {}
    if routing.get("accuracy") is not None:
        console.print(f"routing accuracy: {_number(routing['accuracy'])}")
    console.print(f"report: {report / 'index.html'}", soft_wrap=True)
    console.print(
        f'try:    codemoe generate {recipe.run_dir} "Sum of the even numbers" --trace',
        soft_wrap=True,
    )


def show_trace(result: dict[str, Any]) -> None:
    """Which expert answered and how sure the router was."""
    console = Console(stderr=True)
    routing = result["routing"]
    if routing is None:
        console.print("no routing: this model is dense")
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


def show_doctor(found: dict[str, Any]) -> None:
    console = Console()
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
        missing = one["missing"]
        table.add_row(one["label"], f"missing: {', '.join(missing)}" if missing else "ready")
    console.print(table)
    sandbox = found["sandbox"]
    if sandbox["tier"]:
        console.print(f"sandbox: {sandbox['tier']}")
    else:
        console.print(f"sandbox: none ({sandbox['reason']}); pass@1 will not be run")
        console.print(f"  -> {sandbox['fix']}")
