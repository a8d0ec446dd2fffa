"""Make a dense model sparse, in place: upcycled, or out of experts that were trained apart.

Upcycling (arXiv:2212.05055) starts every expert as a copy of the dense MLP: while the weights of
the chosen experts sum to 1, the sparse model is the dense one. Experts trained apart are full MLP
weights, or LoRA updates merged into them: routed to one, the sparse model is that expert.
"""

# E experts, O outputs and D inputs of a projection

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import nn

from codemoe.errors import UserError
from codemoe.models.adapter_moe import LoraFactors, weight_update
from codemoe.models.architectures import Architecture, architecture_of, is_transposed, layers_of
from codemoe.models.sparse_moe import Experts, SparseMoe, StackedLinear
from codemoe.routing.collect import RoutingCollector

RouterFactory = Callable[[int], nn.Module]  # the router of a layer
Weights = Mapping[str, torch.Tensor]  # by parameter path: "model.layers.0.mlp.up_proj.weight"


def upcycle(model: nn.Module, num_experts: int, router_factory: RouterFactory) -> RoutingCollector:
    """Replace every MLP by a sparse MoE of copies of itself."""
    return make_sparse(model, {f"copy {i}": {} for i in range(num_experts)}, router_factory)


@torch.no_grad()
def merged_weights(model: nn.Module, factors: Mapping[str, LoraFactors]) -> dict[str, torch.Tensor]:
    """The full weights of one LoRA expert, for each projection that it adapts."""
    _refuse_quantised(model)
    weights = {}
    for path, update in factors.items():
        projection = model.get_submodule(path)
        weight = projection.get_parameter("weight")
        weights[f"{path}.weight"] = weight + weight_update(projection, update).to(weight)
    return weights


@torch.no_grad()
def make_sparse(
    model: nn.Module, experts: Mapping[str, Weights], router_factory: RouterFactory
) -> RoutingCollector:
    """Replace every MLP by a sparse MoE of these experts; what one does not name is the base's.

    Returns the collector that its layers report to: `with collector.collect(...) as routings`.
    Dropout after a dense MLP is not kept.
    """
    row = architecture_of(model.config.model_type, model)  # type: ignore[union-attr, arg-type]
    collector = RoutingCollector()
    for index, (layer, stacked) in enumerate(
        zip(layers_of(model), stack_mlps(model, experts), strict=True)
    ):
        mlp = layer.get_submodule(row.mlp)
        router = router_factory(index).to(stacked.down.weight.device)
        moe = SparseMoe(router, stacked, index=index, collector=collector)
        layer.set_submodule(row.mlp, moe.train(mlp.training))
    return collector


@torch.no_grad()
def stack_mlps(model: nn.Module, experts: Mapping[str, Weights]) -> Iterator[Experts]:
    """Each layer's MLPs as these experts have them, one layer after another.

    Raises UserError, before the first, for a quantised base and experts that do not fit.
    """
    row = architecture_of(model.config.model_type, model)  # type: ignore[union-attr, arg-type]
    layers = layers_of(model)
    paths = [f"{row.layers}.{index}.{row.mlp}" for index in range(len(layers))]
    _refuse_quantised(model)
    _check_fit(model, [f"{path}.{name}" for path in paths for name in row.mlp_projections], experts)
    return (
        _stack(row, layer.get_submodule(row.mlp), path, list(experts.values()))
        for layer, path in zip(layers, paths, strict=True)
    )


@torch.no_grad()
def _stack(row: Architecture, mlp: nn.Module, path: str, experts: list[Weights]) -> Experts:
    """The projections of one MLP as every expert has them, gate and up apart."""
    parts: list[StackedLinear] = []
    for name in row.mlp_projections:
        projection = mlp.get_submodule(name)
        own = dict(projection.named_parameters())
        stacked = {
            kind: torch.stack([e.get(f"{path}.{name}.{kind}", value).to(value) for e in experts])
            for kind, value in own.items()
        }
        weight_EOD, bias_EO = stacked["weight"], stacked.get("bias")
        if is_transposed(projection):
            weight_EOD = weight_EOD.transpose(1, 2)
        pieces = 2 if row.fused_gate and not parts else 1
        weights = weight_EOD.chunk(pieces, 1)
        biases = [None] * pieces if bias_EO is None else bias_EO.chunk(pieces, 1)
        parts += [
            StackedLinear(w.contiguous(), None if b is None else b.contiguous())
            for w, b in zip(weights, biases, strict=True)
        ]
    *gate, up, down = parts
    return Experts(up, down, mlp.get_submodule(row.activation), *gate)


def unstack(
    row: Architecture, mlp: nn.Module, experts: Experts, expert: int
) -> dict[str, torch.Tensor]:
    """The inverse of `_stack` for one expert: its projections by their names in `mlp`."""
    parts = [part for part in (experts.gate, experts.up, experts.down) if part is not None]
    found: dict[str, torch.Tensor] = {}
    for name in row.mlp_projections:
        projection = mlp.get_submodule(name)
        pieces = 2 if row.fused_gate and not found else 1
        own, parts = parts[:pieces], parts[pieces:]
        weight_OD = torch.cat([part.weight[expert] for part in own])
        found[f"{name}.weight"] = weight_OD.T if is_transposed(projection) else weight_OD
        biases = [part.bias[expert] for part in own if part.bias is not None]
        if biases:
            found[f"{name}.bias"] = torch.cat(biases)
    return found


def _refuse_quantised(model: nn.Module) -> None:
    if getattr(model, "is_quantized", False):
        raise UserError(
            "full-weight experts cannot be made from quantised weights: that would round them away",
            "load the base in full precision: base.quantization=none",
        )


def _check_fit(model: nn.Module, projections: list[str], experts: Mapping[str, Weights]) -> None:
    """A UserError that names both sides, before any weight is copied."""
    shapes = {
        f"{path}.{kind}": tuple(value.shape)
        for path in projections
        for kind, value in model.get_submodule(path).named_parameters()
    }
    for expert, weights in experts.items():
        for path, value in weights.items():
            if path not in shapes:
                raise UserError(
                    f"expert {expert!r} changes {path}, which is no MLP weight of this base; the "
                    "experts of a sparse mixture are MLPs",
                    "train experts with experts.lora.target=mlp, or keep them as adapters",
                )
            if tuple(value.shape) != shapes[path]:
                raise UserError(
                    f"expert {expert!r}: {path} has shape {tuple(value.shape)} but the base has "
                    f"{shapes[path]}",
                    "use the base that this expert was trained on",
                )
