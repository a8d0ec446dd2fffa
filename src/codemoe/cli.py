"""The command line: thin. Each command imports what it needs when it runs."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codemoe import __version__
from codemoe.errors import MissedThreshold, UserError

if TYPE_CHECKING:
    from codemoe.artifacts import Redo
    from codemoe.pipeline import Outcome, Stage
    from codemoe.recipe import Recipe

app = typer.Typer(
    name="codemoe",
    help="Turn one dense language model into a proven mixture of programming-language experts.",
    epilog="Start with: codemoe demo --fast. Exit codes: 0 done, 1 the work failed, 2 bad input.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RecipeArg = Annotated[
    Path, typer.Argument(help="The recipe, a YAML file.", show_default=False, metavar="RECIPE")
]
OverridesArg = Annotated[
    list[str] | None,
    typer.Argument(
        help="Change keys of the recipe, such as name=mine experts.train.steps=50 "
        "'languages=[python, c++]'. Values are YAML.",
        metavar="KEY=VALUE",
        show_default=False,
    ),
]
RunForce = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Make finished stages again where settings or inputs have changed; keep the others.",
    ),
]
StageForce = Annotated[
    bool, typer.Option("--force", help="Make this stage again, even if it is finished.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _quiet_libraries() -> None:
    """Libraries' own bars and notices would bury ours. Read when they are imported."""
    import warnings

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    warnings.filterwarnings("ignore")


def _run(
    recipe_path: Path, overrides: list[str] | None, stages: "tuple[Stage, ...]", redo: "Redo"
) -> "tuple[Recipe, list[Outcome], MissedThreshold | None]":
    """Run stages; a missed threshold still leaves a result to show."""
    from codemoe.pipeline import run_stages
    from codemoe.recipe_file import load_recipe

    recipe = load_recipe(recipe_path, overrides)
    _quiet_libraries()
    outcomes: list[Outcome] = []
    try:
        run_stages(recipe, stages, redo, outcomes.append)
    except MissedThreshold as error:
        return recipe, outcomes, error
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this stopped", file=sys.stderr)
        raise
    return recipe, outcomes, None


def _run_all(
    recipe_path: Path, overrides: list[str] | None, force: bool, as_json: bool = False
) -> None:
    from codemoe.pipeline import STAGES

    recipe, _, missed = _run(recipe_path, overrides, STAGES, "different" if force else "never")
    from codemoe.terminal import read_summary, show_result

    if as_json:
        _print_json(read_summary(recipe))
    else:
        show_result(recipe)
    if missed is not None:
        raise missed


@app.command()
def demo(
    fast: Annotated[
        bool, typer.Option("--fast", help="Under two minutes: fewer steps, fewer problems.")
    ] = False,
    force: RunForce = False,
    as_json: Json = False,
    out: Annotated[str, typer.Option(help="Where runs are kept.", metavar="FOLDER")] = "runs",
) -> None:
    """The whole pipeline on built-in data; no downloads.

    Trains four experts on the base that ships with codemoe, joins them under a router, measures
    everything on held-out problems and writes a report. About ten minutes on two CPU cores.
    """
    from codemoe.demo import recipe_path

    _run_all(recipe_path(fast), [f"runs_dir={json.dumps(out)}"], force, as_json)


@app.command()
def run(
    recipe: RecipeArg,
    overrides: OverridesArg = None,
    force: RunForce = False,
    as_json: Json = False,
) -> None:
    """Every stage of a recipe, resumable.

    Finished stages are skipped. Stopped at any point, the same command goes on where it was. With
    --json, standard output holds report/summary.json and nothing else.
    """
    _run_all(recipe, overrides, force, as_json)


def _stage_command(stage: "Stage") -> None:
    def command(
        recipe: RecipeArg,
        overrides: OverridesArg = None,
        force: StageForce = False,
        as_json: Json = False,
    ) -> None:
        redo: Redo = "always" if force else "never"
        loaded, outcomes, missed = _run(recipe, overrides, (stage,), redo)
        if as_json:
            done = [asdict(outcome) for outcome in outcomes]
            _print_json({"run": str(loaded.run_dir), "stages": done})
        if missed is not None:
            raise missed

    command.__doc__ = f"{stage.summary}\n\nWrites, under runs/<name>/, {stage.writes}."
    app.command(stage.name)(command)


def _stage_commands() -> None:
    from codemoe.pipeline import STAGES

    for stage in STAGES:
        _stage_command(stage)


