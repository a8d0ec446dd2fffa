"""The adapter MoE: a frozen base whose projections carry every expert's low-rank factors, stacked.

    y = W x + B ((A x) * g),   A: (E*r, D), B: (D', E*r), g: one gate per token and expert

One base matmul, no gather or scatter, and rows of different languages in one batch. With one-hot
gates the result is exactly that expert's LoRA; with zero gates it is the base. (LoRA:
arXiv:2106.09685; acting from a marker on only: Activated LoRA, arXiv:2504.12397.)
"""

# B batch, T tokens, D input features, O output features, E experts, R sum of the experts' ranks

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import nn

from codemoe.errors import UserError
from codemoe.models.architectures import architecture_of, is_transposed, layers_of
from codemoe.routing.collect import RoutingCollector
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


Ranks = tuple[int, ...]  # of the experts in one projection


@dataclass(frozen=True)
class Acting:
    """What acts in one forward: one expert a row on all its tokens, or every rank by its gate."""

    experts: Sequence[int] | None  # of the rows
    gates_BTR: Mapping[Ranks, torch.Tensor]  # empty where one expert acts on all rows
    start: int  # the base alone reads the columns before; T counts from here


class Gates:
    """The gates of the forward pass in progress, shared by all stacked projections of a model.

    `None` is the bare base. Set by `MixtureLayers.use` (a caller's gates, the same in each layer)
    or, for token routing, by each layer's router just before its MLP runs.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype  # of the factors
        self.layouts: set[Ranks] = set()  # that the projections have
        self.current: Acting | None = None

    def set(self, gates_BTE: torch.Tensor | None, start: int) -> None:
        """Do here, once, what each projection would have to."""
        if gates_BTE is None:
            self.current = None
            return
        experts = _experts_of_rows(gates_BTE)
        layouts = () if experts is not None and len(set(experts)) == 1 else self.layouts
        gates_BTE = gates_BTE.to(self.dtype)
        gates = {ranks: _of_ranks(gates_BTE, ranks) for ranks in layouts}
        self.current = Acting(experts, gates, start)


def _experts_of_rows(gates_BTE: torch.Tensor) -> list[int] | None:
    """The expert that acts on all tokens of each row with weight 1, if that is how it is.

    Waits for a GPU.
    """
    if gates_BTE.requires_grad:
        return None  # the gates of experts that do not act have gradients too
    first_BE, experts_B = gates_BTE[:, 0], gates_BTE[:, 0].argmax(-1)
    one_hot_BE = nn.functional.one_hot(experts_B, first_BE.shape[-1]).to(first_BE)
    if torch.equal(gates_BTE, one_hot_BE[:, None].expand_as(gates_BTE)):
        experts: list[int] = experts_B.tolist()
        return experts
    return None


def _of_ranks(gates_BTE: torch.Tensor, ranks: Ranks) -> torch.Tensor:
    """(B, T, R): each expert's gate, as often as it has ranks."""
    gates = gates_BTE.split(1, dim=-1)
    return torch.cat([g.expand(-1, -1, r) for g, r in zip(gates, ranks, strict=True)], dim=-1)


# On a CPU, rows of this many tokens are quicker one after another, each with its own expert's
# ranks, than together with all ranks and zeros for gates.
_MIN_COLUMNS = 8


class MixtureModule(nn.Module, ABC):
    """What `MixtureLayers` steers: a part of the model in which experts act."""

    @abstractmethod
    def expert_parameters(self) -> int:
        """Those of all experts together."""


