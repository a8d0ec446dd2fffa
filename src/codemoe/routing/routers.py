"""Routers: rows in, a `Routing` out. They own the weights; `decisions.py` says how each decides.

What a row is, is the caller's: the tokens of one layer (token routing), or one pooled state a
sequence (sequence routing). So is sharing: one router a layer, or one module called by all of them.
A router remembers no forward pass, so both work.

As every module, a router starts in training mode. In evaluation all are deterministic, causal and
independent of the batch, or refuse (`ExpertChoiceRouter`).
"""

# N tokens or sequences, D features, E experts

import torch
from torch import nn

from codemoe.errors import UserError
from codemoe.routing.decisions import (
    route_expert_choice,
    route_noisy_top_k,
    route_sigmoid,
    route_softmax,
    route_switch,
    route_top1,
    route_top_k,
)
from codemoe.routing.record import Routing


def _linear(
    x_ND: torch.Tensor, weight_ED: torch.Tensor, bias_E: torch.Tensor | None = None
) -> torch.Tensor:
    """x W^T + b in float32, under autocast too: in bfloat16, near ties are decided by rounding."""
    with torch.autocast(x_ND.device.type, enabled=False):
        bias_E = None if bias_E is None else bias_E.float()
        return nn.functional.linear(x_ND.float(), weight_ED.float(), bias_E)


class LinearRouter(nn.Module):
    """Linear logits, then hard top-1. The other routers decide by the same logits otherwise.

    Without a bias it is the gate that Mixtral checkpoints hold.
    """

    def __init__(self, weight_ED: torch.Tensor, bias_E: torch.Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight_ED.float())
        self.bias = None if bias_E is None else nn.Parameter(bias_E.float())

    def logits(self, x_ND: torch.Tensor) -> torch.Tensor:
        return _linear(x_ND, self.weight, self.bias)

    def forward(self, x_ND: torch.Tensor, mask_N: torch.Tensor | None = None) -> Routing:
        """`mask_N` (0 for pads) matters only to routers whose rows compete for places."""
        return route_top1(self.logits(x_ND))


class SoftmaxRouter(LinearRouter):
    """All experts on every token: `route_softmax`."""

    def forward(self, x_ND: torch.Tensor, mask_N: torch.Tensor | None = None) -> Routing:
        return route_softmax(self.logits(x_ND))


class TopKRouter(LinearRouter):
    """The K likeliest experts, weights summing to 1: `route_top_k`."""

    def __init__(
        self, weight_ED: torch.Tensor, bias_E: torch.Tensor | None = None, *, top_k: int
    ) -> None:
        super().__init__(weight_ED, bias_E)
        if not 1 <= top_k <= len(weight_ED):
            raise UserError(
                f"top_k is {top_k} but the mixture has {len(weight_ED)} experts",
                f"choose a top_k from 1 to {len(weight_ED)}",
            )
        self.top_k = top_k

    def forward(self, x_ND: torch.Tensor, mask_N: torch.Tensor | None = None) -> Routing:
        return route_top_k(self.logits(x_ND), self.top_k)


class NoisyTopKRouter(TopKRouter):
    """Top-k with learned noise while training: `route_noisy_top_k`."""

    # Of the authors' code, not of eq. 4: the load loss divides by the noise.
    MIN_STD = 1e-2

    def __init__(
        self, weight_ED: torch.Tensor, bias_E: torch.Tensor | None = None, *, top_k: int
    ) -> None:
        super().__init__(weight_ED, bias_E, top_k=top_k)
        # Zero is "some noise": softplus(0) = 0.69 for every token (arXiv:1701.06538, appendix A).
        self.noise_weight = nn.Parameter(torch.zeros_like(self.weight))

    def forward(self, x_ND: torch.Tensor, mask_N: torch.Tensor | None = None) -> Routing:
        if not self.training:
            return route_top_k(self.logits(x_ND), self.top_k)
        std_NE = nn.functional.softplus(_linear(x_ND, self.noise_weight)) + self.MIN_STD
        return route_noisy_top_k(self.logits(x_ND), std_NE, self.top_k)


