"""The `report` stage: write `report/`, then hold the mixture to the recipe's thresholds."""

import json
import shlex
import sys
from pathlib import Path

from codemoe.artifacts import Redo, is_finished, run_stage
from codemoe.errors import MissedThreshold, UserError
from codemoe.recipe import Recipe


def run(recipe: Recipe, *, redo: Redo = "never") -> bool:
    """Make `report/`; raises MissedThreshold, with the report kept, when a threshold is missed."""
    run_dir = recipe.run_dir
    split = recipe.eval.split
    # A report holds nothing of its own to lose: made again whenever what it tells has changed.
    redo = "different" if redo == "never" else redo
    inputs = {
        f"eval/{name}": run_dir / "eval" / name / split
        for name in recipe.eval.models
        if is_finished(run_dir / "eval" / name / split)
    }
    suites = [
        (name, path)
        for name in recipe.eval.models
        for path in sorted((run_dir / "eval" / name).glob("*"))
        if path.name not in ("test", "valid") and is_finished(path)
    ]
    if not inputs:
        raise UserError(f"{run_dir} has no finished evaluation to report on", "codemoe eval RECIPE")
    inputs |= {f"eval/{name}/{path.name}": path for name, path in suites}
    thresholds = recipe.eval.thresholds.model_dump(mode="json")

    def work(out: Path) -> None:
        from codemoe.evaluate.report import make_report

        command = shlex.join(["codemoe", *sys.argv[1:]])
        make_report(
            run_dir,
            out,
            thresholds=thresholds,
            name=recipe.name,
            command=command,
            split=split,
            models=recipe.eval.models,
        )
        _card(recipe, out)

    made = run_stage(
        recipe.report_dir,
        "report",
        {"name": recipe.name, "eval": {"thresholds": thresholds, "split": split}},
        inputs,
        work,
        seed=recipe.seed,
        redo=redo,
    )
    _hold_to(recipe.report_dir, thresholds)
    return made


def _card(recipe: Recipe, out: Path) -> None:
    """The mixture's model card, with what was measured; none where nothing was."""
    from codemoe.models.export.scores import read_scores
    from codemoe.models.model_card import read_training, write_card
    from codemoe.models.reference import read_reference

    scores = read_scores(recipe.run_dir, "moe-sequence")
    if scores is None or recipe.eval.split != "test":
        return
    experts = list(recipe.expert_filters)
    about = read_training(list(recipe.expert_dirs.values()))
    write_card(
        out,
        read_reference(recipe.run_dir / "base"),
        title=f"{recipe.name}: a mixture of experts",
        languages=tuple(recipe.expert_of_language()),
        library="codemoe",
        kind="mixture-of-experts",
        what=f"A mixture of {len(experts)} {recipe.experts.kind} experts ({', '.join(experts)}) "
        f"that act as `{recipe.moe.activation}`, under a router.",
        licenses=about.licenses,
        scores=scores,
        file="model_card.md",
    )


def _hold_to(report_dir: Path, thresholds: dict[str, float | None]) -> None:
    from codemoe.evaluate.report import check_thresholds
    from codemoe.evaluate.report.checks import missed_table

    summary = json.loads((report_dir / "summary.json").read_text(encoding="utf-8"))
    missed = [check for check in check_thresholds(summary, thresholds) if not check.passed]
    if missed:
        raise MissedThreshold(
            f"the mixture falls below the recipe's thresholds:\n{missed_table(missed)}",
            f"see {report_dir / 'index.html'}; thresholds are eval.thresholds in the recipe",
        )
