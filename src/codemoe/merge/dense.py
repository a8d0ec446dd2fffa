"""Merge LoRA experts into one dense checkpoint: the baseline that every mixture must beat."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from codemoe.errors import UserError
from codemoe.models.adapter_moe import weight_update
from codemoe.models.adapters import check_fits, load_adapter
from codemoe.models.load import CodeModel
from codemoe.progress import progress


@torch.no_grad()
def merge_into(
    base: CodeModel,
    adapters: Sequence[Path],
    combine: Callable[[Sequence[torch.Tensor]], torch.Tensor],
    out: Path,
    name: str,
) -> None:
    """Write base + combine(exact task vectors B A of the adapters) as a Hugging Face checkpoint.

    Changes the weights of `base` in place. One projection at a time is held in full.
    """
    if getattr(base.model, "is_loaded_in_4bit", False):
        raise UserError(
            "experts are not merged into 4-bit weights: that would round them away",
            "the merge stage loads the base in full precision",
        )
    experts = [load_adapter(folder) for folder in adapters]
    for folder, expert in zip(adapters, experts, strict=True):
        check_fits(base.model, expert, f"the adapter {folder}")
    paths = sorted({path for expert in experts for path in expert})
    with progress(f"merge {name}", len(paths), "tensors") as advance:
        for path in paths:
            projection = base.model.get_submodule(path)
            weight = projection.get_parameter("weight")
            deltas = [
                weight_update(projection, expert[path])
                if path in expert
                else torch.zeros(weight.shape)
                for expert in experts
            ]
            weight.add_(combine(deltas).to(weight.device, weight.dtype))
            advance(1, "")
    base.model.save_pretrained(out)
    base.tokenizer.save_pretrained(out)
