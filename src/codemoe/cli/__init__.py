"""The command line, thin. A module a command or family; each imports what it needs when it runs."""

import sys
from collections.abc import Sequence
from copy import copy
from typing import Annotated

import typer

from codemoe import __version__

# Importing a module registers its commands: this is their order in --help.
from codemoe.cli import pipeline  # isort: split

from codemoe.cli import plan  # isort: split

from codemoe.cli import preview  # isort: split

from codemoe.cli import generate  # isort: split

from codemoe.cli import chat  # isort: split

from codemoe.cli import serve  # isort: split

from codemoe.cli import mixture  # isort: split

from codemoe.cli import score  # isort: split

from codemoe.cli import audit  # isort: split

from codemoe.cli import execute  # isort: split

from codemoe.cli import doctor  # isort: split

from codemoe.cli import compare  # isort: split

from codemoe.cli import sweep  # isort: split

from codemoe.cli.app import app
from codemoe.errors import UserError

__all__ = [
    "app",
    "audit",
    "chat",
    "compare",
    "doctor",
    "execute",
    "generate",
    "main",
    "mixture",
    "pipeline",
    "plan",
    "preview",
    "score",
    "serve",
    "sweep",
]


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"codemoe {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: 0 done, 1 the work failed, 2 bad input, 130 interrupted; bad input never ends
    in a traceback."""
    try:
        _app_for(sys.argv[1:])()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        from codemoe.disk import FULL_ERRNO

        if error.errno not in FULL_ERRNO or error.filename is not None:
            raise
        print(f"error: cannot write the output: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None


def _app_for(arguments: Sequence[str]) -> typer.Typer:
    """With the command alone that is named, if one is: Typer makes the options of all commands that
    it has before it looks which is wanted."""
    named = [
        command
        for command in app.registered_commands
        if command.callback and [command.name or command.callback.__name__] == [*arguments[:1]]
    ]
    if not named:
        return app  # for help on all, and for what was probably meant
    alone = copy(app)
    alone.registered_commands = named
    return alone
