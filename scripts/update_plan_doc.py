"""Put what `codemoe plan` says of the shipped recipes into docs/plan.md.

    .venv/bin/python scripts/update_plan_doc.py

Replaces what stands between the two marker lines and nothing else; a second call changes nothing.
"""

from pathlib import Path
from typing import Any

from codemoe.plan.command import make_plan
from codemoe.recipe_file import load_recipe

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "plan.md"
BEGIN, END = "<!-- plan:begin -->", "<!-- plan:end -->"
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))


def row(name: str) -> str:
    """A recipe's line: its largest stage on a GPU, and what it is on each class of GPU."""
    plan = make_plan(load_recipe(ROOT / "recipes" / f"{name}.yaml"))
    largest = max(plan["stages"], key=lambda stage: stage["gpu_bytes"])
    cells = [
        f"[{name}](../recipes/{name}.yaml)",
        f"{plan['parameters']['base'] / 1e6:,.0f} M",
        f"`{largest['stage']}`, {largest['gpu_bytes'] / 1e9:.2f} GB",
        *(_fit(one) for one in plan["fits"]),
    ]
    return f"| {' | '.join(cells)} |"


def _fit(one: dict[str, Any]) -> str:
    if one["fits"]:
        hours = one["gpu_hours"]
        return f"fits, {hours:.1f} h" if hours >= 0.05 else "fits, minutes"
    if one["fits_then"]:
        return "with " + " ".join(f"`{change}`" for change in one["change"])
    return f"{', '.join(one['still_too_large'])} too large"


def block(names: list[str]) -> list[str]:
    heads = ("recipe", "base", "largest stage", "16 GB", "24 GB", "48 GB", "80 GB")
    return [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *map(row, names)]


def main() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").split("\n")
    begin, end = lines.index(BEGIN), lines.index(END)
    made = [*lines[: begin + 1], *block(RECIPES), *lines[end:]]
    DOCUMENT.write_text("\n".join(made), encoding="utf-8")


if __name__ == "__main__":
    main()
