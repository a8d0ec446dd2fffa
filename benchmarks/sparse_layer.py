"""Forward and backward of the sparse layer, against a dense MLP of the same active FLOPs and
against Hugging Face's Mixtral block under each of its implementations.

All sparse contenders hold the same weights and use the same router, and must agree before any is
timed. They run in turn, in an order that rotates, so that each ratio compares neighbours in time.

    python benchmarks/sparse_layer.py [--tokens 2048 4096] [--top-k 1 2] [--device cuda ...]
"""

# N tokens, D model, F hidden, E experts

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import psutil
import torch
import transformers
from paired import RESULTS, in_turn, median_and_range, provenance, publish, ratios, wait_for
from torch import nn
from transformers import MistralConfig, MixtralConfig
from transformers.models.mistral.modeling_mistral import MistralMLP
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock, MixtralTopKRouter

from codemoe.models.sparse_moe import Experts, SparseMoe, StackedLinear
from codemoe.routing.record import Routing

HUGGING_FACE = ("eager", "batched_mm", "grouped_mm")
_ONE_HEAD = {"num_attention_heads": 1, "num_key_value_heads": 1}  # there is no attention here


@dataclass(frozen=True)
class Contender:
    name: str
    forward: Callable[[torch.Tensor], torch.Tensor]
    module: nn.Module  # whose gradients are dropped between runs


@dataclass(frozen=True)
class Measured:
    """One setting: seconds of each contender by repetition, and why some were not run."""

    tokens: int
    top_k: int
    seconds: dict[str, list[float]]
    left_out: dict[str, str]


class MixtralRouter(nn.Module):
    """Mixtral's own gate, so that routing is the same and costs the same on both sides."""

    def __init__(self, gate: MixtralTopKRouter) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x_ND: torch.Tensor) -> Routing:
        logits_NE, weights_NK, experts_NK = self.gate(x_ND)
        return Routing(weights_NK, experts_NK, logits_NE.softmax(-1), logits_NE)


def contenders(
    options: argparse.Namespace, tokens: int, top_k: int
) -> tuple[list[Contender], dict[str, str]]:
    """Dense, ours, and Hugging Face's block under each implementation that fits into memory."""
    place = {"device": options.device, "dtype": getattr(torch, options.dtype)}
    dense_config = MistralConfig(
        hidden_size=options.hidden,
        intermediate_size=options.intermediate * top_k,
        **_ONE_HEAD,
    )
    dense = MistralMLP(dense_config).to(**place)
    config = MixtralConfig(
        hidden_size=options.hidden,
        intermediate_size=options.intermediate,
        num_local_experts=options.experts,
        num_experts_per_tok=top_k,
        **_ONE_HEAD,
    )
    block = MixtralSparseMoeBlock(config)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(0, parameter.shape[-1] ** -0.5)
    block = block.to(**place)
    gate_EFD, up_EFD = block.experts.gate_up_proj.detach().chunk(2, 1)
    experts = Experts(
        StackedLinear(up_EFD.clone()),
        StackedLinear(block.experts.down_proj.detach().clone()),
        nn.SiLU(),
        StackedLinear(gate_EFD.clone()),
    )
    ours = SparseMoe(MixtralRouter(block.gate), experts)
    found = [Contender("dense MLP", dense, dense), Contender("codemoe", ours, ours)]
    left_out = {}
    for name in HUGGING_FACE:
        gathered = tokens * top_k * 3 * options.hidden * options.intermediate * up_EFD.itemsize
        free = (
            torch.cuda.mem_get_info()[0]
            if options.device == "cuda"
            else psutil.virtual_memory().available
        )
        # batched_mm copies the weights once for every token, and again for their gradients.
        if name == "batched_mm" and 3 * gathered > free / 2:
            left_out[f"HF {name}"] = (
                f"its copies of the weights need {3 * gathered / 2**30:.0f} GiB"
            )
            continue

        def forward(x_BTD: torch.Tensor, name: str = name) -> torch.Tensor:
            config._experts_implementation = name
            return block(x_BTD)

        found.append(Contender(f"HF {name}", forward, block))
    return found, left_out


def check_agreement(found: Sequence[Contender], x_BTD: torch.Tensor) -> None:
    with torch.no_grad():
        outputs = {c.name: c.forward(x_BTD).float() for c in found if c.name != "dense MLP"}
    expected = outputs["HF eager"]
    bound = 0.05 if x_BTD.dtype == torch.bfloat16 else 1e-4
    for name, output in outputs.items():
        gap = float((output - expected).abs().max() / expected.abs().max())
        if gap > bound:
            raise SystemExit(
                f"{name} computes something else than HF eager: relative gap {gap:.2g}"
            )


def timed(contender: Contender, x_BTD: torch.Tensor, grad_BTD: torch.Tensor) -> float:
    contender.module.zero_grad(set_to_none=True)
    x_BTD.grad = None
    wait_for(x_BTD.device.type)
    started = time.perf_counter()
    contender.forward(x_BTD).backward(grad_BTD)
    wait_for(x_BTD.device.type)
    return time.perf_counter() - started


def measure(options: argparse.Namespace, tokens: int, top_k: int) -> Measured:
    torch.manual_seed(0)
    found, left_out = contenders(options, tokens, top_k)
    place = {"device": options.device, "dtype": getattr(torch, options.dtype)}
    x_BTD = torch.randn(1, tokens, options.hidden, **place).requires_grad_()
    grad_BTD = torch.randn(1, tokens, options.hidden, **place)
    check_agreement(found, x_BTD)
    runs = {c.name: partial(timed, c, x_BTD, grad_BTD) for c in found}
    return Measured(tokens, top_k, in_turn(runs, options.repeats, options.warmup), left_out)


def rows(measured: Measured) -> list[str]:
    lines = []
    for name, seconds in measured.seconds.items():
        to_dense = ratios(seconds, measured.seconds["dense MLP"])
        to_ours = ratios(seconds, measured.seconds["codemoe"])
        lines.append(
            f"| {measured.tokens} | {measured.top_k} | {name} | {1e3 * median(seconds):.1f} "
            f"| {median_and_range(to_dense)} | {median(to_ours):.3f} |"
        )
    for name, why in measured.left_out.items():
        lines.append(f"| {measured.tokens} | {measured.top_k} | {name} | not run: {why} | | |")
    return lines


def document(
    options: argparse.Namespace, arguments: Sequence[str], table: Sequence[str]
) -> list[str]:
    versions = f"transformers {transformers.__version__}"
    return [
        "# The sparse layer, forward and backward",
        "",
        f"One layer of {options.experts} experts, {options.hidden} -> {options.intermediate} "
        f"-> {options.hidden}, {options.dtype}. The dense MLP is as wide as the experts that "
        "one token runs, so it has the same active FLOPs, and no router. Medians of "
        f"{options.repeats} runs in turn; ratios are of runs in one turn.",
        "",
        *provenance("sparse_layer.py", arguments, options.device, versions),
        "",
        "| tokens | top-k | layer | median ms | times the dense MLP (range) | times codemoe |",
        "|---|---|---|---|---|---|",
        *table,
    ]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048, 4096])
    parser.add_argument("--top-k", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--experts", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--intermediate", type=int, default=2816)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS / "sparse_layer.md")
    options = parser.parse_args(arguments)
    table = []
    for top_k in options.top_k:
        for tokens in options.tokens:
            table += rows(measure(options, tokens, top_k))
    publish(document(options, arguments, table), options.out)


if __name__ == "__main__":
    main(sys.argv[1:])
