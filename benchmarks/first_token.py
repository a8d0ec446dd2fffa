"""Time to the first token: route, then activate, against the bare base.

`generate_batch` with the sequence router (the base reads the prompt, the router chooses, the expert
acts from the marker on, all in one pass) and the same function on the base alone, in turn.
    python benchmarks/first_token.py [--settings 1x256 16x64] [--router-layers 0 1] [--device cuda]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import transformers
from adapter_moe import (
    Setting,
    add_model_arguments,
    bare_base,
    on_the_same_weights,
    peft_experts,
    random_prompts,
    random_router,
)
from paired import RESULTS, in_turn, median_and_range, provenance, publish, ratios, wait_for

from codemoe.data.prompt import EncodedPrompt
from codemoe.models.generate import Route, generate_batch
from codemoe.models.load import CodeModel, attach_experts
from codemoe.models.routers_file import SequenceRouter


def first_token(model: CodeModel, prompts: Sequence[EncodedPrompt], route: Route) -> float:
    wait_for(model.model.device.type)
    started = time.perf_counter()
    generate_batch(model, prompts, route, max_new_tokens=1)
    wait_for(model.model.device.type)
    return time.perf_counter() - started


def routed_at(mixture: CodeModel, layer: int) -> CodeModel:
    assert mixture.mixture is not None
    router = random_router(mixture, 2 * mixture.model.config.hidden_size)
    sequence = SequenceRouter(layer, router)
    return replace(mixture, mixture=replace(mixture.mixture, sequence_router=sequence))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    defaults = [Setting(1, 256), Setting(1, 512), Setting(16, 64)]
    parser.add_argument("--settings", type=Setting.parse, nargs="+", default=defaults)
    parser.add_argument("--router-layers", type=int, nargs="+", default=[0, 1, 2, 4])
    add_model_arguments(parser)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "first_token.md")
    options = parser.parse_args(arguments)
    transformers.logging.set_verbosity_error()
    base = bare_base(options)
    with tempfile.TemporaryDirectory() as folder:
        names = [f"expert-{i}" for i in range(options.experts)]
        peft_experts(base, names, options.rank, Path(folder))
        same = replace(base, model=on_the_same_weights(base.model))
        adapters = {name: Path(folder, name) for name in names}
        mixture = attach_experts(same, adapters, "completion")
    rows = []
    for setting in options.settings:
        prompts = random_prompts(base, setting)
        named = Route("named", tuple(names[i % len(names)] for i in range(setting.rows)))
        runs = {
            "base": partial(first_token, base, prompts, Route("none")),
            "expert named, no routing": partial(first_token, mixture, prompts, named),
        } | {
            f"router at layer {layer}": partial(
                first_token, routed_at(mixture, layer), prompts, Route("sequence")
            )
            for layer in options.router_layers
        }
        found = in_turn(runs, options.repeats, options.warmup)
        for name, seconds in found.items():
            of_base = median_and_range(ratios(seconds, found["base"]))
            rows.append(f"| {setting} | {name} | {1e3 * median(seconds):.1f} | {of_base} |")
    parameters = sum(p.numel() for p in base.model.parameters()) / 1e6
    marker = options.settings[0].tokens - random_prompts(base, options.settings[0])[0].marker_start
    document = [
        "# Time to the first token",
        "",
        f"A random model of Mistral's shape: {parameters:.0f}M parameters, {options.layers} "
        f"layers, {options.dtype}; {options.experts} LoRA experts of rank {options.rank} on its "
        "MLPs. Prompts are given as rows x tokens, the last "
        f"{marker} of them the marker. Up to the router's layer the marker is read once for each "
        "expert; at layer 0, where no expert has acted yet, once. Medians of "
        f"{options.repeats} runs in turn; ratios are of runs in one turn (median, and range).",
        "",
        *provenance(
            "first_token.py", arguments, options.device, f"transformers {transformers.__version__}"
        ),
        "",
        "| prompts | model | ms | times the base |",
        "|---|---|---|---|",
        *rows,
    ]
    publish(document, options.out)


if __name__ == "__main__":
    main(sys.argv[1:])
