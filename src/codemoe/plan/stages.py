"""What each stage takes: memory on a GPU and on a CPU, disk, FLOPs."""

from dataclasses import dataclass, replace
from math import ceil

import torch

from codemoe.align_config import AlignConfig
from codemoe.evaluate.contenders import unavailable
from codemoe.plan.activations import activations, answering, gate_training, reading
from codemoe.plan.shape import (
    Shape,
    Trained,
    adapter_parameters,
    find_config,
    shape_of,
    trained_of,
)
from codemoe.recipe import LoraConfig, Recipe, TrainConfig
from codemoe.train.experts_stage import dense_budget
from codemoe.train.router_features import KINDS

# Read at once while router inputs are collected: `train.router_features`.
_PROMPT_ROWS, _ANSWER_ROWS = 32, 16
_GPU, _CPU = torch.bfloat16, torch.float32


@dataclass(frozen=True)
class Work:
    """FLOPs of matrix products that keep a device busy, and bytes of weights that decoding reads,
    one token after another."""

    flops: float = 0.0
    decoded_bytes: float = 0.0


@dataclass(frozen=True)
class StagePlan:
    """Peaks in bytes; `disk` stays, `disk_while_running` is gone when the stage is finished."""

    stage: str
    gpu_bytes: float = 0.0
    cpu_bytes: float = 0.0
    disk: float = 0.0
    disk_while_running: float = 0.0
    work: Work = Work()
    note: str = ""


@dataclass(frozen=True)
class RecipePlan:
    base: Shape
    expert_parameters: int
    num_experts: int
    stages: tuple[StagePlan, ...]
    whole_mlps: bool = False  # an expert's MLPs run in place of the base's

    @property
    def active_parameters(self) -> int:
        """For a token that one expert answers."""
        return self.base.total + (0 if self.whole_mlps else self.expert_parameters)

    @property
    def mixture_parameters(self) -> int:
        """Of the mixture, its routers aside."""
        return self.base.total + self.num_experts * self.expert_parameters


def plan_recipe(recipe: Recipe) -> RecipePlan:
    """The plan of every stage. Loads no weights. Raises UserError where the base is unknown."""
    config, found = find_config(recipe.base)
    base = shape_of(config, found)
    lora = trained_of(recipe.experts)
    expert = adapter_parameters(config, lora)
    num_experts = len(recipe.expert_filters)
    loaded = _weights(recipe, base, num_experts * expert)
    stages = (
        StagePlan("data", note="as large as the sources; no model is needed"),
        _base(recipe, base),
        _experts(recipe, base),
        *([_align(recipe, base, recipe.align)] if recipe.align else []),
        _merge(recipe, base, num_experts),
        StagePlan(
            "moe",
            gpu_bytes=loaded["gpu_bytes"],
            cpu_bytes=loaded["cpu_bytes"],
            disk=4.0 * num_experts * expert,
            note="loads once, to see that all experts fit",
        ),
        _router(recipe, base, num_experts, num_experts * expert),
        _eval(recipe, base, num_experts * expert),
        StagePlan("report", note="reads evaluations only"),
    )
    if recipe.base.quantization == "4bit":
        stages = tuple(_quantised_first(stage, base) for stage in stages)
    return RecipePlan(base, expert, num_experts, stages, lora == "mlps")


def _quantised_first(stage: StagePlan, base: Shape) -> StagePlan:
    """Where a stage holds the base in 4 bits, without a GPU: no less than its making takes, when
    all of the checkpoint has been read and is still mapped into memory."""
    if stage.stage not in ("experts", "align", "moe", "router", "eval") or not stage.cpu_bytes:
        return stage
    making = base.stored_bytes + base.bytes(_CPU.itemsize, "4bit")
    return replace(stage, cpu_bytes=max(stage.cpu_bytes, making))


def _weights(recipe: Recipe, base: Shape, adapters: int) -> dict[str, float]:
    """The base for inference and stacked adapters in the type it computes in."""
    kind = recipe.base.quantization
    quantized = kind == "4bit"
    unread = 0.0 if quantized else base.unread_bytes
    return {
        "gpu_bytes": base.bytes(2, kind) + 2.0 * adapters + _unpacked(base, 2, quantized),
        "cpu_bytes": base.bytes(4, kind) - unread + 4.0 * adapters + _unpacked(base, 4, quantized),
    }


