"""`codemoe generate`."""

import sys
from typing import Annotated, Any

import typer

from codemoe.cli.app import Json, app, print_json, quiet_libraries
from codemoe.errors import UserError


@app.command()
def generate(
    model: Annotated[
        str, typer.Argument(help="A run, a stage directory, a checkpoint folder, a hub id.")
    ],
    text: Annotated[
        str | None,
        typer.Argument(help="What to write; - or nothing reads standard input, from a pipe."),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Name the language; its expert answers.")
    ] = None,
    expert: Annotated[str | None, typer.Option(help="Name the expert that answers.")] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Every expert answers, after one reading of the prompt."),
    ] = False,
    follow_fences: Annotated[
        bool,
        typer.Option(
            "--follow-fences",
            help="Change to the expert of a language whose fenced block the answer opens.",
        ),
    ] = False,
    token_gates: Annotated[
        bool,
        typer.Option("--token-gates", help="Every layer's gate chooses an expert at every token."),
    ] = False,
    trace: Annotated[
        bool,
        typer.Option("--trace", help="Show which expert answered and how sure the router was."),
    ] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 650,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Nucleus sampling; 1 is off.")] = 1.0,
    seed: Annotated[int, typer.Option(help="For sampling.")] = 0,
    as_json: Json = False,
) -> None:
    """Write one program and say who wrote it.

    The router chooses the expert, or --language names it. The program streams, in colours on a
    terminal and as plain text elsewhere. For example:
    codemoe generate runs/demo "Sum of the even numbers in Java" --trace, or --compare;
    codemoe generate runs/demo < task.txt > Solution.java
    """
    from codemoe.languages import get_language

    if text == "-" or (text is None and not sys.stdin.isatty()):
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
    if text is None or not text.strip():
        raise UserError("the text is empty", 'codemoe generate MODEL "Sum of the even numbers"')
    named = get_language(language).name if language else None
    quiet_libraries()
    from codemoe.models import ask
    from codemoe.models.sampling import Sampling

    sampling = Sampling(temperature, top_p, seed)
    if compare:
        if expert or follow_fences or token_gates:
            raise UserError(
                "--compare asks every expert; leave out --expert, --follow-fences, --token-gates"
            )
        compared = ask.compare(model, text, named, max_new_tokens, sampling)
        if as_json:
            print_json(compared)
        else:
            from codemoe.terminal import show_compared

            show_compared(compared)
        return
    if token_gates and (expert or follow_fences):
        raise UserError("--token-gates decide by themselves; leave out --expert, --follow-fences")
    from codemoe.models.load import load_model

    opened = load_model(model)
    question = ask.Question(
        text, named, max_new_tokens, sampling, expert, follow_fences, token_gates
    )
    if as_json:
        print_json(ask.answer(opened, question))
        return
    from codemoe.terminal_code import CodeWriter

    writer = CodeWriter()

    def begin(routing: dict[str, Any] | None) -> None:
        writer.language(named or ask.language_of(opened, routing))

    result = ask.answer(opened, question, on_begin=begin, on_text=writer.write)
    writer.finish()
    if trace:
        from codemoe.terminal import show_trace

        show_trace(result)
