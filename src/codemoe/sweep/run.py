"""Run all variants of a sweep; a stage that another variant made the same is linked."""

import json
import traceback
from pathlib import Path
from typing import Any

from codemoe.artifacts import Redo, share_from
from codemoe.errors import UserError, WorkError
from codemoe.lock import InUse
from codemoe.pipeline import STAGES, run_stages
from codemoe.progress import say
from codemoe.sweep.compare import compare_variants, markdown
from codemoe.sweep.variants import Sweep

# Of a failed variant's own advice, `codemoe run` is not what made it.
FIX = (
    "codemoe sweep ... again tries what failed; with --force it also replaces what was made with "
    "other settings"
)


def run_sweep(sweep: Sweep, command: str, redo: Redo = "never") -> dict[str, Any]:
    """All stages but the report, for each variant, and a table of them, `.md` and `.json`.

    Finished variants are skipped, so a stopped sweep goes on with the same command. A variant that
    fails is told of and the others go on; when none is left, that is an error.
    """
    failed: dict[str, str] = {}
    last: UserError | None = None
    for number, variant in enumerate(sweep.variants, 1):
        say(f"sweep: variant {number} of {len(sweep.variants)}: {variant.label}")
        run_dir = variant.recipe.run_dir
        try:
            with share_from(run_dir, _donors(sweep, run_dir)):
                run_stages(variant.recipe, STAGES[:-1], redo)
        except UserError as error:
            if error.exit_code > 2 or isinstance(error, InUse):
                raise  # a signal to stop is for the whole sweep; so is another process in there
            failed[variant.label], last = error.what, error
            say(f"sweep: {variant.label} failed: {error}")
        except Exception as error:
            run_dir.mkdir(parents=True, exist_ok=True)
            (run_dir / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
            failed[variant.label] = f"{type(error).__name__}: {error}; see {run_dir / 'error.txt'}"
            say(f"sweep: {variant.label} failed: {failed[variant.label]}")
    if len(failed) == len(sweep.variants):
        if last is not None:
            raise type(last)(last.what, FIX if "--force" in last.fix else last.fix or FIX)
        told = "; ".join(f"{label}: {why}" for label, why in failed.items())
        raise WorkError(f"all variants failed: {told}", FIX)
    compared = compare_variants(sweep.variants, failed) | {"command": command}
    folder = sweep.folder
    folder.mkdir(parents=True, exist_ok=True)
    figures, table = folder / f"{sweep.name}.json", folder / f"{sweep.name}.md"
    figures.write_text(json.dumps(compared, indent=2) + "\n", encoding="utf-8")
    table.write_text(markdown(compared), encoding="utf-8")
    return compared


def _donors(sweep: Sweep, own: Path) -> list[Path]:
    """Runs that may have made a stage the same: the recipe's plain run, and all that sweeps of it
    made."""
    others = (
        sorted(p for p in sweep.folder.glob("*") if p.is_dir()) if sweep.folder.is_dir() else []
    )
    return [p for p in (sweep.recipe.run_dir, *others) if p.is_dir() and p != own]
