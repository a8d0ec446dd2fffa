"""`codemoe audit`."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from codemoe.cli.app import Json, app, print_json
from codemoe.errors import UserError


@app.command()
def audit(
    files: Annotated[list[Path], typer.Argument(help="Predictions: JSONL, JSON, CSV, TSV, text.")],
    references: Annotated[
        list[Path] | None,
        typer.Option(help="File with the references, where they are not beside the predictions."),
    ] = None,
    scores: Annotated[
        list[Path] | None, typer.Option(help="Published table of scores of these predictions.")
    ] = None,
    claimed: Annotated[float | None, typer.Option(help="Published CodeBLEU, 0 to 1.")] = None,
    prediction: Annotated[str | None, typer.Option(help="Column of the predictions.")] = None,
    reference: Annotated[str | None, typer.Option(help="Column of the references.")] = None,
    language: Annotated[
        str | None, typer.Option(help="Column of the languages, or one language for all rows.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; all cores by default.")] = None,
    as_json: Json = False,
) -> None:
    """Re-score others' predictions, say what is wrong.

    Columns are found by their usual names. Give --references and --scores once for all files, or
    once for each in their order. A file of scores alone is audited as a claim.
    """
    from codemoe.evaluate.audit import AuditRequest, audit_files
    from codemoe.progress import progress
    from codemoe.terminal import show_audit

    with ExitStack() as stack:
        advance: list[Callable[[int, str], None]] = []

        def on_start(path: Path) -> None:
            stack.close()
            total = _count_rows(path)
            advance[:] = [stack.enter_context(progress(f"audit {path.name}", total, "rows"))]

        request = AuditRequest(
            files=files,
            references=references or (),
            scores=scores or (),
            prediction=prediction,
            reference=reference,
            language=language,
            claimed=claimed,
            workers=workers,
            on_start=on_start,
            on_row=lambda: advance[0](1, ""),
        )
        results = audit_files(request)
    if as_json:
        print_json({"files": results})
        return
    for result in results:
        show_audit(result)


def _count_rows(path: Path) -> int:
    """For the progress bar only: what is wrong with the file is said by its reader."""
    from codemoe.evaluate.audit.table import count_rows

    try:
        return count_rows(path)
    except UserError:
        return 0
