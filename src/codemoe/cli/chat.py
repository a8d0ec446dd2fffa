"""`codemoe chat`."""

import sys
from typing import Annotated

import typer

from codemoe.cli.app import app, quiet_libraries


@app.command()
def chat(
    model: Annotated[
        str, typer.Argument(help="A run, a stage directory, a checkpoint folder, a hub id.")
    ],
    language: Annotated[
        str | None, typer.Option(help="Name the language; its expert answers.")
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 650,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Nucleus sampling; 1 is off.")] = 1.0,
    seed: Annotated[int, typer.Option(help="For sampling.")] = 0,
) -> None:
    """A session with a model: task after task, and commands.

    Earlier tasks are read again before a new one. Ctrl-C stops an answer; Ctrl-D ends the session.
    /help lists the commands. For example: codemoe chat runs/demo
    """
    from codemoe.languages import get_language

    named = get_language(language).name if language else None
    quiet_libraries()
    from codemoe.models.ask import Question
    from codemoe.models.load import load_model
    from codemoe.models.sampling import Sampling
    from codemoe.terminal_chat import Chat, say

    is_terminal = sys.stdin.isatty()
    if is_terminal:
        import readline  # noqa: F401  (input() then edits lines and remembers them)

    def read(prompt: str) -> str:
        return input(prompt if is_terminal else "")

    question = Question("", named, max_new_tokens, Sampling(temperature, top_p, seed))
    session = Chat(load_model, model, question, read, say)
    if is_terminal:
        say(f"{model}: write a task; /help lists the commands")
    session.run()
