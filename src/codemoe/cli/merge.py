"""`codemoe merge` and `moe`: a stage of a recipe, or a whole recipe of mergekit's into a folder.

The file's keys tell which. `pipeline` registers both under the stage's name.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codemoe.cli.app import Json, print_json, quiet_libraries
from codemoe.errors import UserError

if TYPE_CHECKING:
    from codemoe.merge.options import Options

FileArg = Annotated[
    Path,
    typer.Argument(
        help="A codemoe recipe, or one of mergekit's.", show_default=False, metavar="RECIPE"
    ),
]
RestArg = Annotated[
    list[str] | None,
    typer.Argument(
        help="After a recipe of mergekit's: the folder to make. After codemoe's own: keys to "
        "change, such as name=mine experts.train.steps=50.",
        metavar="OUT | KEY=VALUE",
        show_default=False,
    ),
]
Prefer = Annotated[
    list[str] | None,
    typer.Option(
        help="Where models differ in a setting, whose the result has: chat_template=MODEL. MODEL "
        "is base, or as the recipe writes it. Can be repeated.",
        metavar="KEY=MODEL",
        show_default=False,
    ),
]
MaxMemory = Annotated[
    str, typer.Option(help="For weights, whatever the models' size.", metavar="SIZE")
]
ShardSize = Annotated[str, typer.Option(help="Of a file of the result, at most.", metavar="SIZE")]
Threads = Annotated[
    int, typer.Option(help="The result is the same for any number. 0: all cores.", min=0)
]
Seed = Annotated[int, typer.Option(min=0, help="For methods and gates that draw random numbers.")]
Force = Annotated[
    bool, typer.Option("--force", help="Make it again, even if it is finished or another's.")
]
Identical = Annotated[
    bool,
    typer.Option("--allow-identical", help="Models with the same weights are meant, not a slip."),
]
Rank = Annotated[
    int,
    typer.Option(help="Merge adapters into an adapter of this rank. 0: into whole weights.", min=0),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        help="For gate_mode: fitted. JSONL or Parquet of {text, code, language}; an expert is "
        "named by its folder. Can be repeated.",
        metavar="ROWS",
        show_default=False,
    ),
]


def _merge(stage: Callable[..., None]) -> Callable[..., None]:
    def merge(
        recipe: FileArg,
        rest: RestArg = None,
        prefer: Prefer = None,
        max_memory: MaxMemory = "512MB",
        shard_size: ShardSize = "1GB",
        threads: Threads = 0,
        seed: Seed = 0,
        rank: Rank = 0,
        allow_identical: Identical = False,
        force: Force = False,
        as_json: Json = False,
    ) -> None:
        """Dense merges: of a recipe, or of mergekit's.

        With a codemoe recipe, writes under runs/<name>/ merged/<method>/: a Hugging Face checkpoint
        a method. With one of mergekit's (merge_method, models or slices), streams the result into
        OUT in bounded memory. For example: codemoe merge ties.yaml merged-model
        """
        if _kind(recipe, "merge") is None:
            _only_recipes(prefer=prefer, rank=rank, allow_identical=allow_identical)
            stage(recipe, rest, force, as_json)
            return
        _start_lightly(one_thread=not rank)
        from codemoe.merge.command import merge_models

        options = _options(
            prefer, max_memory, shard_size, threads, seed, force, allow_identical, rank
        )
        result = merge_models(recipe, _out(recipe, rest, "merge"), options)
        _show(result, f"{result['method']} merge", as_json)

    return merge


def _moe(stage: Callable[..., None]) -> Callable[..., None]:
    def moe(
        recipe: FileArg,
        rest: RestArg = None,
        data: Data = None,
        prefer: Prefer = None,
        max_memory: MaxMemory = "512MB",
        shard_size: ShardSize = "1GB",
        threads: Threads = 0,
        seed: Seed = 0,
        allow_identical: Identical = False,
        force: Force = False,
        as_json: Json = False,
    ) -> None:
        """Experts under a router: a recipe's or mergekit-moe's.

        With a codemoe recipe, writes under runs/<name>/ moe/: the adapters and moe.json, the base
        by reference. With one of mergekit-moe's (base_model, experts, gate_mode), streams a Mixtral
        or Qwen-MoE checkpoint into OUT; experts may be dense models or LoRA adapters. For example:
        codemoe moe mixture.yaml my-mixtral
        """
        if _kind(recipe, "moe") is None:
            _only_recipes(prefer=prefer, allow_identical=allow_identical, data=data)
            stage(recipe, rest, force, as_json)
            return
        _start_lightly()
        from codemoe.merge.assemble.command import assemble

        quiet_libraries()  # gates may ask a model
        options = _options(prefer, max_memory, shard_size, threads, seed, force, allow_identical)
        result = assemble(recipe, _out(recipe, rest, "moe"), options, data or ())
        _show(result, f"{result['format']}, {len(result['experts'])} experts", as_json)

    return moe


# What a stage's own command is wrapped in, by the stage's name.
TWO_KINDS: dict[str, Callable[[Callable[..., None]], Callable[..., None]]] = {
    "merge": _merge,
    "moe": _moe,
}


def _start_lightly(*, one_thread: bool = True) -> None:
    """Without what libraries do at their start and nobody needs here; of a small model that is most
    of the time.

    Pydantic looks through all installed packages for plugins that would watch recipes being read.
    NumPy's BLAS starts a thread a core, and they spin for so long that they double the time of the
    import. Copies need no BLAS, and merges call it from threads of their own; the decompositions of
    --rank want every core.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    with _set("OPENBLAS_NUM_THREADS", "1") if one_thread else nullcontext():
        import numpy  # noqa: F401


