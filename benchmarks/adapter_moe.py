"""The adapter MoE against the bare base, and against PEFT's mixed-adapter batch and X-LoRA.

Tokens per second of prefill and decode, memory (`first_token.py` has the time to the first token).
All share the weights of one random model and its LoRA experts, must agree before any is timed, and
run in turn.
    python benchmarks/adapter_moe.py [--settings 1x512 16x128] [--device cuda ...]
"""

# B batch, T tokens, E experts
import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

import peft
import torch
import transformers
from paired import RESULTS, in_turn, median_and_range, provenance, publish, ratios, wait_for
from torch import nn
from transformers import MistralConfig, MistralForCausalLM

from codemoe.data.prompt import EncodedPrompt, encode_prompt
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.decoding import Batch, Decoder, left_pad
from codemoe.models.load import CodeModel, attach_experts, load_tokenizer
from codemoe.models.reference import BaseReference
from codemoe.recipe import BUILTIN, LoraConfig
from codemoe.routing.routers import LinearRouter
from codemoe.train.sft import lora_config

MIB = 2**20


@dataclass(frozen=True)
class Setting:
    """So many prompts of so many tokens."""

    rows: int
    tokens: int

    @classmethod
    def parse(cls, text: str) -> "Setting":
        rows, _, tokens = text.partition("x")
        return cls(int(rows), int(tokens))

    def __str__(self) -> str:
        return f"{self.rows} x {self.tokens}"


@dataclass(frozen=True)
class Contender:
    name: str
    decoder: Callable[[Batch], Any]  # has `prefill` and `step`, as `Decoder`
    steps: int  # of decoding
    gates: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True)
class Seconds:
    prefill: float
    token: float  # each decoding step


class PeftBatch:
    """PEFT's model with one adapter a row; for one row, its active adapter, which is quicker."""

    def __init__(self, model: Any, names: Sequence[str]) -> None:
        self.config = model.get_base_model().config
        self.call = partial(model, adapter_names=list(names)) if len(names) > 1 else model

    def __call__(self, **inputs: Any) -> Any:
        return self.call(**inputs)


class Rereading:
    """X-LoRA decodes without a cache: each pass would write into it twice."""

    def __init__(self, model: Any, batch: Batch) -> None:
        self.model = model
        self.ids_BT = batch.input_ids_BT

    def prefill(self, start: int, end: int) -> torch.Tensor:
        out = self.model(input_ids=self.ids_BT, use_cache=False, logits_to_keep=1)
        return out.logits[:, -1]

    def step(self, token_B: torch.Tensor) -> torch.Tensor:
        self.ids_BT = torch.cat([self.ids_BT, token_B[:, None]], 1)
        return self.prefill(0, self.ids_BT.shape[1])


def bare_base(options: argparse.Namespace) -> CodeModel:
    torch.manual_seed(0)
    heads = max(1, options.hidden // 128)
    config = MistralConfig(
        vocab_size=options.vocabulary,
        hidden_size=options.hidden,
        intermediate_size=options.intermediate,
        num_hidden_layers=options.layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 4),
        sliding_window=None,
    )
    model = MistralForCausalLM(config).to(options.device, getattr(torch, options.dtype)).eval()
    return CodeModel(model, load_tokenizer(BaseReference(BUILTIN)))


def on_the_same_weights(model: nn.Module) -> Any:
    return copy.deepcopy(model, {id(p): p for p in model.parameters()})


def peft_experts(base: CodeModel, names: Sequence[str], rank: int, folder: Path) -> Any:
    """PEFT's model with random experts, each also saved into `folder`."""
    model: Any = on_the_same_weights(base.model)
    config = lora_config(model, LoraConfig(rank=rank))
    model = peft.get_peft_model(model, config, names[0], autocast_adapter_dtype=False)
    for name in names[1:]:
        model.add_adapter(name, config, autocast_adapter_dtype=False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.03)
    model.save_pretrained(str(folder), save_embedding_layers=False)
    return model.eval()


def x_lora(base: CodeModel, adapters: Sequence[Path]) -> Any:
    """Its classifier always says the first, so that its output is known; it runs all anyway."""
    model: Any = on_the_same_weights(base.model)
    model.config.use_cache = False
    config = peft.XLoraConfig(
        task_type="CAUSAL_LM",
        hidden_size=model.config.hidden_size,
        # It looks adapters up by number, whatever their names.
        adapters={str(i): str(path) for i, path in enumerate(adapters)},
    )
    model = peft.get_peft_model(model, config).eval()
    last = model.base_model.internal_xlora_classifier.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(1e4 * (torch.arange(len(adapters)) == 0))
    return model