class SwitchRouter(LinearRouter):
    """The likeliest expert, weighted by its probability; a capacity while training: `route_switch`.

    Evaluation drops nothing: else an answer would depend on what else is in its batch.
    """

    def __init__(
        self,
        weight_ED: torch.Tensor,
        bias_E: torch.Tensor | None = None,
        *,
        capacity_factor: float,
    ) -> None:
        super().__init__(weight_ED, bias_E)
        self.capacity_factor = capacity_factor

    def forward(self, x_ND: torch.Tensor, mask_N: torch.Tensor | None = None) -> Routing:
        capacity_factor = self.capacity_factor if self.training else None
        return route_switch(self.logits(x_ND), capacity_factor, mask_N)


class SigmoidRouter(TopKRouter):
    """Sigmoid scores and a balancing bias: `route_sigmoid`.

    The bias learns by no gradient; after a step, the training loop writes what `update_bias` says:
    `router.balance_bias.copy_(update_bias(router.balance_bias, load_E))`. It is part of the router
    in evaluation too.
    """

    balance_bias: torch.Tensor

    def __init__(
        self, weight_ED: torch.Tensor, bias_E: torch.Tensor | None = None, *, top_k: int
    ) -> None:
        super().__init__(weight_ED, bias_E, top_k=top_k)
        self.register_buffer("balance_bias", torch.zeros(len(weight_ED), device=weight_ED.device))

    def forward(self, x_ND: torch.Tensor, mask_N: torch.Tensor | None = None) -> Routing:
        return route_sigmoid(self.logits(x_ND), self.top_k, self.balance_bias)


class ExpertChoiceRouter(LinearRouter):
    """Experts choose tokens: `route_expert_choice`. While training only, as it is not causal."""

    def __init__(
        self,
        weight_ED: torch.Tensor,
        bias_E: torch.Tensor | None = None,
        *,
        capacity_factor: float,
    ) -> None:
        super().__init__(weight_ED, bias_E)
        self.capacity_factor = capacity_factor

    def forward(self, x_ND: torch.Tensor, mask_N: torch.Tensor | None = None) -> Routing:
        if not self.training:
            raise UserError(
                "expert choice routing cannot generate: whether an expert takes a token depends on "
                "tokens that come later",
                "use it in training only, and run its weights in a top-k router",
            )
        return route_expert_choice(self.logits(x_ND), self.capacity_factor, mask_N)


ROUTERS: dict[str, type[LinearRouter]] = {
    "top-1": LinearRouter,
    "softmax": SoftmaxRouter,
    "top-k": TopKRouter,
    "noisy-top-k": NoisyTopKRouter,
    "switch": SwitchRouter,
    "sigmoid": SigmoidRouter,
    "expert-choice": ExpertChoiceRouter,
}


def build_router(
    kind: str,
    weight_ED: torch.Tensor,
    bias_E: torch.Tensor | None = None,
    *,
    top_k: int = 2,
    capacity_factor: float = 1.25,
) -> LinearRouter:
    """The router that a recipe calls by this name; each reads the options it has."""
    if kind not in ROUTERS:
        raise UserError(f"no router is called {kind!r}", f"choose from {', '.join(ROUTERS)}")
    router = ROUTERS[kind]
    if issubclass(router, TopKRouter):
        return router(weight_ED, bias_E, top_k=top_k)
    if issubclass(router, SwitchRouter | ExpertChoiceRouter):
        return router(weight_ED, bias_E, capacity_factor=capacity_factor)
    return router(weight_ED, bias_E)


def describe_router(router: LinearRouter) -> dict[str, str | int | float]:
    """The name and options that `build_router` makes such a router from."""
    kind = next(name for name, built in ROUTERS.items() if built is type(router))
    options = ("top_k", "capacity_factor")
    return {"kind": kind} | {o: getattr(router, o) for o in options if hasattr(router, o)}