@contextmanager
def _set(variable: str, value: str) -> Iterator[None]:
    """Within, where the user has said nothing else. The setting does not outlive what it is for:
    torch may have a BLAS of its own, and other programs have."""
    is_ours = variable not in os.environ
    if is_ours:
        os.environ[variable] = value
    yield
    if is_ours:
        del os.environ[variable]


def _kind(recipe: Path, verb: str) -> str | None:
    from codemoe.merge.mergekit import kind_of_file

    kind = kind_of_file(recipe)
    if kind not in (None, verb):
        raise UserError(
            f"{recipe} is a recipe of mergekit{'-moe' if kind == 'moe' else ''}'s for `{kind}`",
            f"codemoe {kind} {recipe} OUT",
        )
    return kind


def _only_recipes(**options: object) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        name = given[0].replace("_", "-")
        raise UserError(
            f"--{name} is for recipes of mergekit's; a codemoe recipe has keys for such things",
            "change a key instead, as in merge.density=0.3",
        )


def _out(recipe: Path, rest: list[str] | None, verb: str) -> Path:
    if not rest or len(rest) > 1:
        found = f"{len(rest)} arguments after it" if rest else "none"
        raise UserError(
            f"{recipe} is a recipe of mergekit's, so one folder to make is expected; found {found}",
            f"codemoe {verb} {recipe} OUT",
        )
    return Path(rest[0])


def _options(
    prefer: list[str] | None,
    max_memory: str,
    shard_size: str,
    threads: int,
    seed: int,
    force: bool,
    allow_identical: bool,
    rank: int = 0,
) -> "Options":
    from codemoe.disk import parse_size
    from codemoe.merge.options import Options

    chosen = {}
    for text in prefer or ():
        key, equals, model = text.partition("=")
        if not equals or not key or not model:
            raise UserError(
                f"cannot read --prefer {text}", "write KEY=MODEL, such as chat_template=base"
            )
        chosen[key] = model
    return Options(
        prefer=chosen,
        max_memory=parse_size(max_memory),
        shard_bytes=parse_size(shard_size, "--shard-size"),
        threads=threads,
        seed=seed,
        force=force,
        allow_identical=allow_identical,
        rank=rank,
    )


def _show(result: dict[str, Any], what: str, as_json: bool) -> None:
    if as_json:
        print_json(result)
    elif result["made"]:
        size, seconds = result["bytes"] / 1e6, result["seconds"]
        print(f"{result['path']}: {what}, {size:,.1f} MB in {seconds:.1f} s")
    else:
        print(f"{result['path']}: finished before")
