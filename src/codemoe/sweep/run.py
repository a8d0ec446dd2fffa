"""Run all variants of a sweep; a stage that another variant made the same is linked."""

import json
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codemoe.artifacts import share_from
from codemoe.errors import UserError
from codemoe.pipeline import STAGES, run_stages
from codemoe.progress import say
from codemoe.recipe import Recipe
from codemoe.sweep.compare import compare_variants, markdown
from codemoe.sweep.variants import Variant, sweep_dir

TABLE, FIGURES = "sweep.md", "sweep.json"


def run_sweep(recipe: Recipe, variants: Sequence[Variant], command: str) -> dict[str, Any]:
    """All stages but the report, for each variant, and `sweep.md` and `sweep.json` beside them.

    Finished variants are skipped, so a stopped sweep goes on with the same command. A variant that
    fails is told of and the others go on; when none is left, its error is raised.
    """
    folder = sweep_dir(recipe)
    failed: dict[str, str] = {}
    last: UserError | None = None
    # The plain run of the recipe may have made the shared stages already.
    donors: list[Path] = [recipe.run_dir]
    for number, variant in enumerate(variants, 1):
        say(f"sweep: variant {number} of {len(variants)}: {variant.label}")
        run_dir = variant.recipe.run_dir
        try:
            with share_from(run_dir, [d for d in donors if d.is_dir()]):
                run_stages(variant.recipe, STAGES[:-1])
        except UserError as error:
            say(f"sweep: {variant.label} failed: {error}")
            failed[variant.label], last = error.what, error
        except Exception as error:
            run_dir.mkdir(parents=True, exist_ok=True)
            (run_dir / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
            failed[variant.label] = f"{type(error).__name__}: {error}; see {run_dir / 'error.txt'}"
            say(f"sweep: {variant.label} failed: {failed[variant.label]}")
        donors.append(run_dir)
    if len(failed) == len(variants) and last is not None:
        raise last
    compared = compare_variants(variants, failed) | {"command": command}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES).write_text(json.dumps(compared, indent=2) + "\n", encoding="utf-8")
    (folder / TABLE).write_text(markdown(compared, command), encoding="utf-8")
    return compared