_stage_commands()


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
    codemoe generate runs/demo "Sum of the even numbers" --trace, or --compare for every expert's.
    """
    from codemoe.languages import get_language

    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
    if not text.strip():
        raise UserError("the text is empty", 'codemoe generate MODEL "Sum of the even numbers"')
    named = get_language(language).name if language else None
    _quiet_libraries()
    from codemoe.models import ask
    from codemoe.models.sampling import Sampling

    sampling = Sampling(temperature, top_p, seed)
    if compare:
        if expert or follow_fences:
            raise UserError("--compare asks every expert; leave out --expert and --follow-fences")
        compared = ask.compare(model, text, named, max_new_tokens, sampling)
        if as_json:
            _print_json(compared)
        else:
            from codemoe.terminal import show_compared

            show_compared(compared)
        return
    result = ask.answer(
        model, text, named, max_new_tokens, sampling, expert=expert, follow_fences=follow_fences
    )
    if as_json:
        _print_json(result)
        return
    print(result["text"])
    if trace:
        from codemoe.terminal import show_trace

        show_trace(result)


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
    _quiet_libraries()
    from codemoe.train.add_expert import add_expert as add

    made = add(model, adapter, name, data, languages=language or (), out=out, force=force)
    if as_json:
        _print_json(made)
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
    _quiet_libraries()
    from codemoe.models.export.command import export_model

    result = export_model(model, out, to, activation=activation, max_memory=max_memory, force=force)
    if as_json:
        _print_json(result)
        return
    print(f"{result['path']}: {to}, {result['bytes'] / 1e6:,.1f} MB, {result['seconds']:.0f} s")
    print(
        f"logits differ from the mixture's by at most {result['max_abs_logit_difference']:.1e} "
        f"over {result['tokens']} tokens ({result['checked_by']})"
    )


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
        _print_json(result)
        return
    low, high = result["interval"]
    floor = "none" if result["floor"] is None else f"{result['floor']:.4f}"
    print(f"CodeBLEU {result['codebleu']:.4f}  [{low:.4f}, {high:.4f}]  n = {result['n']}")
    for key in ("ngram_match", "weighted_ngram_match", "syntax_match", "dataflow_match"):
        value = result[key]
        print(f"  {key:<22} {'none' if value is None else f'{value:.4f}'}")
    print(f"  wrong-answer floor     {floor}\n  empty predictions      {result['empty']}")


@app.command()
def execute(
    suite: Annotated[Path, typer.Argument(help="Native suite, .jsonl or .jsonl.gz.")],
    samples: Annotated[Path | None, typer.Option(help="JSONL of {id, completion|program}.")] = None,
    canonical: Annotated[bool, typer.Option("--canonical", help="Run the solutions.")] = False,
    results: Annotated[
        Path | None, typer.Option(help="Append verdicts here; rows in it are not run again.")
    ] = None,
    k: Annotated[str, typer.Option(help="pass@k for these k, comma separated.")] = "1",
    as_json: Json = False,
) -> None:
    """Run programs against their tests; pass@k.

    Programs run in a sandbox: no network, no files of yours, limited time and memory.
    """
    from codemoe.evaluate.execute import execute_suite
    from codemoe.progress import progress

    if canonical == (samples is not None):
        raise UserError("give either --samples FILE or --canonical", "codemoe execute --help")
    try:
        ks = tuple(int(part) for part in k.split(","))
    except ValueError:
        raise UserError(f"--k is {k!r}; expected numbers such as 1,10") from None
    with progress("execute", _count_rows(samples or suite), "programs") as advance:
        result = execute_suite(
            suite, samples, results, ks, on_result=lambda verdict: advance(1, "")
        )
    if as_json:
        _print_json(result)
        return
    print(f"passed {result['passed']} of {result['n']} (sandbox: {result['sandbox_tier']})")
    for language, part in result["by_language"].items():
        print(f"  {language:<12} {part['passed']:>5} of {part['n']:<5} {part['by_status']}")
    for key, value in result["pass_at_k"].items():
        print(f"  pass@{key} = {'none' if value is None else f'{value:.4f}'}")


def _count_rows(path: Path) -> int:
    """For the progress bar only: what is wrong with the file is said by its reader."""
    import gzip
    import zlib

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return sum(1 for line in file if line.strip())
    except (OSError, EOFError, zlib.error):
        return 0


@app.command()
def doctor(as_json: Json = False) -> None:
    """What works on this machine, and what to type for the rest."""
    from codemoe.doctor import examine

    found = examine()
    if as_json:
        _print_json(found)
        return
    from codemoe.terminal import show_doctor

    show_doctor(found)


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
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
