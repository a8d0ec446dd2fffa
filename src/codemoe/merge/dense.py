"""Merge LoRA experts into one dense checkpoint: the baseline that every mixture must beat."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codemoe.artifacts import HASHES
from codemoe.merge import output
from codemoe.merge.model import Model, open_model
from codemoe.merge.options import Options
from codemoe.merge.plan import tensors
from codemoe.merge.recipe import MergeRecipe, Source
from codemoe.merge.tokens import copy_files
from codemoe.merge.work import work_for
from codemoe.models.storage.read import Files
from codemoe.models.storage.write import lay_out


def method_recipe(name: str, count: int, density: float, weight: float) -> dict[str, Any]:
    """A recipe's merge method in the words of the table: `average`, `slerp` or `ties`.

    `average` is the mean of the task vectors, `slerp` their mean on the sphere (for two models
    SLERP's middle, for more Multi-SLERP), `ties` the method of the paper without weights of models,
    scaled by `weight` (lambda).
    """
    if name == "average":
        return {"merge_method": "task_arithmetic", "parameters": {"weight": 1 / count}}
    if name == "slerp":
        return {"merge_method": "multislerp", "parameters": {"weight": 1 / count}}
    return {
        "merge_method": name,
        "parameters": {"weight": 1.0, "density": density, "lambda": weight},
    }


def merge_adapters(
    base: Path, adapters: Sequence[Path], method: Mapping[str, Any], out: Path, name: str
) -> None:
    """Write base + merged task vectors (B A, exactly) as a Hugging Face checkpoint into `out`.

    Nothing but a few blocks of weights is in memory. The result is in float32, so that no update
    is rounded away, unless the base is stored in bfloat16. Raises UserError for an adapter of
    another base before anything is written.
    """
    files = Files()
    try:
        whole = open_model(str(base), base)
        models = {whole.text: whole}
        for adapter in adapters:
            text = f"{base}+{adapter}"
            models[text] = open_model(text, base)
        recipe = MergeRecipe(
            models=tuple(Source(model=text) for text in models if text != whole.text),
            base_model=whole.text,
            **method,
        )
        options = Options({})
        dtype = "BF16" if _is_bfloat16(whole) else "F32"
        work = work_for(list(models.values()), files, options, dtype)
        planned = tensors(recipe, models, work, None, whole.tied)
        config = dict(whole.config)
        output.set_dtype(config, planned)
        shards = lay_out(planned, options.shard_bytes)
        hashes = output.write_weights(
            shards, out, recipe.model_dump(mode="json"), f"merge {name}", options.num_threads
        )
        output.write_json(out / HASHES, hashes)
        output.write_json(out / "config.json", config)
        copy_files(whole, (), None, None, out)
    finally:
        files.close()


def _is_bfloat16(model: Model) -> bool:
    return {stored.dtype for stored in model.tensors.values()} == {"BF16"}