def random_router(mixture: CodeModel, width: int) -> LinearRouter:
    assert mixture.mixture is not None
    weight_ED = torch.randn(len(mixture.mixture.experts), width)
    return LinearRouter(weight_ED, torch.zeros(len(weight_ED))).to(mixture.model.device)


def with_gates(mixture: CodeModel) -> CodeModel:
    assert mixture.mixture is not None
    config = mixture.model.config
    gates = tuple(
        random_router(mixture, config.hidden_size) for _ in range(config.num_hidden_layers)
    )
    return replace(mixture, mixture=replace(mixture.mixture, token_routers=gates))


def random_prompts(base: CodeModel, setting: Setting) -> list[EncodedPrompt]:
    """Random instructions, each with the true marker at its end."""
    sample = encode_prompt(base.tokenizer, "add")
    marker = sample.input_ids[sample.marker_start :]
    start = setting.tokens - len(marker)
    generator = torch.Generator().manual_seed(0)
    size = min(len(base.tokenizer), base.model.config.vocab_size)
    ids_BT = torch.randint(3, size, (setting.rows, start), generator=generator)
    return [EncodedPrompt((*row, *marker), start) for row in ids_BT.tolist()]


def contenders(
    base: CodeModel, mixture: CodeModel, in_peft: Any, in_x_lora: Any, rows: int, steps: int
) -> list[Contender]:
    assert mixture.mixture is not None
    layers, routers = mixture.mixture.layers, mixture.mixture.token_routers
    experts_B = torch.arange(rows) % layers.num_experts
    gates_B1E = one_hot_gates(experts_B, layers.num_experts).to(base.model.device)
    named = PeftBatch(in_peft, [mixture.mixture.experts[i] for i in experts_B.tolist()])
    of_mixture = partial(Decoder, mixture.model)
    return [
        Contender("base", partial(Decoder, base.model), steps),
        Contender("codemoe", of_mixture, steps, partial(layers.use, gates_B1E)),
        Contender("codemoe, token gates", of_mixture, steps, partial(layers.use_tokens, routers)),
        Contender("PEFT", partial(Decoder, named), steps),
        Contender("PEFT X-LoRA", partial(Rereading, in_x_lora), 1),
    ]


def logits(contender: Contender, batch: Batch) -> torch.Tensor:
    """(2, B, V): after the prompt, and after one more token, the same for all."""
    with torch.inference_mode(), contender.gates():
        decoder = contender.decoder(batch)
        first_BV = decoder.prefill(0, batch.width)
        return torch.stack([first_BV, decoder.step(batch.input_ids_BT[:, -1])]).float()


def check_agreement(found: Sequence[Contender], batch: Batch, bound: float) -> None:
    """The mixture routed to experts = PEFT with those adapters, and not the base."""
    out = {c.name: logits(c, batch) for c in found}
    own = out["codemoe"]

    def gap(name: str, rows: slice) -> float:
        other = out[name][:, rows]
        return float((own[:, rows] - other).abs().max() / other.abs().max())

    # X-LoRA is set to the expert of the first row.
    for name, rows in (("PEFT", slice(None)), ("PEFT X-LoRA", slice(1))):
        if gap(name, rows) > bound:
            raise SystemExit(
                f"codemoe computes something else than {name}: relative gap {gap(name, rows):.2g}"
            )
    if gap("base", slice(None)) < 2 * bound:
        raise SystemExit("these experts do not matter, so that agreement says nothing")


def timed(contender: Contender, batch: Batch) -> Seconds:
    device = batch.input_ids_BT.device.type
    with torch.inference_mode(), contender.gates():
        decoder = contender.decoder(batch)
        wait_for(device)
        started = time.perf_counter()
        logits_BV = decoder.prefill(0, batch.width)
        wait_for(device)
        read = time.perf_counter()
        for _ in range(contender.steps):
            logits_BV = decoder.step(logits_BV.argmax(-1))
        wait_for(device)
        return Seconds(read - started, (time.perf_counter() - read) / contender.steps)


def speed_rows(setting: Setting, seconds: dict[str, list[Seconds]]) -> list[str]:
    lines = []
    for name, found in seconds.items():
        cells = []
        for part, tokens in (("prefill", setting.rows * setting.tokens), ("token", setting.rows)):
            own = [getattr(s, part) for s in found]
            of_base = ratios([getattr(s, part) for s in seconds["base"]], own)
            cells += [f"{tokens / median(own):.1f}", median_and_range(of_base)]
        lines.append(f"| {setting} | {name} | {' | '.join(cells)} |")
    return lines


def weights_mib(model: nn.Module) -> float:
    tensors = [*model.parameters(), *model.buffers()]
    return sum(t.nbytes for t in tensors) / MIB


