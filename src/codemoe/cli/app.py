"""The application object, and what its commands share."""

import json
import os
from typing import Annotated, Any

import typer

from codemoe import garbage

app = typer.Typer(
    name="codemoe",
    help="Turn one dense language model into a proven mixture of programming-language experts.",
    epilog="Start with: codemoe demo --fast. Exit codes: 0 done, 1 the work failed, 2 bad input.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def quiet_libraries() -> None:
    """Before models: libraries' own bars and notices would bury ours. Read when they are imported.
    And the collector works again, for what models leave behind is large."""
    garbage.as_usual()
    import logging
    import warnings

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    warnings.filterwarnings("ignore")
