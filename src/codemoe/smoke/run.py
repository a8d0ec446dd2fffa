"""`codemoe run RECIPE --smoke`: every stage and check of a recipe in small, in a folder apart."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codemoe.data.corpus.rows import corpus_rows
from codemoe.data.hub import is_hub_id
from codemoe.errors import MissedThreshold, UserError, WorkError
from codemoe.eval_config import SuiteConfig
from codemoe.lock import run_lock
from codemoe.pipeline import STAGES, Outcome, refuse_before, refuse_launchers, run_stages
from codemoe.progress import say
from codemoe.recipe import Recipe
from codemoe.smoke.base import write_small_base
from codemoe.smoke.existing import small_experts
from codemoe.smoke.preferences import small_align
from codemoe.smoke.reach import unreachable
from codemoe.smoke.samples import few_items, sample_sources
from codemoe.smoke.shrink import SUFFIX, can_quantize, shrink

MARK = "smoke.json"  # what makes a folder one that a smoke run may empty


@dataclass(frozen=True)
class Smoked:
    """A smoke run that went through: what stood in for what, and what was not judged."""

    run: str
    seconds: float
    notes: tuple[str, ...]
    stages: tuple[Outcome, ...]
    not_judged: tuple[dict[str, Any], ...]
    exports: dict[str, str]


def run_smoke(recipe: Recipe) -> Smoked:
    """All stages in `runs/<name>-smoke`, anew each time; the run's own folder is not touched.

    Raises what the real run would raise, thresholds aside: a random model meets none.
    """
    started = time.monotonic()
    refuse_launchers(os.environ)
    refuse_before(recipe, tuple(stage for stage in STAGES if stage.is_wanted(recipe)))
    folder = Path(recipe.runs_dir) / (recipe.name + SUFFIX)
    _empty(folder)
    notes = _left_out(recipe)
    made = folder / "made"
    made.mkdir()
    sampled = sample_sources(recipe, made)
    notes += sampled.notes
    rows = sampled.rows or tuple(corpus_rows(few_items(20), recipe.languages, 1))
    base = align = None
    if recipe.align is not None:
        align, told = small_align(recipe, recipe.align, rows, made)
        notes += told
    if recipe.base.model is not None:
        fim = recipe.experts.train.fim_rate > 0
        base = write_small_base(recipe.base, rows, recipe.seed, made / "base", fim)
        notes += base.notes
    checkpoints: dict[str, str] = {}
    if base is not None:
        checkpoints, told = small_experts(recipe, made / "base", made / "experts")
        notes += told
    unreached = _unreachable_suites(recipe, made)
    notes += [f"LEFT OUT: the suite {one.path} cannot be reached" for one in unreached]
    small = shrink(recipe, sampled, base, made / "base", align, checkpoints, unreached)
    for note in notes:
        say(f"smoke: {note}")
    outcomes: list[Outcome] = []
    with suppress(MissedThreshold):  # told below, with those that were met
        run_stages(small, on_done=outcomes.append)
    smoked = Smoked(
        run=str(folder),
        seconds=0.0,
        notes=tuple(notes),
        stages=tuple(outcomes),
        not_judged=tuple(_not_judged(small)),
        exports=_exports(small),
    )
    return _timed(smoked, time.monotonic() - started, folder)


def _unreachable_suites(recipe: Recipe, folder: Path) -> list[SuiteConfig]:
    """Suites of the hub, which is not here; all else that is wrong with one is raised."""
    from codemoe.evaluate.suite_runs import hub_suite

    found = []
    for suite in recipe.eval.suites:
        if not is_hub_id(suite.path):
            continue
        try:
            hub_suite(suite, folder / "suites")
        except WorkError as error:
            if not unreachable(error):
                raise
            found.append(suite)
    return found


def _timed(smoked: Smoked, seconds: float, folder: Path) -> Smoked:
    done = Smoked(**(vars(smoked) | {"seconds": round(seconds, 1)}))
    (folder / MARK).write_text(json.dumps(asdict(done), indent=2) + "\n", encoding="utf-8")
    return done


def _empty(folder: Path) -> None:
    """A fresh folder with the mark in it. Refuses to empty one that no smoke run has made."""
    found = [path for path in folder.glob("*")] if folder.is_dir() else []
    if found and not (folder / MARK).is_file():
        raise UserError(
            f"{folder} is where this smoke run would be, but no smoke run made it "
            f"(it has no {MARK})",
            "rename that run, or smoke-run this recipe under another name: name=other",
        )
    with run_lock(folder):
        for path in found:
            if path.name == MARK:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (folder / MARK).write_text("{}\n", encoding="utf-8")


def _left_out(recipe: Recipe) -> list[str]:
    notes = []
    if recipe.base.quantization == "4bit" and not can_quantize():
        notes.append(
            "LEFT OUT: base.quantization=4bit, as bitsandbytes is not installed here; the real run "
            "stops without it: pip install 'codemoe[qlora]'"
        )
    if recipe.experts.train.report_to:
        told = ", ".join(recipe.experts.train.report_to)
        notes.append(f"nothing is sent to {told} (installed)")
    return notes


def _not_judged(recipe: Recipe) -> list[dict[str, Any]]:
    """The recipe's thresholds, held against the small models as the report does."""
    from codemoe.evaluate.report import check_thresholds

    summary = json.loads((recipe.report_dir / "summary.json").read_text(encoding="utf-8"))
    checks = check_thresholds(summary, recipe.eval.thresholds.model_dump(mode="json"))
    return [
        {"name": c.name, "language": c.language, "found": c.found, "required": c.required}
        for c in checks
    ]


def _exports(recipe: Recipe) -> dict[str, str]:
    """What the mixture can be exported to, and why to nothing else."""
    from codemoe.models.export.command import FORMATS, export_model

    told: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=recipe.run_dir) as scratch:
        for to in FORMATS:
            try:
                made = export_model(str(recipe.run_dir), Path(scratch) / to, to)
            except UserError as error:
                if error.exit_code != 2:
                    raise
                told[to] = f"no: {error.what}"
            else:
                told[to] = f"yes, logits within {made['max_abs_logit_difference']:.1e}"
    return told


def lines_of(smoked: Smoked) -> Sequence[str]:
    """What people read at the end."""
    lines = [f"smoke run of every stage: {smoked.seconds:.0f} s, {smoked.run}"]
    for check in smoked.not_judged:
        found = "nothing" if check["found"] is None else f"{check['found']:.3f}"
        where = f" {check['language']}" if check["language"] else ""
        lines.append(
            f"{check['name']}{where}: {found} (asked {check['required']:g}), "
            "not judged in a smoke run"
        )
    lines += [f"export {to}: {told}" for to, told in smoked.exports.items()]
    return [*lines, *(f"note: {note}" for note in smoked.notes)]
