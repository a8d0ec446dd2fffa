"""The adapter MoE: a frozen base whose projections carry every expert's low-rank factors, stacked.

    y = W x + B ((A x) * g),   A: (E*r, D), B: (D', E*r), g: one gate per token and expert

One base matmul, no gather or scatter, and rows of different languages in one batch. With one-hot
gates the result is exactly that expert's LoRA; with zero gates it is the base. (LoRA:
arXiv:2106.09685; acting from a marker on only: Activated LoRA, arXiv:2504.12397.)
"""

# B batch, T tokens, D input features, O output features, E experts, R sum of the experts' ranks

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from codemoe.models.architectures import architecture_of, is_transposed, layers_of
from codemoe.routing.record import Routing


@dataclass(frozen=True)
class LoraFactors:
    """One expert's update of one projection; the scaling alpha/r is already inside `b_OR`."""

    a_RD: torch.Tensor
    b_OR: torch.Tensor


def weight_update(projection: nn.Module, factors: LoraFactors) -> torch.Tensor:
    """B A, laid out as the projection stores its weight: (O, D), or (D, O) in GPT-2's Conv1D."""
    update_OD = factors.b_OR @ factors.a_RD
    return update_OD.T if is_transposed(projection) else update_OD


class Gates:
    """The gates of the forward pass in progress, shared by all stacked projections of a model.

    `None` is the bare base. Set by `MixtureLayers.use` (a caller's gates, the same in each layer)
    or, for token routing, by each layer's router just before its MLP runs.
    """

    def __init__(self) -> None:
        self.current_BTE: torch.Tensor | None = None


class StackedLora(nn.Module):
    """A frozen projection plus the stacked updates of E experts."""

    expert_of_ER: torch.Tensor
    a_RD: torch.Tensor
    b_OR: torch.Tensor

    def __init__(self, base: nn.Module, factors: Sequence[LoraFactors], gates: Gates) -> None:
        super().__init__()
        self.base = base
        self._gates = gates
        ranks = [len(f.a_RD) for f in factors]
        owner_R = torch.repeat_interleave(torch.arange(len(factors)), torch.tensor(ranks))
        one_hot_ER = nn.functional.one_hot(owner_R, len(factors)).T.float()
        self.register_buffer("a_RD", torch.cat([f.a_RD for f in factors]))
        self.register_buffer("b_OR", torch.cat([f.b_OR for f in factors], dim=1))
        self.register_buffer("expert_of_ER", one_hot_ER)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        y_BTO = self.base(x_BTD)
        gates_BTE = self._gates.current_BTE
        if gates_BTE is None:
            return y_BTO
        mixed_BTR = nn.functional.linear(x_BTD.to(self.a_RD.dtype), self.a_RD)
        mixed_BTR = mixed_BTR * (gates_BTE.to(mixed_BTR.dtype) @ self.expert_of_ER)
        return y_BTO + nn.functional.linear(mixed_BTR, self.b_OR).to(y_BTO.dtype)


class MixtureLayers:
    """The stacked experts inside a causal LM; steered by `use` and `use_tokens`."""

    def __init__(self, model: nn.Module, num_experts: int, gates: Gates) -> None:
        self.model = model
        self.num_experts = num_experts
        self._gates = gates

    @contextmanager
    def use(self, gates_BTE: torch.Tensor | None) -> Iterator[None]:
        """Run forwards with these gates in every layer; T may be 1, for all tokens alike."""
        before = self._gates.current_BTE
        self._gates.current_BTE = gates_BTE
        try:
            yield
        finally:
            self._gates.current_BTE = before

    @contextmanager
    def use_tokens(
        self,
        routers: Sequence[Callable[[torch.Tensor], Routing]],
        active_BT1: torch.Tensor | None = None,
    ) -> Iterator[list[Routing]]:
        """Each layer's router chooses per token from the input of that layer's MLP.

        `active_BT1` (0 or 1) silences the experts on some tokens. Yields the list that each layer's
        `Routing` (over B*T tokens) is appended to, in layer order.
        """
        records: list[Routing] = []
        hooks = []
        model_type: str = self.model.config.model_type  # type: ignore[union-attr, assignment]
        row = architecture_of(model_type, self.model)
        for layer, router in zip(layers_of(self.model), routers, strict=True):

            def choose(
                module: nn.Module,
                args: tuple[torch.Tensor, ...],
                router: Callable[[torch.Tensor], Routing] = router,
            ) -> None:
                x_BTD = args[0]
                routing = router(x_BTD.reshape(-1, x_BTD.shape[-1]))
                records.append(routing)
                gates_BTE = routing.gates_NE().view(*x_BTD.shape[:-1], -1)
                self._gates.current_BTE = (
                    gates_BTE if active_BT1 is None else gates_BTE * active_BT1
                )

            hooks.append(layer.get_submodule(row.mlp).register_forward_pre_hook(choose))
        try:
            with self.use(None):
                yield records
        finally:
            for hook in hooks:
                hook.remove()


def attach(model: nn.Module, experts: Sequence[Mapping[str, LoraFactors]]) -> MixtureLayers:
    """Put experts into `model`, in place: each maps projection paths to factors.

    A projection that some expert does not adapt gets a zero update of rank 1 for it.
    """
    gates = Gates()
    paths = sorted({path for expert in experts for path in expert})
    for path in paths:
        parent_path, _, name = path.rpartition(".")
        parent = model.get_submodule(parent_path)
        base = getattr(parent, name)
        known = next(expert[path] for expert in experts if path in expert)
        nothing = LoraFactors(torch.zeros_like(known.a_RD[:1]), torch.zeros_like(known.b_OR[:, :1]))
        factors = [expert.get(path, nothing) for expert in experts]
        setattr(parent, name, StackedLora(base, factors, gates))
    model.requires_grad_(False)
    return MixtureLayers(model, len(experts), gates)


def one_hot_gates(experts_B: torch.Tensor, num_experts: int) -> torch.Tensor:
    """(B, 1, E) gates that run one expert a row on every token."""
    return nn.functional.one_hot(experts_B, num_experts).float()[:, None, :]
