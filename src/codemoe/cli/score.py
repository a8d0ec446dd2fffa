"""`codemoe score`."""

from pathlib import Path
from typing import Annotated

import typer

from codemoe.cli.app import Json, app, print_json


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="JSONL of {language, reference, prediction}.")],
    as_json: Json = False,
) -> None:
    """CodeBLEU of a JSONL file.

    Without free points for empty answers, beside the wrong-answer floor and with an interval.
    """
    from codemoe.evaluate.score_command import score_file

    result = score_file(file)
    if as_json:
        print_json(result)
        return
    low, high = result["interval"]
    floor = "none" if result["floor"] is None else f"{result['floor']:.4f}"
    print(f"CodeBLEU {result['codebleu']:.4f}  [{low:.4f}, {high:.4f}]  n = {result['n']}")
    for key in ("ngram_match", "weighted_ngram_match", "syntax_match", "dataflow_match"):
        value = result[key]
        print(f"  {key:<22} {'none' if value is None else f'{value:.4f}'}")
    print(f"  wrong-answer floor     {floor}\n  empty predictions      {result['empty']}")
