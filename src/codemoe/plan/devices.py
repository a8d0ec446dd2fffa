"""What fits where, how long it would take there, and what to change where it does not fit."""

from collections.abc import Iterator
from dataclasses import dataclass

from codemoe.plan.stages import RecipePlan, StagePlan, plan_recipe
from codemoe.recipe import Recipe
from codemoe.recipe_file import apply_override, make_recipe, parse_override

# A share of a datasheet's peak that well-fed training reaches (arXiv:2204.02311, table 3: 21 to
# 46 %), and of its bandwidth that decoding does. Assumptions, not measurements.
UTILISATION = 0.35
BANDWIDTH_SHARE = 0.6
_CONTEXT = 0.6e9  # CUDA's own, kernels included
_FRAGMENTS = 0.95  # of the memory before the allocator's gaps stop it


@dataclass(frozen=True)
class Device:
    """A GPU for its class: memory in GiB, dense 16-bit FLOP/s and byte/s of its datasheet."""

    memory_gib: int
    name: str
    flops: float
    bandwidth: float

    @property
    def usable(self) -> float:
        return self.memory_gib * 2**30 * _FRAGMENTS - _CONTEXT

    def hours(self, stage: StagePlan) -> float:
        """Of this GPU; decoding waits for the weights, everything else for arithmetic."""
        work = stage.work
        computing = work.flops / (self.flops * UTILISATION)
        reading = work.decoded_bytes / (self.bandwidth * BANDWIDTH_SHARE)
        return max(computing, reading) / 3600


DEVICES = (
    Device(16, "T4", 65e12, 320e9),
    Device(24, "RTX 4090", 165e12, 1008e9),
    Device(48, "L40S", 362e12, 864e9),
    Device(80, "A100", 312e12, 2039e9),
)


@dataclass(frozen=True)
class Fit:
    """Whether a recipe runs on a device; if not, the overrides with which it does (`mended`) or
    the stages that are too large whatever is changed."""

    device: Device
    too_large: tuple[str, ...]
    hours: float
    change: tuple[str, ...] = ()
    mended: bool = False
    still_too_large: tuple[str, ...] = ()


def fit(recipe: Recipe, plan: RecipePlan, device: Device) -> Fit:
    hours = sum(device.hours(stage) for stage in plan.stages)
    large = too_large(plan, device)
    if not large:
        return Fit(device, (), hours)
    changes: dict[str, str] = {}
    current, left = recipe, large
    tried: set[str] = set()
    while left:
        override = next((o for o in _candidates(current, left) if o not in tried), None)
        if override is None:
            break
        tried.add(override)
        changes[override.partition("=")[0]] = override
        current = _with(current, _accumulating(current, override, changes))
        left = too_large(plan_recipe(current), device)
    return Fit(device, large, hours, tuple(changes.values()), not left, left)


def too_large(plan: RecipePlan, device: Device) -> tuple[str, ...]:
    return tuple(s.stage for s in plan.stages if s.gpu_bytes > device.usable)


def _candidates(recipe: Recipe, stages: tuple[str, ...]) -> Iterator[str]:
    """What makes the stages smaller, the least harmful first."""
    train, base = recipe.experts.train, recipe.base
    if "experts" in stages:
        if not train.gradient_checkpointing:
            yield "experts.train.gradient_checkpointing=true"
        if _can_be_4bit(recipe):
            yield "base.quantization=4bit"
        if train.batch_size > 1:
            yield f"experts.train.batch_size={train.batch_size // 2}"
        if train.max_length > 256:
            yield f"experts.train.max_length={train.max_length // 2}"
    if "align" in stages and recipe.align is not None:
        if recipe.align.train.batch_size > 1 and recipe.align.method != "grpo":
            yield f"align.train.batch_size={recipe.align.train.batch_size // 2}"
        if recipe.align.batch_size > 1:
            yield f"align.batch_size={recipe.align.batch_size // 2}"
        if _can_be_4bit(recipe):
            yield "base.quantization=4bit"
    if "base" in stages and base.from_scratch is not None:
        tokens, length = base.from_scratch.batch_tokens, base.from_scratch.sequence_length
        if tokens > length:
            yield f"base.from_scratch.batch_tokens={max(length, tokens // 2)}"
    if {"eval", "router", "moe"} & set(stages):
        if "eval" in stages and recipe.eval.batch_size > 1:
            yield f"eval.batch_size={recipe.eval.batch_size // 2}"
        if _can_be_4bit(recipe):
            yield "base.quantization=4bit"
    if {"merge", "eval"} & set(stages) and recipe.merge.methods:
        yield "merge.methods=[]"


def _can_be_4bit(recipe: Recipe) -> bool:
    """Whether a recipe says neither that it is nor what needs the weights whole."""
    base, experts = recipe.base, recipe.experts
    whole = experts.method == "full" or experts.train.parallelism == "fsdp2"
    return base.model is not None and base.quantization == "none" and not whole


def _accumulating(recipe: Recipe, override: str, changes: dict[str, str]) -> list[str]:
    """A smaller batch is made up for by more of them a step."""
    if not override.startswith("experts.train.batch_size="):
        return [override]
    key = "experts.train.gradient_accumulation_steps"
    train = recipe.experts.train
    size = int(override.partition("=")[2])
    more = train.gradient_accumulation_steps * train.batch_size // size
    changes[key] = f"{key}={more}"
    return [override, changes[key]]


def _with(recipe: Recipe, overrides: list[str]) -> Recipe:
    tree = recipe.model_dump(mode="json")
    for override in overrides:
        keys, value = parse_override(override)
        tree = apply_override(tree, keys, value)
    return make_recipe(tree)
