"""The sparse MoE: every expert is a full MLP, and a token runs only those that its router chose.

    y = sum over the chosen experts of weight * expert(x)

Outputs are mixed (`combine: output`); the adapter MoE mixes updates of one MLP. `by_loop` is the
definition; `by_groups` is what runs: it sorts the tokens by expert, so that each expert multiplies
one contiguous slice and none is padded or dropped (MegaBlocks, arXiv:2211.15841).
"""

# N tokens, K experts chosen per token, S = N K pairs of a token and its expert, E experts,
# B batch, T time, D model (or inputs of a projection), O outputs of a projection

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from codemoe.routing.collect import RoutingCollector
from codemoe.routing.record import Routing


class _GroupedLinear(torch.autograd.Function):
    """y = x W_e^T + b_e for rows sorted by expert; every product is written where it belongs.

    Plain indexing would be right too, but its backward pass makes a whole (E, O, D) gradient for
    each expert and adds them up.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x_SD: torch.Tensor,
        weight_EOD: torch.Tensor,
        bias_EO: torch.Tensor | None,
        counts: list[int],
    ) -> torch.Tensor:
        assert sum(counts) == len(x_SD), "a router chose an expert that is not there"
        ctx.save_for_backward(x_SD, weight_EOD)
        ctx.counts = counts
        y_SO = x_SD.new_empty(len(x_SD), weight_EOD.shape[1])
        for expert, rows in _groups(counts):
            weight_DO = weight_EOD[expert].T
            if bias_EO is None:
                torch.mm(x_SD[rows], weight_DO, out=y_SO[rows])
            else:
                torch.addmm(bias_EO[expert], x_SD[rows], weight_DO, out=y_SO[rows])
        return y_SO

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_SO: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_SD, weight_EOD = ctx.saved_tensors
        grad_SO = grad_SO.contiguous()
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        grad_x_SD = torch.empty_like(x_SD) if needs_x else None
        grad_weight_EOD = torch.empty_like(weight_EOD) if needs_weight else None
        grad_bias_EO = grad_SO.new_empty(weight_EOD.shape[:2]) if needs_bias else None
        for expert, rows in _groups(ctx.counts):
            if grad_x_SD is not None:
                torch.mm(grad_SO[rows], weight_EOD[expert], out=grad_x_SD[rows])
            if grad_weight_EOD is not None:
                torch.mm(grad_SO[rows].T, x_SD[rows], out=grad_weight_EOD[expert])
            if grad_bias_EO is not None:
                torch.sum(grad_SO[rows], 0, out=grad_bias_EO[expert])
        return grad_x_SD, grad_weight_EOD, grad_bias_EO, None


def _groups(counts: list[int]) -> Iterator[tuple[int, slice]]:
    """Each expert with its rows. An empty product is zeros, so experts without rows stay in."""
    for expert, end in enumerate(accumulate(counts)):
        yield expert, slice(end - counts[expert], end)


def _has_grouped_kernel(weight_EOD: torch.Tensor) -> bool:
    """Whether PyTorch multiplies all groups in one kernel here (bfloat16, 16-byte rows, Ampere)."""
    return (
        weight_EOD.is_cuda
        and weight_EOD.dtype == torch.bfloat16
        and weight_EOD.shape[1] % 8 == weight_EOD.shape[2] % 8 == 0
        and hasattr(nn.functional, "grouped_mm")
        and torch.cuda.get_device_capability(weight_EOD.device) >= (8, 0)
    )


class StackedLinear(nn.Module):
    """E linear maps of one shape."""

    def __init__(self, weight_EOD: torch.Tensor, bias_EO: torch.Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight_EOD)
        self.bias = None if bias_EO is None else nn.Parameter(bias_EO)

    def forward(self, x_SD: torch.Tensor, counts_E: torch.Tensor) -> torch.Tensor:
        """Rows sorted by expert, `counts_E` of them each."""
        x_SD = x_SD.to(self.weight.dtype)
        if not _has_grouped_kernel(self.weight):
            y_SO: torch.Tensor = _GroupedLinear.apply(
                x_SD, self.weight, self.bias, counts_E.tolist()
            )
            return y_SO
        ends_E = counts_E.cumsum(0, dtype=torch.int32)
        y_SO = nn.functional.grouped_mm(x_SD, self.weight.transpose(1, 2), offs=ends_E)
        if self.bias is None:
            return y_SO
        return y_SO + self.bias.repeat_interleave(counts_E, 0, output_size=len(x_SD))

    def one(self, x_ND: torch.Tensor, expert: int) -> torch.Tensor:
        bias_O = None if self.bias is None else self.bias[expert]
        return nn.functional.linear(x_ND, self.weight[expert], bias_O)


class Experts(nn.Module):
    """E MLPs of one shape: down(act(up x)) or, with `gate`, down(act(gate x) * up x)."""

    def __init__(
        self,
        up: StackedLinear,
        down: StackedLinear,
        activation: nn.Module,
        gate: StackedLinear | None = None,
    ) -> None:
        super().__init__()
        self.gate = gate
        self.up = up
        self.down = down
        self.activation = activation
        self.num_experts = len(up.weight)

    def forward(self, x_SD: torch.Tensor, counts_E: torch.Tensor) -> torch.Tensor:
        """Rows sorted by expert, `counts_E` of them each."""
        return self._mlp(x_SD, lambda linear, x: linear(x, counts_E))

    def one(self, x_ND: torch.Tensor, expert: int) -> torch.Tensor:
        """One expert on every row."""
        return self._mlp(x_ND, lambda linear, x: linear.one(x, expert))

    def _mlp(
        self, x: torch.Tensor, apply: Callable[[StackedLinear, torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        if self.gate is None:
            hidden = self.activation(apply(self.up, x))
        else:
            hidden = self.activation(apply(self.gate, x)) * apply(self.up, x)
        return apply(self.down, hidden)


def by_loop(experts: Experts, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
    """The definition: each expert on the tokens that chose it, weighted and added up."""
    y_ND = torch.zeros_like(x_ND)
    for expert in range(experts.num_experts):
        token_S, slot_S = torch.where(routing.experts_NK == expert)
        weight_S1 = routing.weights_NK[token_S, slot_S, None]
        out_SD = experts.one(x_ND[token_S], expert) * weight_S1
        y_ND = y_ND.index_add(0, token_S, out_SD.to(y_ND.dtype))
    return y_ND


class _Permute(torch.autograd.Function):
    """Rows in another order. Its gradient is a gather too, where indexing would add row by row."""

    @staticmethod
    def forward(
        ctx: Any, x_SD: torch.Tensor, order_S: torch.Tensor, inverse_S: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(inverse_S)
        return x_SD.index_select(0, order_S)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_SD: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (inverse_S,) = ctx.saved_tensors
        return grad_SD.index_select(0, inverse_S), None, None


def by_groups(experts: Experts, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
    """The same as `by_loop`: tokens sorted by expert, one product a projection and expert."""
    num_tokens, k = routing.experts_NK.shape
    expert_S = routing.experts_NK.flatten()
    order_S = expert_S.argsort(stable=True)
    inverse_S = torch.empty_like(order_S)
    inverse_S[order_S] = torch.arange(len(order_S), device=order_S.device)
    # Not bincount: on a GPU that waits for the result.
    counts_E = (expert_S[:, None] == torch.arange(experts.num_experts, device=x_ND.device)).sum(0)
    x_SD = x_ND[:, None].expand(-1, k, -1).reshape(num_tokens * k, -1)
    out_SD = experts(_Permute.apply(x_SD, order_S, inverse_S), counts_E)
    out_NKD = _Permute.apply(out_SD, inverse_S, order_S).view(num_tokens, k, -1)
    return (out_NKD * routing.weights_NK[..., None]).sum(1).to(x_ND.dtype)


class SparseMoe(nn.Module):
    """Takes the place of a decoder's MLP: the routed experts and, if given, one for every token.

    `router` maps (N, D) hidden states to a `Routing`, which goes to the `collector` that all layers
    of a model share, as that of layer `index`.
    """

    def __init__(
        self,
        router: nn.Module,
        experts: Experts,
        shared: nn.Module | None = None,
        *,
        index: int = 0,
        collector: RoutingCollector | None = None,
    ) -> None:
        super().__init__()
        self.router = router
        self.experts = experts
        self.shared = shared
        self.index = index
        self.collector = collector or RoutingCollector()

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        x_ND = x_BTD.reshape(-1, x_BTD.shape[-1])
        mask_N = self.collector.mask_N
        routing = self.router(x_ND) if mask_N is None else self.router(x_ND, mask_N)
        self.collector.report(self.index, routing)
        y_BTD = by_groups(self.experts, x_ND, routing).view_as(x_BTD)
        return y_BTD if self.shared is None else y_BTD + self.shared(x_BTD)
