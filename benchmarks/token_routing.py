"""What repairs token routing on a finished run: each way tried, and how far it got.

Gates are fitted as the router stage does, then trained in each of several ways; every variant
answers the same validation rows. Retention: its CodeBLEU over that of the rows' own experts alone.

    python benchmarks/token_routing.py runs/demo recipes/demo.yaml [--rows 25] [--steps 150]
"""

import argparse
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from codemoe.data.prompt import encode_prompt
from codemoe.data.rows import Row
from codemoe.data.stage import read_split
from codemoe.evaluate.answers import held_out
from codemoe.evaluate.codebleu import score_corpus
from codemoe.models.generate import Route, generate_batch
from codemoe.models.load import CodeModel, load_mixture
from codemoe.models.routers_file import ROUTER_FILE
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe
from codemoe.router_config import GateTraining, RouterKind
from codemoe.train.gate_starts import start_gates
from codemoe.train.gate_training import train_gates
from codemoe.train.router_stage import labelled_rows

RESULTS = Path(__file__).parent / "results" / "token_routing.md"


@dataclass(frozen=True)
class Variant:
    name: str
    num_experts_per_tok: int = 1
    kind: RouterKind = "top-k"
    from_layer: int = 0
    shared: bool = False
    training: GateTraining | None = None  # None: fitted only
    activation: str | None = None  # the mixture's own when None


VARIANTS = (
    Variant("fitted"),
    Variant("label loss", training=GateTraining(language_model_loss=0)),
    Variant("language-model loss", training=GateTraining(label_loss=0)),
    Variant("both losses", training=GateTraining()),
    Variant("both, no cooling", training=GateTraining(start_temperature=0.3)),
    Variant("both losses, from layer 1 on", training=GateTraining(), from_layer=1),
    Variant("both losses, from layer 2 on", training=GateTraining(), from_layer=2),
    Variant("both losses, one gate for all layers", training=GateTraining(), shared=True),
    Variant("both losses, switch", kind="switch", training=GateTraining()),
    Variant("both losses, softmax", kind="softmax", training=GateTraining()),
    Variant("both losses, noisy top-2", 2, "noisy-top-k", training=GateTraining()),
    Variant("both losses, sigmoid top-2", 2, "sigmoid", training=GateTraining(bias_rate=1e-3)),
    Variant("fitted, top-2", 2),
    Variant("both losses, top-2", 2, training=GateTraining()),
    Variant("fitted, all experts weighted", 4),
    Variant("both losses, all experts weighted", 4, training=GateTraining()),
    Variant("both losses, experts on all tokens", training=GateTraining(), activation="all"),
)


@dataclass(frozen=True)
class Result:
    variant: Variant
    codebleu: float
    by_language: dict[str, float]
    right: float  # share of (layer, token) choices that went to the own expert
    seconds: float


def score(model: CodeModel, rows: Sequence[Row], route: Route, new_tokens: int) -> list[float]:
    prompts = [encode_prompt(model.tokenizer, row.text, row.language) for row in rows]
    answers = generate_batch(model, prompts, route, max_new_tokens=new_tokens)
    texts = [answer.text for answer in answers]
    scores = score_corpus([r.code for r in rows], texts, [r.language for r in rows])
    return [one.codebleu for one in scores.per_sample]


