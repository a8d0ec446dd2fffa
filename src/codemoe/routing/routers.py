"""Routers: hidden states in, a `Routing` out. Tensors only; they know no model."""

# N tokens or sequences, D features, K chosen per token, E experts

import torch
from torch import nn

from codemoe.routing.record import Routing


def route_top1(logits_NE: torch.Tensor) -> Routing:
    """Hard routing: the likeliest expert with weight 1, so that it acts exactly as it would alone.

    The weight carries no gradient to the router; training a router needs the losses on `probs_NE`.
    """
    logits_NE = logits_NE.float()
    experts_NK = logits_NE.argmax(dim=-1, keepdim=True)
    return Routing(
        weights_NK=torch.ones_like(experts_NK, dtype=torch.float32),
        experts_NK=experts_NK,
        probs_NE=logits_NE.softmax(dim=-1),
        logits_NE=logits_NE,
    )


class LinearRouter(nn.Module):
    """logits = x W^T + b in float32, then top-1.

    Without a bias it is the gate that Mixtral checkpoints hold.
    """

    def __init__(self, weight_ED: torch.Tensor, bias_E: torch.Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight_ED.float())
        self.bias = None if bias_E is None else nn.Parameter(bias_E.float())

    def forward(self, x_ND: torch.Tensor) -> Routing:
        return route_top1(nn.functional.linear(x_ND.float(), self.weight, self.bias))
