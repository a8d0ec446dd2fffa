"""`codemoe score`."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from codemoe.cli.app import Json, app, print_json
from codemoe.errors import UserError


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="JSONL of {language, reference, prediction}.")],
    compat: Annotated[
        bool, typer.Option("--compat", help="The codebleu 0.7.0 package's arithmetic.")
    ] = False,
    weights: Annotated[
        str, typer.Option(help="Of n-gram, weighted n-gram, syntax and data-flow match.")
    ] = "0.25,0.25,0.25,0.25",
    workers: Annotated[int | None, typer.Option(help="Processes; all cores by default.")] = None,
    as_json: Json = False,
) -> None:
    """CodeBLEU of a JSONL file, corrected and compatible.

    Beside the wrong-answer floor (other problems' answers), with an interval and counts of empty,
    unparsable, wrong-language and looping answers. --compat only chooses whose figures come first.
    """
    from codemoe.evaluate.score_command import score_file
    from codemoe.progress import progress
    from codemoe.terminal import show_score

    try:
        numbers = tuple(float(part) for part in weights.split(","))
    except ValueError:
        raise UserError(
            f"--weights is {weights!r}; expected four numbers", "for example 0.1,0.1,0.4,0.4"
        ) from None
    with ExitStack() as stack:
        advance = []
        result = score_file(
            file,
            numbers,  # type: ignore[arg-type]
            compat=compat,
            workers=workers,
            on_start=lambda: advance.append(
                stack.enter_context(progress(f"score {file.name}", _count_rows(file), "rows"))
            ),
            on_row=lambda: advance[0](1, ""),
        )
    if as_json:
        print_json(result)
    else:
        show_score(result)


def _count_rows(path: Path) -> int:
    """For the progress bar only: what is wrong with the file is said by its reader."""
    import gzip
    import zlib

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return sum(1 for line in file if line.strip())
    except (OSError, EOFError, zlib.error):
        return 0
