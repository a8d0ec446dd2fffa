"""Calibrate a router's confidence on held-out logits: one temperature, one bias an expert."""

# N held-out rows, E experts

from collections.abc import Callable

import torch

from codemoe.errors import UserError


def temperature_scale(logits_NE: torch.Tensor, labels_N: torch.Tensor) -> float:
    """The scale 1/T of the logits that minimises log loss on held-out predictions (Guo et al. 2017,
    arXiv:1706.04599, section 4.2), by golden-section search on its logarithm.

    Changes no choice. Bounded, as the best scale of perfect predictions is infinite.
    """

    def loss(log_scale: float) -> float:
        scaled = logits_NE * torch.tensor(log_scale).exp()
        return float(torch.nn.functional.cross_entropy(scaled, labels_N))

    low, high = -2.0, 6.0
    ratio = (5**0.5 - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(torch.tensor((low + high) / 2).exp())


def prior_bias(logits_NE: torch.Tensor, prior_E: torch.Tensor) -> torch.Tensor:
    """The bias (E,), of mean 0, that makes the mean probability of each expert equal its prior.

    The prior is the mix that will be served. With the label frequencies of the held-out rows as
    the prior it is the bias that minimises their log loss (that of Guo et al.'s vector scaling):
    either way the gradient is mean probability minus prior. Scale the logits first, if at all.
    """
    prior_E = prior_E.double() / prior_E.sum()
    if not bool((prior_E > 0).all()):
        raise UserError(
            f"the prior {[round(p, 4) for p in prior_E.tolist()]} leaves an expert without a share",
            "give every expert a positive share, or leave the expert out",
        )
    logits_NE = logits_NE.detach().double()
    bias_E = torch.zeros_like(prior_E, requires_grad=True)
    minimise(lambda: (logits_NE + bias_E).logsumexp(-1).mean() - (prior_E * bias_E).sum(), [bias_E])
    return bias_E.detach().to(torch.float32)


def minimise(objective: Callable[[], torch.Tensor], parameters: list[torch.Tensor]) -> None:
    """Bring a smooth convex objective to its minimum, in place: L-BFGS needs no seed or step size.

    The parameters are float64 leaves that require gradients.
    """
    optimizer = torch.optim.LBFGS(
        parameters,
        max_iter=500,
        history_size=20,
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    optimizer.step(closure)
