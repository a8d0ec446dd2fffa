"""`codemoe moe MERGEKIT-MOE.yaml OUT`: dense models or adapters become one sparse checkpoint."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codemoe.errors import UserError
from codemoe.merge import output
from codemoe.merge.assemble.gates import data_files, make_gates
from codemoe.merge.assemble.plan import family_for, outside_mlps, tensors
from codemoe.merge.assemble.recipe import MoeRecipe, load_moe
from codemoe.merge.card import write_card
from codemoe.merge.compatible import (
    SPECIAL,
    TEMPLATE,
    VOCAB_SIZE,
    VOCABULARY,
    Choices,
    check_models,
    merged_config,
)
from codemoe.merge.model import Model, fingerprint, open_model
from codemoe.merge.options import Options
from codemoe.merge.same import check_distinct
from codemoe.merge.tokens import copy_files
from codemoe.merge.work import output_dtype, work_for
from codemoe.models.export.families import Family, sparse_config
from codemoe.models.storage.dtypes import ITEM_BYTES
from codemoe.models.storage.read import Files
from codemoe.models.storage.write import Tensor, lay_out
from codemoe.progress import say

KIND = "sparse"
_SAMPLE_BYTES = 1 << 12


def assemble(path: Path, out: Path, options: Options, data: Sequence[str] = ()) -> dict[str, Any]:
    """Make the mixture of a mergekit-moe recipe; what was made, for --json.

    Attention, norms and embeddings are the base's, MLPs the experts'. Raises UserError for what
    does not fit, WorkError when the disk is too small; nothing is left behind then.
    """
    started = time.monotonic()
    recipe = load_moe(path)
    _check_counts(recipe)
    files = Files()
    try:
        base = open_model(recipe.base_model, path.parent)
        experts = [open_model(e.source_model, path.parent, base) for e in recipe.experts]
        shared_models = [
            open_model(e.source_model, path.parent, base) for e in recipe.shared_experts or ()
        ]
        everyone = [base, *experts, *shared_models]
        to, family = family_for(recipe, base)
        config = _config(recipe, everyone, options, data)
        told = {"path": str(out), "format": to, "experts": [m.text for m in experts]}
        if output.is_made(out, KIND, config, options.force):
            say(f"{out} is finished and is what this recipe makes; nothing to do")
            seconds = round(time.monotonic() - started, 3)
            return told | {"made": False, "bytes": 0, "notes": [], "seconds": seconds}
        choices = check_models(everyone, options.prefer)
        for key in (VOCABULARY, VOCAB_SIZE):
            if choices.of.get(key, base) is not base:
                raise UserError(
                    f"--prefer {key}={choices.of[key].text}: a mixture has the base's embeddings",
                    f"--prefer {key}=base, or make that model the base_model",
                )
        notes = check_distinct(experts, base, files, options.allow_identical)
        notes += _left_behind(family, base, experts, files)
        for note in notes:
            say(f"note: {note}")
        gates = make_gates(recipe, base, experts, files, options.seed, data)
        work = work_for(everyone, files, options, output_dtype(recipe.dtype))
        shared = shared_models[0] if shared_models else None
        planned = tensors(recipe, family, base, experts, shared, gates, work)
        shards = lay_out(planned, options.shard_bytes)
        with output.made_in(out) as partial:
            hashes = output.write_weights(shards, partial, config, f"moe {to}", options.num_threads)
            config_json = _sparse(recipe, family, base, choices, planned)
            output.write_json(partial / "config.json", config_json)
            tokens_of = choices.of.get(SPECIAL, base)
            copy_files(tokens_of, (), choices.of.get(TEMPLATE, base), None, partial)
            write_card(partial / "README.md", "moe", path, family.architecture, everyone)
            inputs = {model.text: fingerprint(model) for model in everyone}
            output.write_manifest(partial, KIND, config, inputs, hashes, options.seed, started)
        return told | {
            "made": True,
            "bytes": sum(shard.num_bytes for shard in shards),
            "notes": notes,
            "seconds": round(time.monotonic() - started, 3),
        }
    finally:
        files.close()


def _check_counts(recipe: MoeRecipe) -> None:
    if recipe.experts_per_token > len(recipe.experts):
        raise UserError(
            f"experts_per_token is {recipe.experts_per_token}, but there are "
            f"{len(recipe.experts)} experts",
            f"experts_per_token: {len(recipe.experts)} or fewer",
        )


def _config(
    recipe: MoeRecipe, models: Sequence[Model], options: Options, data: Sequence[str]
) -> dict[str, Any]:
    """All that the result depends on."""
    return {
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
        "models": {model.text: fingerprint(model) for model in models},
        "data": data_files(data),
        "prefer": dict(options.prefer),
        "shard_bytes": options.shard_bytes,
        "seed": options.seed,
    }


def _sparse(
    recipe: MoeRecipe, family: Family, base: Model, choices: Choices, planned: Sequence[Tensor]
) -> dict[str, Any]:
    config = sparse_config(family, merged_config(base, choices), len(recipe.experts), "bfloat16")
    config["num_experts_per_tok"] = recipe.experts_per_token
    if recipe.shared_experts:
        config["shared_expert_intermediate_size"] = config["intermediate_size"]
    output.set_dtype(config, planned)
    return config


def _left_behind(family: Family, base: Model, experts: Sequence[Model], files: Files) -> list[str]:
    """What experts have learned outside of their MLPs: the mixture has the base's there."""

    def differs(one: Model, other: Model, name: str) -> bool:
        mine, theirs = one.tensors[name], other.tensors.get(name)
        if theirs is None or mine.dtype != theirs.dtype or mine.shape != theirs.shape:
            return theirs is not None
        if mine == theirs:
            return False
        width = ITEM_BYTES[mine.dtype]
        size = min(mine.num_bytes, _SAMPLE_BYTES) // width * width
        pair = np.empty((2, size), np.uint8)
        files.read(mine, 0, pair[0])
        files.read(theirs, 0, pair[1])
        return not np.array_equal(pair[0], pair[1])

    notes = []
    for expert in experts:
        lost = outside_mlps(family, base, expert, differs)
        if lost:
            notes.append(
                f"{expert.text} differs from the base in {len(lost)} tensors outside of its MLPs "
                f"(such as {lost[0]}); the mixture has the base's there, so it loses what that "
                "expert learned in them"
            )
    return notes