def measure(
    variant: Variant,
    recipe: Recipe,
    model: CodeModel,
    training: tuple[list[Row], list[int]],
    rows: Sequence[Row],
    steps: int,
) -> Result:
    assert model.mixture is not None
    activation = variant.activation or model.mixture.activation
    options = {
        name: getattr(variant, name)
        for name in ("num_experts_per_tok", "kind", "from_layer", "shared")
    }
    router = recipe.router.model_copy(update=options)
    gates, _ = start_gates(model, *training, recipe.model_copy(update={"router": router}))
    mixture = replace(model.mixture, token_routers=gates, activation=activation)
    model = replace(model, mixture=mixture)
    started = time.perf_counter()
    if variant.training is not None:
        settings = variant.training.model_copy(update={"steps": steps})
        longest = recipe.experts.train.max_length
        with tempfile.TemporaryDirectory() as folder:
            train_gates(model, gates, *training, settings, longest, recipe.seed, Path(folder))
    seconds = time.perf_counter() - started
    scores: list[float] = []
    right: list[float] = []
    for language in recipe.languages:
        own = [row for row in rows if row.language == language]
        prompts = [encode_prompt(model.tokenizer, row.text, row.language) for row in own]
        answers = generate_batch(
            model, prompts, Route("token"), max_new_tokens=recipe.eval.max_new_tokens
        )
        found = score_corpus(
            [r.code for r in own], [a.text for a in answers], [r.language for r in own]
        )
        scores += [one.codebleu for one in found.per_sample]
        index = mixture.experts.index(recipe.expert_of_language()[language])
        right += [
            sum(shares[index] for shares in answer.load_LE) / sum(g is not None for g in gates)
            for answer in answers
            if answer.load_LE
        ]
    languages = [row.language for row in rows]
    return Result(
        variant,
        sum(scores) / len(scores),
        {
            name: sum(s for s, one in zip(scores, languages, strict=True) if one == name)
            / languages.count(name)
            for name in recipe.languages
        },
        sum(right) / len(right),
        seconds,
    )


def own_experts(recipe: Recipe, model: CodeModel, rows: Sequence[Row]) -> dict[str, float]:
    """CodeBLEU of each language's expert alone, acting on all tokens."""
    result = {}
    for language in recipe.languages:
        own = [row for row in rows if row.language == language]
        expert = recipe.expert_of_language()[language]
        scores = score(
            model, own, Route("named", (expert,) * len(own), "all"), recipe.eval.max_new_tokens
        )
        result[language] = sum(scores) / len(scores)
    return result


def table(results: Sequence[Result], alone: dict[str, float], rows: int, steps: int) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    mean = sum(alone.values()) / len(alone)
    lines = [
        "# Token routing: what repairs it",
        "",
        f"`{shlex.join(['python', *sys.argv])}` at commit `{commit}`, {platform.processor() or ''} "
        f"{platform.machine()}, Python {platform.python_version()}.",
        "",
        f"{rows} validation rows a language; gates trained for {steps} steps. Their own experts "
        f"alone score {mean:.3f} ({', '.join(f'{n} {v:.3f}' for n, v in alone.items())}).",
        "",
        "| token gates | CodeBLEU | retention | "
        + " | ".join(alone)
        + " | choices that are right | seconds to train |",
        "|---|---|---|" + "---|" * len(alone) + "---|---|",
    ]
    for one in results:
        cells = [
            one.variant.name,
            f"{one.codebleu:.3f}",
            f"{one.codebleu / mean:.3f}",
            *(f"{one.by_language[name] / alone[name]:.3f}" for name in alone),
            f"{one.right:.3f}",
            f"{one.seconds:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a finished run, such as runs/demo")
    parser.add_argument("recipe", type=Path, help="its recipe")
    parser.add_argument("--rows", type=int, default=25, help="validation rows a language")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--only", nargs="*", help="names of variants")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe, [f"runs_dir={options.run.parent}"])
    model = load_mixture(options.run / "moe", options.run / "router" / ROUTER_FILE)
    rows = held_out(
        read_split(options.run / "data", "valid"), recipe.languages, options.rows, recipe.seed
    )
    alone = own_experts(recipe, model, rows)
    training = labelled_rows(
        read_split(options.run / "data", "train"), recipe, recipe.router.samples_per_expert
    )
    results = []
    for variant in VARIANTS:
        if options.only and variant.name not in options.only:
            continue
        results.append(measure(variant, recipe, model, training, rows, options.steps))
        text = table(results, alone, options.rows, options.steps)
        print(text.splitlines()[-1], flush=True)
        options.out.write_text(text)


if __name__ == "__main__":
    main()
