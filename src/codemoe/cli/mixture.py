"""`codemoe add-expert` and `export`: a finished mixture with one expert more, or elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from codemoe.cli.app import Json, app, print_json, quiet_libraries


@app.command(name="add-expert")
def add_expert(
    model: Annotated[str, typer.Argument(help="The mixture: a run, or a folder with moe.json.")],
    adapter: Annotated[
        Path, typer.Argument(help="A PEFT LoRA folder, trained on the mixture's base.")
    ],
    name: Annotated[str, typer.Option(help="What the new expert is called.", show_default=False)],
    data: Annotated[
        list[str],
        typer.Option(
            help="JSONL or Parquet of {text, code, language}; can be repeated. Rows of other "
            "languages stand for the old experts' text.",
            metavar="ROWS",
            show_default=False,
        ),
    ],
    language: Annotated[
        list[str] | None,
        typer.Option(
            help="A language that the new expert gets; can be repeated. Without it: those of ROWS "
            "that no old expert has.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where the new mixture goes. Without it: MODEL-NAME, beside MODEL.",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a mixture made so.")] = False,
    as_json: Json = False,
) -> None:
    """Add a language to a finished mixture.

    Writes a new mixture; MODEL, a run or any mixture, stays as it is. Old experts and their rows of
    the router do not change; the new expert's is fitted on ROWS and measured. For example:
    codemoe add-expert runs/demo runs/rust/experts/rust --name rust --data rust.jsonl
    """
    quiet_libraries()
    from codemoe.train.add_expert import add_expert as add

    made = add(model, adapter, name, data, languages=language or (), out=out, force=force)
    if as_json:
        print_json(made)
        return
    print(f"{made['path']}: {', '.join(made['experts'])}")
    print(f"  {name} text routed to {name:<12} {made['new_routed']:.4f}  (held-out rows)")
    print(f"  old text whose routing changes   {made['old_changed']:.4f}")


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="A run, its moe/ or its router/.")],
    out: Annotated[Path, typer.Argument(help="The folder to make.", show_default=False)],
    to: Annotated[str, typer.Option(help="mixtral, qwen-moe, gguf or lora-pack.")],
    activation: Annotated[
        str | None,
        typer.Option(help="lora-pack: all or completion; the mixture's own when left out."),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(help="For weights, such as 4GB; otherwise most of what is free."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    as_json: Json = False,
) -> None:
    """A mixture as a checkpoint that other people's tools load.

    Reloads what it wrote with the stock library and compares the logits before it says done. What
    cannot be exported without loss is refused. For example:
    codemoe export runs/demo my-mixtral --to mixtral
    """
    quiet_libraries()
    from codemoe.models.export.command import export_model

    result = export_model(model, out, to, activation=activation, max_memory=max_memory, force=force)
    if as_json:
        print_json(result)
        return
    print(f"{result['path']}: {to}, {result['bytes'] / 1e6:,.1f} MB, {result['seconds']:.0f} s")
    print(
        f"logits differ from the mixture's by at most {result['max_abs_logit_difference']:.1e} "
        f"over {result['tokens']} tokens ({result['checked_by']})"
    )
