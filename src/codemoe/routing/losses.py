"""Router losses: pure functions of one `Routing`, and of a mask (0 for pads, which never count).

One layer at a time: a sum of loads over layers could be even where each layer is not. Weigh and add
what `collect.py` gathered. Under a sequence router a row is a sequence and there are no pads.
"""

# N tokens or sequences, K chosen per token, E experts

import torch
from torch.nn import functional as F

from codemoe.errors import UserError
from codemoe.routing.record import Routing


def _mean(values: torch.Tensor, mask_N: torch.Tensor | None) -> torch.Tensor:
    """The mean over real rows; (N, ...) becomes (...)."""
    if mask_N is None:
        return values.mean(0)
    real_N = mask_N.to(values.dtype)
    shaped = real_N.reshape(-1, *[1] * (values.dim() - 1))
    return (values * shaped).sum(0) / real_N.sum().clamp_min(1)


def _chosen_NE(routing: Routing) -> torch.Tensor:
    """1 where a row chose an expert, even if the expert then had no place for it."""
    return torch.zeros_like(routing.probs_NE).scatter(-1, routing.experts_NK, 1.0)


def expert_load(routing: Routing, mask_N: torch.Tensor | None = None) -> torch.Tensor:
    """The share of all choices that each expert got, (E,), summing to 1. Carries no gradient."""
    return _mean(_chosen_NE(routing), mask_N) / routing.experts_NK.shape[-1]


def load_balance_loss(
    routing: Routing, mask_N: torch.Tensor | None = None, prior_E: torch.Tensor | None = None
) -> torch.Tensor:
    """sum_e f_e P_e / prior_e: Switch eq. 4 to 6 (arXiv:2101.03961), towards a prior.

    f is the share of choices (it has no gradient), P the mean probability, both sum to 1, and
    `prior_E` (positive, any scale) is the load that is wanted. Uniform, the default, is Switch:
    E sum_e f_e P_e. For language experts it should be the data's language mix, as a uniform target
    fights the labels.

    It is 1 when f or P equals the prior, whatever K is. Where f = P = q it is 1 + chi^2(q, prior),
    so 1 is the minimum, at the prior alone; at f = prior no gradient is left, whatever P is. This
    form, not a KL divergence of P and the prior, because it sees what was chosen: a router whose
    every row has exactly the prior's probabilities sends all rows to one expert. Hugging Face's
    `load_balancing_loss_func` sums f to K instead and is K at balance: divide its coefficients.
    """
    load_E, probs_E = expert_load(routing, mask_N), _mean(routing.probs_NE, mask_N)
    wanted_E = torch.ones_like(load_E) if prior_E is None else prior_E.to(load_E)
    return (load_E * probs_E / (wanted_E / wanted_E.sum())).sum()


def importance_loss(routing: Routing, mask_N: torch.Tensor | None = None) -> torch.Tensor:
    """The squared coefficient of variation of the experts' summed weights (arXiv:1701.06538,
    eq. 6 and 7): 0 when even, E - 1 when one expert has all."""
    return _cv_squared(_mean(routing.gates_NE(), mask_N))


def load_loss(routing: Routing, mask_N: torch.Tensor | None = None) -> torch.Tensor:
    """The squared coefficient of variation of the expected loads (arXiv:1701.06538, eq. 8 to 11).

    The load is smooth: the probability that a row would choose an expert if the noise on that
    expert's logit, and on no other, were drawn again. So it has a gradient where counts have none.
    """
    noisy_NE, std_NE = routing.noisy_logits_NE, routing.noise_std_NE
    if noisy_NE is None or std_NE is None:
        raise UserError(
            "the load loss needs the noise of a noisy-top-k router that is training",
            "choose router noisy-top-k, or another loss",
        )
    top_k = routing.experts_NK.shape[-1]
    if top_k == noisy_NE.shape[-1]:  # every expert is always chosen
        return routing.probs_NE.sum() * 0.0
    # The K-th largest of the others: for a chosen expert that is the (K+1)-th of all.
    top_NK1 = noisy_NE.topk(top_k + 1, dim=-1).values
    rival_NE = torch.where(_chosen_NE(routing) > 0, top_NK1[:, -1:], top_NK1[:, -2:-1])
    chance_NE = torch.special.ndtr((routing.logits_NE - rival_NE) / std_NE)
    return _cv_squared(_mean(chance_NE, mask_N))


def _cv_squared(values_E: torch.Tensor) -> torch.Tensor:
    """Variance over squared mean; the same for sums and means over rows."""
    return values_E.var(correction=0) / values_E.mean().square().clamp_min(1e-10)


def z_loss(routing: Routing, mask_N: torch.Tensor | None = None) -> torch.Tensor:
    """The mean squared log-sum-exp of the logits, which keeps them small (arXiv:2202.08906, eq. 5).

    0 when each row's exponentials sum to 1. For the sigmoid router that is: its scores sum to 1.
    """
    return _mean(routing.logits_NE.logsumexp(dim=-1).square(), mask_N)


def label_loss(
    routing: Routing, labels_N: torch.Tensor, mask_N: torch.Tensor | None = None
) -> torch.Tensor:
    """Cross-entropy of the router's probabilities with the expert each row's language belongs to.

    Tells a hard router what to do, which no gradient through its weights can.
    """
    return _mean(F.cross_entropy(routing.logits_NE, labels_N, reduction="none"), mask_N)
