"""`codemoe generate`."""

import sys
from typing import Annotated

import typer

from codemoe.cli.app import Json, app, print_json, quiet_libraries
from codemoe.errors import UserError


@app.command()
def generate(
    model: Annotated[
        str, typer.Argument(help="A run, a stage directory, a checkpoint folder, a hub id.")
    ],
    text: Annotated[str, typer.Argument(help="What to write; - reads standard input.")],
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

    The router chooses the expert, or --language names it. For example:
    codemoe generate runs/demo "Sum of the even numbers in Java" --trace, or --compare.
    """
    from codemoe.languages import get_language

    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
    if not text.strip():
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
    result = ask.answer(
        model,
        text,
        named,
        max_new_tokens,
        sampling,
        expert=expert,
        follow_fences=follow_fences,
        token_gates=token_gates,
    )
    if as_json:
        print_json(result)
        return
    print(result["text"])
    if trace:
        from codemoe.terminal import show_trace

        show_trace(result)