def _unpacked(base: Shape, dtype_bytes: int, quantized: bool) -> float:
    """A 4-bit projection is unpacked whole before it multiplies."""
    return float(dtype_bytes * base.largest_projection) if quantized else 0.0


def _base(recipe: Recipe, base: Shape) -> StagePlan:
    scratch = recipe.base.from_scratch
    if scratch is None:
        local = base.found not in ("the hub's cache",) and "published" not in base.found
        return StagePlan(
            "base",
            disk=0.0 if local else base.stored_bytes,
            note="by reference" if local else "the download, in the hub's cache",
        )
    rows = max(1, scratch.batch_tokens // scratch.sequence_length)
    step = activations(base.config, None, rows, scratch.sequence_length, False, _CPU)
    tokens = scratch.steps * rows * scratch.sequence_length
    memory = 12.0 * base.total + step  # weights, two moments; gradients are in the step
    return StagePlan(
        "base",
        memory,
        memory,
        disk=4.0 * base.total,
        disk_while_running=2 * 12.0 * base.total,
        work=Work(_training_flops(base, tokens, scratch.sequence_length, 6)),
        note=f"{scratch.steps:,} steps from scratch, in float32",
    )


def training_bytes(
    base: Shape, lora: Trained, train: TrainConfig, quantization: str, dtype: torch.dtype
) -> float:
    """Peak of training one expert.

    Frozen weights; for each trained parameter 4 B and 8 B of AdamW's moments; and what a step
    keeps, its gradients included.
    """
    dtype_bytes = dtype.itemsize
    weights = base.bytes(dtype_bytes, quantization)
    if quantization == "4bit":
        # PEFT's prepare_model_for_kbit_training makes everything that is not 4-bit float32.
        weights += (base.total - base.linear) * (4 - dtype_bytes)
        weights += _unpacked(base, dtype_bytes, True)
    elif dtype is _CPU:
        weights -= base.unread_bytes
    width = _longest(train, base)
    step = activations(
        base.config, lora, train.batch_size, width, train.gradient_checkpointing, dtype
    )
    return weights + 12.0 * adapter_parameters(base.config, lora) + step


def _experts(recipe: Recipe, base: Shape) -> StagePlan:
    """Of the largest: one after another they are trained. Widths are max_length, so at most."""
    lora, train = trained_of(recipe.experts), recipe.experts.train
    num_experts = sum(one.checkpoint is None for one in recipe.expert_filters.values())
    if not num_experts and not recipe.experts.dense_baseline:
        return StagePlan("experts", note="all exist already: their files are copied")
    kinds: list[tuple[Trained, TrainConfig, int]] = [(lora, train, num_experts)]
    if not num_experts:
        kinds = []
    if recipe.experts.dense_baseline:
        low_rank = lora if isinstance(lora, LoraConfig) else None
        grown, longer = dense_budget(low_rank, train, len(recipe.expert_filters))
        kinds.append((grown or "mlps", longer, 1))
    sizes = [adapter_parameters(base.config, kind[0]) for kind in kinds]
    quantization = recipe.base.quantization
    flops = 0.0
    for one_lora, one, count in kinds:
        width = _longest(one, base)
        tokens = one.steps * one.gradient_accumulation_steps * one.batch_size * width
        a_token = 6 if one.gradient_checkpointing else 4  # forward again, for no weight gradients
        flops += count * _training_flops(base, tokens, width, a_token)
        # Whole MLPs run in the base's place: only their weights' gradients come on top.
        more = 6.0 if isinstance(one_lora, LoraConfig) else 2.0
        flops += count * more * adapter_parameters(base.config, one_lora) * tokens
    return StagePlan(
        "experts",
        max(training_bytes(base, k[0], k[1], quantization, _GPU) for k in kinds),
        max(training_bytes(base, k[0], k[1], quantization, _CPU) for k in kinds),
        disk=4.0 * sum(size * k[2] for size, k in zip(sizes, kinds, strict=True)),
        disk_while_running=max(sizes) * 12.0 * (3 if train.load_best_model_at_end else 2),
        work=Work(flops),
        note=f"{num_experts} experts"
        + (" and the dense baseline" if recipe.experts.dense_baseline else "")
        + f"; every sample as long as {train.max_length} tokens, so at most",
    )


def _align(recipe: Recipe, base: Shape, align: AlignConfig) -> StagePlan:
    """Sampling or training, whichever takes more; a pair is two rows. How many pairs there will be
    is not known, so as many as there may be."""
    lora, train = recipe.experts.lora, align.train
    num_experts = len(recipe.expert_filters)
    expert = adapter_parameters(base.config, lora)
    prompt, new = _prompt(recipe, base), align.max_new_tokens or recipe.eval.max_new_tokens
    tasks = num_experts * (align.max_tasks or recipe.data.max_rows_per_language or 1000)
    answers = tasks * align.samples_per_task
    width = min(train.max_length, _window(base) or train.max_length)
    by_pairs = align.method != "grpo"
    rows = train.batch_size * (2 if by_pairs else 1)
    learned = TrainConfig(batch_size=rows, max_length=width)
    quantization = recipe.base.quantization
    peaks = {}
    for name, dtype in (("gpu", _GPU), ("cpu", _CPU)):
        held = _weights(recipe, base, expert)[f"{name}_bytes"]
        sampling = held + answering(base.config, align.batch_size, prompt, new, dtype)
        training = training_bytes(base, lora, learned, quantization, dtype)
        peaks[name] = max(training, sampling if answers else 0.0)
    tokens = width * train.epochs * (2 * tasks * align.pairs_per_task if by_pairs else answers)
    # Forward and backward of the adapter, and the reference's forward.
    flops = _training_flops(base, tokens, width, 6) + 6.0 * expert * tokens
    flops += 2.0 * base.multiplied * (prompt + new) * answers
    batches = ceil(answers / align.batch_size)
    return StagePlan(
        "align",
        peaks["gpu"],
        peaks["cpu"],
        disk=4.0 * num_experts * expert + 4e3 * answers,
        disk_while_running=2 * 12.0 * expert,
        work=Work(flops, decoded_bytes=base.bytes(2, quantization) * new * batches),
        note=f"{align.method}: {answers:,} answers sampled and tested"
        + (f", {align.pairs_per_task} pairs a task at most" if by_pairs and answers else ""),
    )


def _merge(recipe: Recipe, base: Shape, num_experts: int) -> StagePlan:
    if not recipe.merge.methods:
        return StagePlan("merge", note="no methods")
    # Task vectors of one projection, their trimmed copies and the signs, in float32.
    temporary = 4.0 * base.largest_projection * (2 * num_experts + 4)
    return StagePlan(
        "merge",
        2.0 * base.total + temporary,
        4.0 * base.total + temporary,
        disk=2.0 * base.total * len(recipe.merge.methods),
        note=f"{', '.join(recipe.merge.methods)}: whole checkpoints, the base unquantised; twice "
        "the disk when made on a CPU, in float32",
    )


def _router(recipe: Recipe, base: Shape, num_experts: int, adapters: int) -> StagePlan:
    """Prompts are read, a router is fitted on every layer's inputs; answers are read, and a gate is
    fitted for each layer; gates may be trained then. The peak is that of the largest."""
    config, train = recipe.router, recipe.experts.train
    held = _weights(recipe, base, adapters)
    prompt, longest = _prompt(recipe, base), _longest(train, base)
    answer = max(1, longest - prompt)
    texts = config.samples_per_expert * num_experts
    samples = len(KINDS) * texts
    layers, width = base.num_layers, base.hidden_size
    read = 4.0 * layers * samples * 2 * width
    host = [read + fitting_bytes(samples, 2 * width, config.folds)]
    gates = recipe.steered_by_tokens
    tokens = num_experts * min(
        # Whole answers are read, so up to one more an expert.
        config.gate_tokens_per_expert + answer,
        config.samples_per_expert * answer,
    )
    tokens *= config.fit_rounds
    kept = 4.0 * layers * tokens * width if gates else 0.0
    if gates:
        shared = layers if config.shared else 1
        states = 4.0 * shared * tokens * width
        host.append(kept + states + fitting_bytes(shared * tokens, width, config.folds))
        if config.fit_rounds > 1:
            host.append(2 * kept)  # a round's states are put behind those of the rounds before
    peaks = {}
    for name, dtype in (("gpu", _GPU), ("cpu", _CPU)):
        on_host = 1.0 if name == "cpu" else 0.0
        steps = [on_host * read + reading(base.config, _PROMPT_ROWS, prompt, dtype)]
        if gates:
            # The last batch is the longest, and the only one that is not kept yet.
            before = max(0, tokens - _ANSWER_ROWS * answer) / tokens
            steps.append(
                on_host * before * kept + reading(base.config, _ANSWER_ROWS, longest, dtype)
            )
        if gates and config.train_gates is not None:
            rows = config.train_gates.batch_size
            lora = trained_of(recipe.experts)
            steps.append(gate_training(base.config, lora, num_experts, rows, longest, dtype))
        peaks[name] = max(steps + (host if name == "cpu" else []))
    flops = 2.0 * base.multiplied * (samples * prompt + tokens * 2 * gates)
    if gates and config.train_gates is not None:
        trained = config.train_gates.steps * config.train_gates.batch_size * longest
        flops += _training_flops(base, trained, longest, 4)
    return StagePlan(
        "router",
        held["gpu_bytes"] + peaks["gpu"],
        held["cpu_bytes"] + peaks["cpu"],
        disk=4.0 * layers * num_experts * width,
        work=Work(flops),
        note=f"router inputs of {texts:,} texts and {tokens:,} tokens, and the fit, are not on the "
        f"GPU but in the machine's memory: {max(host) / 1e9:.2f} GB",
    )


def fitting_bytes(samples: int, width: int, folds: int) -> float:
    """Of `routing.fit`, in float64: all samples, those of the other folds twice (as they are and
    centred), and three matrices of the normal equations."""
    rest = (folds - 1) / folds
    return 8.0 * samples * width * (1 + 2 * rest) + 3 * 8.0 * width**2


def _eval(recipe: Recipe, base: Shape, adapters: int) -> StagePlan:
    held = _weights(recipe, base, adapters)
    models = [name for name in recipe.eval.models if unavailable(name, recipe) is None]
    whole = any(name.startswith("merged-") for name in models)
    weights = {
        "gpu": max(held["gpu_bytes"], 2.0 * base.total if whole else 0.0),
        "cpu": max(held["cpu_bytes"], 4.0 * base.total if whole else 0.0),
    }
    prompt, new = _prompt(recipe, base), recipe.eval.max_new_tokens
    size = recipe.eval.batch_size
    asked = recipe.eval.samples_per_language * len(recipe.languages)
    batches = len(recipe.languages) * ceil(recipe.eval.samples_per_language / size)
    return StagePlan(
        "eval",
        weights["gpu"] + answering(base.config, size, prompt, new, _GPU),
        weights["cpu"] + answering(base.config, size, prompt, new, _CPU),
        disk=8e3 * asked * len(models),
        work=Work(
            2.0 * base.multiplied * (prompt + new) * asked * len(models),
            decoded_bytes=base.bytes(2, recipe.base.quantization) * new * batches * len(models),
        ),
        note=f"{len(models)} models, {asked} prompts, {new} new tokens each, so at most",
    )


def _window(base: Shape) -> int | None:
    return getattr(base.config, "max_position_embeddings", None)


def _longest(train: TrainConfig, base: Shape) -> int:
    """A training sample's tokens, at most."""
    return min(train.max_length, _window(base) or train.max_length)


def _prompt(recipe: Recipe, base: Shape) -> int:
    """A long prompt: half of the longest training sample."""
    return max(1, _longest(recipe.experts.train, base) // 2)


def _training_flops(base: Shape, tokens: int, width: int, a_token: int) -> float:
    """`a_token` per multiplied weight and token, and attention: 2 products of (T, T, D) a layer,
    causal, so half of them, forward, and twice that backward (arXiv:2204.02311, appendix B)."""
    attention = 3 * 2.0 * width * base.hidden_size * base.num_layers
    return tokens * (a_token * base.multiplied + attention)
