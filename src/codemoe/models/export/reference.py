"""The mixture's own logits under token routing, in float32: what a sparse export must reproduce."""

# B sequences, T tokens, N = B T, E experts, V vocabulary, O output features, D input features

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from codemoe.errors import WorkError
from codemoe.models.adapter_moe import LoraFactors, MixtureLayers
from codemoe.models.adapters import attach_experts_to
from codemoe.models.export.check import Rounding, logits_of, open_stock
from codemoe.models.export.checkpoint import Checkpoint
from codemoe.models.export.source import Source
from codemoe.models.full_mlps import ExpertMlps
from codemoe.routing.record import Routing
from codemoe.routing.routers import LinearRouter, build_router, describe_router

# Two gates nearer than this (relative to the largest gate logit) may order themselves either way in
# two correct float32 computations, and hard routing then runs another expert.
_NEAR_TIE = 1e-4


@dataclass(frozen=True)
class Reference:
    """`logits_BTV` of the mixture whose weights are rounded to the export's dtype."""

    logits_BTV: torch.Tensor
    settled_BT: torch.Tensor  # no near tie in any layer, here or before in the sequence
    rounding: Rounding | None  # None: that dtype is float32, nothing was rounded


def merged_weight(
    base: Checkpoint, path: str, factors: LoraFactors | torch.Tensor | None
) -> torch.Tensor:
    """One expert's full projection, W + B A in float32 (the scaling is inside B), or its own."""
    if isinstance(factors, torch.Tensor):
        return factors.float()
    weight_OD = base.read(f"{path}.weight").float()
    if factors is None:
        return weight_OD
    return torch.addmm(weight_OD, factors.b_OR, factors.a_RD)


def token_reference(
    source: Source, ids_BT: torch.Tensor, dtype: torch.dtype, max_memory: int, scratch: Path
) -> Reference:
    """Run the mixture with its token gates, experts acting on all tokens."""
    model = open_stock(source.base_dir, max_memory, scratch)
    layers = attach_experts_to(model, source.factors)
    with layers.use_tokens(source.token_routers) as records:
        exact_BTV = logits_of(model, ids_BT)
    if dtype == torch.float32:
        return Reference(exact_BTV, _settled(records, ids_BT), None)
    gates = [_of_dtype(router, dtype) for router in source.gates]
    with layers.use_tokens(gates) as records, _rounded(layers, source, dtype, records):
        logits_BTV = logits_of(model, ids_BT)
    settled_BT = _settled(records, ids_BT)
    difference_BTV = (logits_BTV - exact_BTV).abs()
    rounding = Rounding(
        max_abs=float(difference_BTV.max()),
        mean_abs=float(difference_BTV.mean()),
        same_top_token=float((logits_BTV.argmax(-1) == exact_BTV.argmax(-1)).float().mean()),
    )
    return Reference(logits_BTV, settled_BT, rounding)


def _of_dtype(router: LinearRouter, dtype: torch.dtype) -> LinearRouter:
    about = describe_router(router)
    return build_router(
        str(about["kind"]), router.weight.detach().to(dtype), top_k=int(about.get("top_k", 1))
    )


@contextmanager
def _rounded(
    layers: MixtureLayers, source: Source, dtype: torch.dtype, records: Mapping[int, Routing]
) -> Iterator[None]:
    """Add to every projection what rounding W + B A to `dtype` does to its output.

    Whole MLPs are rounded themselves, for good.
    """
    whole = [m for m in layers.model.modules() if isinstance(m, ExpertMlps)]
    for parameter in (p for mlps in whole for p in mlps.experts.parameters()):
        parameter.data = parameter.data.to(dtype).to(parameter.dtype)
    if whole:
        yield
        return
    base = Checkpoint(source.base_dir)
    hooks = []
    for path in sorted({path for expert in source.factors for path in expert}):

        def round_off(
            module: nn.Module, args: tuple[Any, ...], y_BTO: torch.Tensor, path: str = path
        ) -> torch.Tensor:
            x_BTD = args[0]
            gates_BTE = records[max(records)].gates_NE().view(*x_BTD.shape[:-1], -1)  # this layer's
            for expert, factors in enumerate(source.factors):
                weight_OD = merged_weight(base, path, factors.get(path))
                error_OD = weight_OD.to(dtype).float() - weight_OD
                error_BTO = nn.functional.linear(x_BTD, error_OD)
                y_BTO = y_BTO + gates_BTE[..., expert, None] * error_BTO
            return y_BTO

        hooks.append(layers.model.get_submodule(path).register_forward_hook(round_off))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _settled(records: Mapping[int, Routing], ids_BT: torch.Tensor) -> torch.Tensor:
    """Where no routing decision that a logit depends on was a near tie. (B, T) bool."""
    undecided_BT = torch.zeros_like(ids_BT)
    for routing in records.values():
        # The last of the chosen and the first of the others.
        chosen, num_experts = routing.experts_NK.shape[-1], routing.logits_NE.shape[-1]
        best_NE = routing.logits_NE.topk(min(chosen + 1, num_experts)).values
        if num_experts > chosen:
            near_N = best_NE[:, -2] - best_NE[:, -1] <= _NEAR_TIE * routing.logits_NE.abs().max()
            undecided_BT += near_N.view_as(ids_BT)
    settled_BT = undecided_BT.cumsum(-1) == 0
    if settled_BT.float().mean() < 0.5:
        raise WorkError(
            "the token gates hardly tell the experts apart: at most tokens two of them tie, so no "
            "two programs would route alike",
            "fit the gates first: codemoe router RECIPE",
        )
    return settled_BT
