"""The recipe in small: the same keys, with every number that only costs time made small."""

from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from codemoe.eval_config import SuiteConfig
from codemoe.recipe import Recipe, ScratchConfig, TrainConfig
from codemoe.recipe_file import make_recipe
from codemoe.smoke.base import SmallBase
from codemoe.smoke.samples import Sampled

SUFFIX = "-smoke"
_STEPS = 4
_LONGEST = 1024  # tokens, at least, where a tokenizer stands in


def shrink(
    recipe: Recipe,
    sampled: Sampled,
    base: SmallBase | None,
    base_dir: Path,
    align: dict[str, Any] | None = None,
    checkpoints: Mapping[str, str] | None = None,
    left_out: Collection[SuiteConfig] = (),
) -> Recipe:
    """`base` is the small one in `base_dir`; None where the recipe trains its own from scratch.
    `align` is that section in small, `checkpoints` are those of experts that exist already;
    suites that are `left_out` are not asked."""
    suites = [suite for suite in recipe.eval.suites if suite not in left_out]
    tree = recipe.model_dump(mode="json")
    tree["name"] = recipe.name + SUFFIX
    tree["data"] |= {
        "sources": [source.model_dump(mode="json") for source in sampled.sources],
        # Few rows: each split needs some. A split that the recipe does without stays empty.
        "valid_fraction": 0.25 if recipe.data.valid_fraction else 0.0,
        "test_fraction": 0.25 if recipe.data.test_fraction else 0.0,
        "min_rows_per_language": min(recipe.data.min_rows_per_language, 4),
    }
    if not sampled.parsable:
        tree["data"]["max_parse_error"] = 1.0
    if recipe.base.from_scratch is not None:
        tree["base"]["from_scratch"] = _scratch(recipe.base.from_scratch)
    else:
        quantization = recipe.base.quantization
        tree["base"] = {
            "model": str(base_dir.resolve()),
            "quantization": quantization if can_quantize() else "none",
        }
    own_tokenizer = base is None or base.own_tokenizer
    for name, folder in (checkpoints or {}).items():
        tree["experts"]["define"][name] |= {"checkpoint": folder, "revision": None}
    tree["experts"]["train"] = _train(recipe.experts.train, own_tokenizer)
    tree["router"] |= {
        "samples_per_expert": min(recipe.router.samples_per_expert, 12),
        "gate_tokens_per_expert": min(recipe.router.gate_tokens_per_expert, 1000),
        "folds": 2,
        "from_layer": _from_layer(recipe, None if base is None else base.num_layers),
    }
    if recipe.router.train_gates is not None:
        gates = recipe.router.train_gates
        tree["router"]["train_gates"] |= {
            "steps": min(gates.steps, 2),
            "batch_size": min(gates.batch_size, 4),
        }
    tree["eval"] |= {
        "samples_per_language": min(recipe.eval.samples_per_language, 2),
        "max_new_tokens": min(recipe.eval.max_new_tokens, 12),
        "batch_size": min(recipe.eval.batch_size, 8),
        "suites": [_suite(suite) for suite in suites],
    }
    tree["align"] = align
    return make_recipe(tree, f"the recipe of {recipe.name} in small")


def can_quantize() -> bool:
    return find_spec("bitsandbytes") is not None


def _scratch(config: ScratchConfig) -> dict[str, Any]:
    shared = config.num_key_value_heads != config.num_attention_heads
    length = min(config.sequence_length, 64)
    return config.model_dump(mode="json") | {
        "vocab_size": min(config.vocab_size, 512),
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": (1 if config.num_key_value_heads == 1 else 2) if shared else 4,
        "intermediate_size": 96,
        "max_position_embeddings": max(config.max_position_embeddings, _LONGEST),
        "steps": min(config.steps, _STEPS),
        "batch_tokens": min(config.batch_tokens, 4 * length),
        "sequence_length": length,
        "warmup_steps": min(config.warmup_steps, 1),
        "checkpoint_steps": min(config.checkpoint_steps, 2),
    }


def _train(train: TrainConfig, own_tokenizer: bool) -> dict[str, Any]:
    processes = _processes(train.num_processes)
    small: dict[str, Any] = {
        "steps": min(train.steps, _STEPS),
        "batch_size": min(train.batch_size, 2),
        "gradient_accumulation_steps": processes
        * min(train.gradient_accumulation_steps // train.num_processes, 2),
        "num_processes": processes,
        "warmup_steps": min(train.warmup_steps, 1),
        "logging_steps": 1,
        "checkpoint_steps": min(train.checkpoint_steps, 2),
        "max_eval_samples": min(train.max_eval_samples, 4),
        "report_to": [],  # a smoke run is nobody's experiment
    }
    if not own_tokenizer:
        small["max_length"] = max(train.max_length, _LONGEST)
    if train.eval_steps is not None:
        small["eval_steps"] = min(train.eval_steps, 2, small["steps"])
    return train.model_dump(mode="json") | small


def _processes(wanted: int) -> int:
    """As many as the recipe says where there are GPUs; two show on a CPU what more would."""
    import torch

    return wanted if torch.cuda.is_available() else min(wanted, 2)


def _from_layer(recipe: Recipe, num_layers: int | None) -> int:
    """Within the small base if it is within the real one; otherwise as it is, and as wrong."""
    wanted = recipe.router.from_layer
    scratch = recipe.base.from_scratch
    layers = scratch.num_hidden_layers if scratch is not None else num_layers
    return wanted if layers is not None and wanted >= layers else min(wanted, 1)


def _suite(suite: SuiteConfig) -> dict[str, Any]:
    samples = min(suite.samples, 2)
    return suite.model_dump(mode="json") | {
        "samples": samples,
        "k": sorted({min(k, samples) for k in suite.k}),
        "limit": min(suite.limit or 2, 2),
        "max_new_tokens": min(suite.max_new_tokens or 12, 12),
    }
