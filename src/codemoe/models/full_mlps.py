"""Full-MLP experts in a model: beside every MLP stand whole other ones, and gates choose.

    y = x's MLP under each expert, weighted by the gates; the base's own for what is left of 1

A token runs only what its gates choose, as in the sparse MoE, whose layer this shares: outputs are
mixed, not updates. Gates come from where the stacked LoRA experts' come, so that routing, one-pass
prefill and activation from the marker on are the same for both kinds.
"""

# B batch, T tokens, N = B T, D model, E experts, K experts chosen per token

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from codemoe.models.adapter_moe import (
    Acting,
    Gates,
    LoraFactors,
    MixtureLayers,
    MixtureModule,
)
from codemoe.models.architectures import architecture_of, layers_of
from codemoe.models.sparse_moe import Experts, by_groups
from codemoe.models.storage.full_expert import WEIGHTS, full_layout
from codemoe.models.upcycle import merged_weights, stack_mlps, unstack
from codemoe.routing.record import Routing

_NOTHING = 1e-6  # of a token's weight: rounding of gates that sum to 1


@dataclass(frozen=True)
class FullMlps(Mapping[str, torch.Tensor]):
    """One expert. As a mapping: its projections' weights by path, as LoRA experts are kept."""

    parameters: Mapping[str, torch.Tensor]  # by full name, biases included

    def __getitem__(self, path: str) -> torch.Tensor:
        return self.parameters[f"{path}.weight"]

    def __iter__(self) -> Iterator[str]:
        return (n.removesuffix(".weight") for n in self.parameters if n.endswith(".weight"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


Expert = Mapping[str, LoraFactors] | FullMlps


def load_full(folder: Path) -> FullMlps:
    """Its weights, which stay on disk until they are used."""
    from safetensors.torch import load_file

    full_layout(folder)  # damage is told of here, in a message
    return FullMlps(load_file(folder / WEIGHTS))


class ExpertMlps(MixtureModule):
    """In an MLP's place: that MLP, frozen, and E others of its shape."""

    def __init__(self, base: nn.Module, experts: Experts, gates: Gates) -> None:
        super().__init__()
        self.base = base
        self.experts = experts
        self._gates = gates
        # One "rank" an expert: the gates as they are.
        self.ranks = (1,) * experts.num_experts
        gates.layouts.add(self.ranks)
        # While experts are trained: run the chosen ones only, whose gates alone learn.
        self.only_chosen = False

    def expert_parameters(self) -> int:
        return sum(p.numel() for p in self.experts.parameters())

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        acting = self._gates.current
        if acting is None:
            y_BTD: torch.Tensor = self.base(x_BTD)
            return y_BTD
        if not acting.start:
            return self._mixed(x_BTD, acting)
        before_BTD, x_BTD = x_BTD[:, : acting.start], x_BTD[:, acting.start :]
        return torch.cat([self.base(before_BTD), self._mixed(x_BTD, acting)], 1)

    def _mixed(self, x_BTD: torch.Tensor, acting: Acting) -> torch.Tensor:
        if acting.experts is not None and len(set(acting.experts)) == 1:
            return self._one(x_BTD, acting.experts[0])
        gates_BTE = acting.gates_BTR[self.ranks].expand(*x_BTD.shape[:-1], -1)
        if gates_BTE.requires_grad and not self.only_chosen:
            return self._all(x_BTD, gates_BTE)
        gates_NE, x_ND = gates_BTE.flatten(0, 1), x_BTD.flatten(0, 1)
        return self._chosen(x_ND, gates_NE).view_as(x_BTD)

    def _one(self, x: torch.Tensor, expert: int) -> torch.Tensor:
        """While they are trained, experts are float32 beside a base of another type."""
        return self.experts.one(x.to(self.experts.down.weight.dtype), expert).to(x.dtype)

    def _all(self, x_BTD: torch.Tensor, gates_BTE: torch.Tensor) -> torch.Tensor:
        """Every expert on every token: the gates of those that do not act have gradients too."""
        base_BTD: torch.Tensor = self.base(x_BTD)
        y_BTD = base_BTD
        for expert in range(self.experts.num_experts):
            change_BTD = self._one(x_BTD, expert) - base_BTD
            y_BTD = y_BTD + gates_BTE[..., expert, None] * change_BTD
        return y_BTD.to(x_BTD.dtype)

    def _chosen(self, x_ND: torch.Tensor, gates_NE: torch.Tensor) -> torch.Tensor:
        rest_N = 1 - gates_NE.sum(-1)
        y_ND = torch.zeros_like(x_ND)
        on_base = (rest_N.abs() > _NOTHING).nonzero()[:, 0]
        if len(on_base):
            own_ND = self.base(x_ND[on_base][None])[0] * rest_N[on_base, None]
            y_ND[on_base] = own_ND.to(y_ND.dtype)
        chosen_N = gates_NE.ne(0).sum(-1)
        on_experts = chosen_N.nonzero()[:, 0]
        if len(on_experts):
            gates_NE = gates_NE[on_experts]
            weights_NK, experts_NK = gates_NE.topk(int(chosen_N.max()))
            routing = Routing(weights_NK, experts_NK, gates_NE, gates_NE)
            out_ND = by_groups(self.experts, x_ND[on_experts], routing)
            y_ND[on_experts] += out_ND.to(y_ND.dtype)
        return y_ND


@torch.no_grad()
def attach_full(model: nn.Module, experts: Sequence[Expert]) -> MixtureLayers:
    """Put experts into `model`, in place. LoRA experts among them become whole MLPs, too.

    Raises UserError for a quantised base, and for an expert that changes more than MLPs.
    """
    gates = Gates(next(p.dtype for p in model.parameters() if p.is_floating_point()))
    row = architecture_of(model.config.model_type, model)  # type: ignore[union-attr, arg-type]
    whole = {
        str(index): dict(one.parameters)
        if isinstance(one, FullMlps)
        else merged_weights(model, one)
        for index, one in enumerate(experts)
    }
    for layer, stacked in zip(layers_of(model), stack_mlps(model, whole), strict=True):
        mlp = layer.get_submodule(row.mlp)
        mixed = ExpertMlps(mlp, stacked, gates)
        layer.set_submodule(row.mlp, mixed.train(mlp.training))
    model.requires_grad_(False)
    return MixtureLayers(model, len(experts), gates)


def expert_layers(model: nn.Module) -> list[ExpertMlps]:
    """Where a model's whole-MLP experts stand, layer after layer."""
    return [module for module in model.modules() if isinstance(module, ExpertMlps)]


@torch.no_grad()
def expert_weights(model: nn.Module, expert: int) -> dict[str, torch.Tensor]:
    """One expert's weights and biases by their names in the base: what `attach_full` was given."""
    row = architecture_of(model.config.model_type, model)  # type: ignore[union-attr, arg-type]
    weights: dict[str, torch.Tensor] = {}
    for index, layer in enumerate(layers_of(model)):
        mixed = layer.get_submodule(row.mlp)
        assert isinstance(mixed, ExpertMlps)
        for name, value in unstack(row, mixed.base, mixed.experts, expert).items():
            weights[f"{row.layers}.{index}.{row.mlp}.{name}"] = value
    return weights