class StackedLora(MixtureModule):
    """A frozen projection plus the stacked updates of E experts, in the order `rows` says."""

    a_RD: torch.Tensor
    b_RO: torch.Tensor

    def __init__(self, base: nn.Module, factors: Sequence[LoraFactors], gates: Gates) -> None:
        super().__init__()
        self.base = base
        self._gates = gates
        self.ranks = tuple(len(f.a_RD) for f in factors)
        ends = accumulate(self.ranks)
        self.rows = [slice(end - rank, end) for end, rank in zip(ends, self.ranks, strict=True)]
        gates.layouts.add(self.ranks)
        self.register_buffer("a_RD", torch.cat([f.a_RD for f in factors]).to(gates.dtype))
        # Transposed, so that an expert's share is one piece of memory in both.
        self.register_buffer("b_RO", torch.cat([f.b_OR.T for f in factors]).to(gates.dtype))

    def expert_parameters(self) -> int:
        return self.a_RD.numel() + self.b_RO.numel()

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        y_BTO: torch.Tensor = self.base(x_BTD)
        acting = self._gates.current
        if acting is None:
            return y_BTO
        x_BTD = x_BTD[:, acting.start :]
        experts = acting.experts
        if experts is not None and len(set(experts)) == 1:
            return self._add(y_BTO, x_BTD, acting.start, self.rows[experts[0]])
        in_place = not torch.is_grad_enabled() and y_BTO.device.type == "cpu"
        if experts is not None and in_place and x_BTD.shape[1] >= _MIN_COLUMNS:
            for row, expert in enumerate(experts):
                one = slice(row, row + 1)
                self._add(y_BTO[one], x_BTD[one], acting.start, self.rows[expert])
            return y_BTO
        return self._add(y_BTO, x_BTD, acting.start, slice(None), acting.gates_BTR[self.ranks])

    def _add(
        self,
        y_BTO: torch.Tensor,
        x_BTD: torch.Tensor,
        start: int,
        rows: slice,
        gates_BTR: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Add these ranks' update of x to y from column `start` on; in place without gradients."""
        mixed_BTR = nn.functional.linear(x_BTD.to(self.a_RD.dtype), self.a_RD[rows])
        if gates_BTR is not None:
            mixed_BTR = mixed_BTR * gates_BTR
        mixed_BTR, b_RO = mixed_BTR.to(y_BTO.dtype), self.b_RO[rows].to(y_BTO.dtype)
        if torch.is_grad_enabled():
            return y_BTO + nn.functional.pad(mixed_BTR @ b_RO, (0, 0, start, 0))
        # At thousands of tokens, memory for another y costs more than the product.
        if start:
            y_BTO[:, start:] += mixed_BTR @ b_RO
        else:
            y_BTO.view(-1, y_BTO.shape[-1]).addmm_(mixed_BTR.flatten(0, -2), b_RO)
        return y_BTO


class MixtureLayers:
    """The experts inside a causal LM; steered by `use` and `use_tokens`."""

    def __init__(self, model: nn.Module, num_experts: int, gates: Gates) -> None:
        self.model = model
        self.num_experts = num_experts
        self._gates = gates

    @cached_property
    def _places(self) -> frozenset[tuple[int, bool]]:
        """Where experts act: a layer, and whether in its MLP or before it (attention)."""
        row = architecture_of(self.model.config.model_type, self.model)  # type: ignore
        return frozenset(
            (index, f"{path}.".startswith(f"{row.mlp}."))
            for index, layer in enumerate(layers_of(self.model))
            for path, module in layer.named_modules()
            if isinstance(module, MixtureModule)
        )

    @property
    def _in_mlps(self) -> bool:
        return all(in_mlp for _, in_mlp in self._places)

    def acts_before(self, layer: int) -> bool:
        """Whether any expert acts before a token enters the MLP of this layer."""
        return min(self._places) < (layer, True)

    @contextmanager
    def use(self, gates_BTE: torch.Tensor | None, start: int = 0) -> Iterator[None]:
        """Run forwards with these gates in every layer, for the columns from `start` on.

        T may be 1, for all tokens alike. The base alone reads the columns before `start`.
        """
        before = self._gates.current
        self._gates.set(gates_BTE, start)
        try:
            yield
        finally:
            self._gates.current = before

    def change(self, gates_BTE: torch.Tensor, start: int = 0) -> None:
        """Within a `use`, and in the middle of a forward pass: other gates from here on."""
        self._gates.set(gates_BTE, start)

    @contextmanager
    def use_tokens(
        self,
        routers: Sequence[Callable[[torch.Tensor], Routing] | None],
        active_BT1: torch.Tensor | None = None,
        start: int = 0,
    ) -> Iterator[dict[int, Routing]]:
        """Each layer's router chooses per token from the input of that layer's MLP.

        A layer whose router is None runs as the base. `active_BT1` (0 or 1) silences the experts on
        some tokens, of the columns from `start` on; no router sees the columns before. Yields what
        `RoutingCollector.collect` does: each layer's first routing, over B*T tokens. With gradient
        checkpointing the scope has to hold backward too, which runs the layers again.
        """
        if not self._in_mlps:
            raise UserError(
                "token gates read the MLP's input, so they cannot steer experts in attention",
                "route by sequence, or train experts with experts.lora.target=mlp",
            )
        collector = RoutingCollector()
        hooks = []
        model_type: str = self.model.config.model_type  # type: ignore[union-attr, assignment]
        row = architecture_of(model_type, self.model)
        for index, (layer, router) in enumerate(zip(layers_of(self.model), routers, strict=True)):

            def choose(
                module: nn.Module,
                args: tuple[torch.Tensor, ...],
                router: Callable[[torch.Tensor], Routing] | None = router,
                index: int = index,
            ) -> None:
                if router is None:
                    self._gates.set(None, 0)
                    return
                x_BTD = args[0][:, start:]
                routing = router(x_BTD.reshape(-1, x_BTD.shape[-1]))
                collector.report(index, routing)
                gates_BTE = routing.gates_NE().view(*x_BTD.shape[:-1], -1)
                gates_BTE = gates_BTE if active_BT1 is None else gates_BTE * active_BT1
                self._gates.set(gates_BTE, start)

            hooks.append(layer.get_submodule(row.mlp).register_forward_pre_hook(choose))
        try:
            with self.use(None), collector.collect(for_loss=False) as records:
                yield records
        finally:
            for hook in hooks:
                hook.remove()


def attach(model: nn.Module, experts: Sequence[Mapping[str, LoraFactors]]) -> MixtureLayers:
    """Put experts into `model`, in place: each maps projection paths to factors.

    The factors take the type the base computes in; an expert that does not adapt a projection has
    rank 0 there.
    """
    gates = Gates(next(p.dtype for p in model.parameters() if p.is_floating_point()))
    paths = sorted({path for expert in experts for path in expert})
    for path in paths:
        parent_path, _, name = path.rpartition(".")
        parent = model.get_submodule(parent_path)
        base = getattr(parent, name)
        known = next(expert[path] for expert in experts if path in expert)
        nothing = LoraFactors(known.a_RD[:0], known.b_OR[:, :0])
        factors = [expert.get(path, nothing) for expert in experts]
        setattr(parent, name, StackedLora(base, factors, gates))
    model.requires_grad_(False)
    return MixtureLayers(model, len(experts), gates)


def one_hot_gates(experts_B: torch.Tensor, num_experts: int) -> torch.Tensor:
    """(B, 1, E) gates that run one expert a row on every token."""
    return nn.functional.one_hot(experts_B, num_experts).float()[:, None, :]