def running_mib(contender: Contender, batch: Batch) -> float:
    """The most that tensors made while it runs, the cache among them, hold at a time."""
    if batch.input_ids_BT.is_cuda:
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        timed(contender, batch)
        return (torch.cuda.max_memory_allocated() - before) / MIB
    cpu = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[cpu], profile_memory=True) as profile:
        timed(contender, batch)
    events = profile.profiler.kineto_results.events()
    changes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    return max(accumulate(size for _, size in sorted(changes))) / MIB


def memory_rows(setting: Setting, sizes: dict[str, tuple[float, float]]) -> list[str]:
    """From (weights, running) of each model."""
    lines = []
    weights_of_base, running_of_base = sizes["base"]
    for name, (weights, running) in sizes.items():
        of_base = (weights + running) / (weights_of_base + running_of_base)
        lines.append(
            f"| {setting} | {name} | {weights:.1f} | {weights / weights_of_base:.3f} "
            f"| {weights + running:.1f} | {of_base:.3f} |"
        )
    return lines


def document(
    options: argparse.Namespace, arguments: Sequence[str], base: CodeModel, tables: dict[str, Any]
) -> list[str]:
    parameters = sum(p.numel() for p in base.model.parameters()) / 1e6
    versions = f"transformers {transformers.__version__}, peft {peft.__version__}"
    return [
        "# The adapter MoE beside its base, and beside PEFT",
        "",
        f"A random model of Mistral's shape: {parameters:.0f}M parameters, {options.layers} layers "
        f"of {options.hidden} -> {options.intermediate}, a vocabulary of {options.vocabulary}, "
        f"{options.dtype}; {options.experts} LoRA experts of rank {options.rank} on its MLPs. "
        "Prompts are given as rows x tokens; row i runs expert i modulo "
        f"{options.experts}, on all tokens. Medians of {options.repeats} runs in turn; ratios are "
        "of runs in one turn (median, and range).",
        "",
        *provenance("adapter_moe.py", arguments, options.device, versions),
        "",
        "## Prefill and decode",
        "",
        "`codemoe` is routed by name or sequence, `codemoe, token gates` by a router in every "
        "layer. `PEFT` is its mixed-adapter batch (`adapter_names`) or, for one row, its active "
        f"adapter. Decode: {options.steps} tokens with the cache; `PEFT X-LoRA` reads the whole "
        "text again for each token, because its two passes cannot share a cache.",
        "",
        "| prompts | model | prefill tokens/s | of the base | decode tokens/s | of the base |",
        "|---|---|---|---|---|---|",
        *tables["speed"],
        "",
        "## Memory",
        "",
        "Peak: the weights and the most that tensors hold beside them while the prompts are read "
        f"and {options.steps} tokens are decoded.",
        "",
        "| prompts | model | weights MiB | times the base | peak MiB | times the base |",
        "|---|---|---|---|---|---|",
        *tables["memory"],
    ]


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experts", type=int, default=4)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--intermediate", type=int, default=3584)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    defaults = [Setting(1, 512), Setting(16, 128)]
    parser.add_argument("--settings", type=Setting.parse, nargs="+", default=defaults)
    parser.add_argument("--steps", type=int, default=16)
    add_model_arguments(parser)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "adapter_moe.md")
    options = parser.parse_args(arguments)
    transformers.logging.set_verbosity_error()

    base = bare_base(options)
    tables: dict[str, list[str]] = {"speed": [], "memory": []}
    with tempfile.TemporaryDirectory() as folder:
        # Not numbers: saving adapter "0", PEFT would drop layer 1 for belonging to adapter "1".
        names = [f"expert-{i}" for i in range(options.experts)]
        in_peft = peft_experts(base, names, options.rank, Path(folder))
        adapters = {name: Path(folder, name) for name in names}
        same = replace(base, model=on_the_same_weights(base.model))
        mixture = with_gates(attach_experts(same, adapters, "completion"))
        in_x_lora = x_lora(base, list(adapters.values()))
    for setting in options.settings:
        prompts = random_prompts(base, setting)
        batch = left_pad(prompts, base.tokenizer.pad_token_id, base.model.device)
        found = contenders(base, mixture, in_peft, in_x_lora, setting.rows, options.steps)
        check_agreement(found, batch, 0.05 if options.dtype == "bfloat16" else 1e-4)
        runs = {c.name: partial(timed, c, batch) for c in found}
        tables["speed"] += speed_rows(setting, in_turn(runs, options.repeats, options.warmup))
        sizes = {
            c.name: (weights_mib(model), running_mib(c, batch))
            for c, model in zip(found, (base.model, mixture.model), strict=False)
        }
        tables["memory"] += memory_rows(setting, sizes)
    publish(document(options, arguments, base, tables), options.out)


if __name__ == "__main__":
    main(sys.argv[1:])
