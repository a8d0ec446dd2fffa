"""`codemoe serve` against `transformers serve` on the same weights, over HTTP.

Time to the first token (a whole answer of one token, alone), tokens a second of one request alone,
and of 16 at once. The servers run side by side and are asked in turn; idle ones use no processor.
    python benchmarks/serving.py [--tokens 96] [--words 40] [--repeats 5]
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

import fastapi
import transformers
from adapter_moe import add_model_arguments
from paired import RESULTS, in_turn, median_and_range, provenance, publish, ratios
from servers import prompt, save_mixture, server, together

ROWS = 16


@dataclass(frozen=True)
class Contender:
    url: str
    model: str


@dataclass(frozen=True)
class Found:
    first_s: float
    alone: float  # tokens a second
    batch: float


def measure(contender: Contender, numbers: "count[int]", words: int, tokens: int) -> Found:
    async def ask() -> Found:
        url, model = contender.url, contender.model
        _, first_s = await together(url, model, [prompt(next(numbers), words)], 1)
        (one,), alone_s = await together(url, model, [prompt(next(numbers), words)], tokens)
        texts = [prompt(next(numbers), words) for _ in range(ROWS)]
        answers, batch_s = await together(url, model, texts, tokens)
        return Found(first_s, one.tokens / alone_s, sum(a.tokens for a in answers) / batch_s)

    return asyncio.run(ask())


def rows(found: dict[str, list[Found]]) -> list[str]:
    theirs = found["transformers serve"]
    lines = []
    for name, runs in found.items():
        gain = ratios([run.batch for run in runs], [run.alone for run in runs])
        beside = ratios([run.batch for run in runs], [run.batch for run in theirs])
        lines.append(
            f"| {name} | {1e3 * median(run.first_s for run in runs):.0f} "
            f"| {median(run.alone for run in runs):.1f} "
            f"| {median(run.batch for run in runs):.1f} "
            f"| {median_and_range(gain)} | {median_and_range(beside)} |"
        )
    return lines


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--continuous-batching", action="store_true", help="transformers' own, too")
    add_model_arguments(parser)
    parser.add_argument("--out", type=Path, default=RESULTS / "serving.md")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, ExitStack() as servers:
        folder = save_mixture(options, Path(name))
        base = str(folder / "base")
        ours = ["-m", "codemoe", "serve", str(folder), "--name", "mixture", "--port", "{port}"]
        theirs = ["-m", "transformers.cli.transformers", "serve", base, "--port", "{port}"]
        theirs += ["--dtype", options.dtype, "--device", options.device]
        url, _ = servers.enter_context(server(ours))
        plain, _ = servers.enter_context(server(theirs))
        contenders = {
            "codemoe serve, routed to an expert": Contender(url, "mixture"),
            "codemoe serve, the base alone": Contender(url, "base"),
            "transformers serve": Contender(plain, base),
        }
        if options.continuous_batching:
            # Room for the 16 requests several times over; left to itself it takes most of memory.
            room = (
                "--cb-block-size",
                "32",
                "--cb-num-blocks",
                "256",
                "--cb-max-batch-tokens",
                "2048",
            )
            words = [*theirs, "--continuous-batching", *room]
            batching, _ = servers.enter_context(server(words))
            contenders["transformers serve --continuous-batching"] = Contender(batching, base)
        numbers = count()
        runs = {
            key: partial(measure, one, numbers, options.words, options.tokens)
            for key, one in contenders.items()
        }
        for one in contenders.values():
            measure(one, numbers, options.words, 4)
        found = in_turn(runs, options.repeats, warmup=0)
    packages = f"transformers {transformers.__version__}, fastapi {fastapi.__version__}"
    publish(
        [
            "# Serving",
            "",
            f"A random model of Mistral's shape: {options.layers} layers of {options.hidden}, "
            f"{options.dtype}; {options.experts} LoRA experts of rank {options.rank} on its MLPs. "
            f"Prompts of {options.words} words, greedy answers of {options.tokens} tokens, over "
            f"HTTP on the loopback. First token: a whole answer of one token, alone. Medians of "
            f"{options.repeats} runs in turn; ratios are of runs in one turn (median, and range).",
            "",
            *provenance("serving.py", arguments, options.device, packages),
            "",
            f"| server | first token, ms | tokens/s alone | tokens/s, {ROWS} at once "
            f"| {ROWS} at once / alone | {ROWS} at once / transformers serve |",
            "|---|---|---|---|---|---|",
            *rows(found),
        ],
        options.out,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
