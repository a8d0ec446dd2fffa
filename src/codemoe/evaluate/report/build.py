"""`codemoe report`: from a run directory to report/ with page, figures, tables and summary."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.eval_config import MODEL_NAMES
from codemoe.evaluate.report.chain import chain_breaks
from codemoe.evaluate.report.checks import check_thresholds
from codemoe.evaluate.report.figures import DARK, LIGHT, all_figures, csv_text, png
from codemoe.evaluate.report.page import render_page
from codemoe.evaluate.report.read import Evaluation, read_evaluation
from codemoe.evaluate.report.summary import build_summary
from codemoe.evaluate.report.table import markdown
from codemoe.evaluate.report.tables import all_tables
from codemoe.evaluate.report.traces import traces_csv
from codemoe.evaluate.report.words import enabling, headline, lead


def make_report(
    run_dir: Path,
    out: Path,
    *,
    thresholds: Mapping[str, float | None],
    name: str,
    command: str,
    split: str = "test",
    models: Sequence[str] = MODEL_NAMES,
) -> dict[str, Any]:
    """Write index.html, tables.md, summary.json and figures/ into `out`; return the summary.

    `name` titles the report, `command` is what made the run, `split` the rows that were asked,
    `models` those to tell of;
    thresholds as in `check_thresholds`.
    Raises UserError when nothing was evaluated, an input is damaged or `out` cannot be written.
    """
    evaluation = read_evaluation(run_dir, split, models)
    summary = build_summary(evaluation)
    checks = check_thresholds(summary, thresholds)
    breaks = chain_breaks(run_dir)
    summary["chain_breaks"] = breaks
    summary["checks"] = [asdict(check) for check in checks]
    tables = all_tables(evaluation)
    figures = all_figures(evaluation, thresholds)
    images = {key: (png(figure, LIGHT), png(figure, DARK)) for key, figure in figures.items()}
    page = render_page(
        evaluation,
        summary,
        checks,
        tables,
        figures,
        images,
        name=name,
        command=command,
        breaks=breaks,
    )
    files: dict[str, bytes] = {
        "index.html": page.encode(),
        "tables.md": markdown(
            tables.values(), headline(evaluation), _notes(evaluation, command, breaks)
        ).encode(),
        "summary.json": (json.dumps(summary, indent=2, allow_nan=False) + "\n").encode(),
    }
    if traces := traces_csv(evaluation):
        files["traces.csv"] = traces.encode()
    for key, figure in figures.items():
        light, dark = images[key]
        files[f"figures/{key}.png"] = light
        files[f"figures/{key}-dark.png"] = dark
        files[f"figures/{key}.csv"] = csv_text(figure).encode()
    _write(out, files)
    return summary


def _notes(evaluation: Evaluation, command: str, breaks: Sequence[str]) -> list[str]:
    notes = [
        " ".join(lead(evaluation)),
        f"Made by `{command}`. Brackets: 95 % intervals (scores: bootstrap; shares: Wilson's).",
    ]
    if breaks:
        notes.append("The lossless chain breaks. " + " ".join(f"At {one}." for one in breaks))
    if all(model.total.pass_at_1 is None for model in evaluation.models.values()):
        sandbox = evaluation.sandbox
        why = f" ({sandbox.reason})" if sandbox.reason else ""
        commands = "; ".join(f"`{line}`" for line in enabling(sandbox.fix))
        notes.append(
            f"pass@1 was not run{why}." + (f" To enable it: {commands}" if commands else "")
        )
    return notes


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
        for place, data in files.items():
            (out / place).write_bytes(data)
    except OSError as error:
        raise UserError(
            f"cannot write the report to {out}: {error.strerror}", "choose another folder"
        ) from error
