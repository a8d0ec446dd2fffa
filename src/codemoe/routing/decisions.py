"""The decisions: logits in, a `Routing` out. Pure functions; `routers.py` has the weights.

Each row is decided by itself, whatever else is in the batch, but for two that say so: a capacity
(`route_switch`) and experts that choose (`route_expert_choice`). There, rows compete for places,
and `mask_N` (1 for real tokens, 0 for pads) keeps pads out of the competition.
"""

# N tokens or sequences, K chosen per token, E experts, C places per expert

import math
from dataclasses import replace

import torch
from torch.nn import functional as F

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


def route_softmax(logits_NE: torch.Tensor) -> Routing:
    """Dense: every expert, weighted by its probability (arXiv:1701.06538, eq. 2)."""
    logits_NE = logits_NE.float()
    probs_NE = logits_NE.softmax(dim=-1)
    return Routing(probs_NE, _all_experts(probs_NE), probs_NE, logits_NE)


def route_top_k(logits_NE: torch.Tensor, top_k: int) -> Routing:
    """Mixtral: the K likeliest experts, weights summing to 1 (arXiv:2401.04088, section 2.1).

    A softmax over the K largest logits is the same as a softmax over all that is renormalised over
    the K largest. With K = 1 the weight is always 1 and has no gradient: train `route_switch`.
    """
    logits_NE = logits_NE.float()
    top_NK, experts_NK = logits_NE.topk(top_k, dim=-1)
    return Routing(top_NK.softmax(dim=-1), experts_NK, logits_NE.softmax(dim=-1), logits_NE)


def route_noisy_top_k(logits_NE: torch.Tensor, noise_std_NE: torch.Tensor, top_k: int) -> Routing:
    """Top-k softmax of logits plus Gaussian noise (arXiv:1701.06538, eq. 3 to 5).

    The noise is from torch's default generator because gradient checkpointing restores that one:
    the second run of a layer then draws the same noise. `probs_NE` and `logits_NE` are without it.
    """
    logits_NE = logits_NE.float()
    noisy_NE = logits_NE + torch.randn_like(logits_NE) * noise_std_NE
    return replace(
        route_top_k(noisy_NE, top_k),
        probs_NE=logits_NE.softmax(dim=-1),
        logits_NE=logits_NE,
        noisy_logits_NE=noisy_NE,
        noise_std_NE=noise_std_NE,
    )


def route_switch(
    logits_NE: torch.Tensor,
    capacity_factor: float | None = None,
    mask_N: torch.Tensor | None = None,
) -> Routing:
    """Switch: the likeliest expert, weighted by its probability (arXiv:2101.03961, eq. 1 and 2).

    The softmax is over *all* experts, so the weight is below 1 and has a gradient. With a capacity
    factor an expert takes its first `_capacity` rows (eq. 3); later ones are dropped: their weight
    is 0. Earlier rows have precedence, so a row never depends on those after it; but it does depend
    on the number of rows and on those before, other sequences included. So a capacity is for
    training, where it bounds an expert's batch; without one, rows are independent.
    """
    logits_NE = logits_NE.float()
    probs_NE = logits_NE.softmax(dim=-1)
    weights_NK, experts_NK = probs_NE.max(dim=-1, keepdim=True)
    if capacity_factor is not None:
        asks_NE = F.one_hot(experts_NK[:, 0], probs_NE.shape[-1])
        if mask_N is not None:
            asks_NE = asks_NE * mask_N.to(asks_NE.dtype)[:, None]
        place_N = (asks_NE.cumsum(0) * asks_NE).sum(-1)  # 1 is first; 0 is a pad
        kept_N = (place_N > 0) & (place_N <= _capacity(capacity_factor, probs_NE, mask_N))
        weights_NK = weights_NK * kept_N[:, None]
    return Routing(weights_NK, experts_NK, probs_NE, logits_NE)


def route_sigmoid(
    logits_NE: torch.Tensor, top_k: int, balance_bias_E: torch.Tensor | None = None
) -> Routing:
    """Sigmoid scores; a bias balances the choice without an auxiliary loss.

    The bias has a say in who is chosen and none in the weights (arXiv:2408.15664, eq. 3): those are
    the scores of the chosen, renormalised (DeepSeek-V3, arXiv:2412.19437, eq. 13). A score divided
    by a sum of scores is a softmax of log scores, so the record's logits are log sigmoid(logits).
    """
    log_scores_NE = F.logsigmoid(logits_NE.float())
    choice_NE = log_scores_NE.detach().exp()
    if balance_bias_E is not None:
        choice_NE = choice_NE + balance_bias_E
    experts_NK = choice_NE.topk(top_k, dim=-1).indices
    return Routing(
        weights_NK=log_scores_NE.gather(-1, experts_NK).softmax(dim=-1),
        experts_NK=experts_NK,
        probs_NE=log_scores_NE.softmax(dim=-1),
        logits_NE=log_scores_NE,
    )


def update_bias(
    balance_bias_E: torch.Tensor,
    load_E: torch.Tensor,
    rate: float = 1e-3,
    prior_E: torch.Tensor | None = None,
) -> torch.Tensor:
    """The balancing bias for the next batch: one step up for experts with less than their share.

    arXiv:2408.15664, algorithm 1; `load_E` counts what each expert was sent (or its share, as
    `losses.expert_load`). The share it should have is 1/E there, and `prior_E` here when given:
    experts of languages deserve their language's share of the data.
    """
    load_E = load_E.to(balance_bias_E)
    wanted_E = torch.ones_like(load_E) if prior_E is None else prior_E.to(load_E)
    return balance_bias_E + rate * (wanted_E / wanted_E.sum() - load_E / load_E.sum()).sign()


def route_expert_choice(
    logits_NE: torch.Tensor, capacity_factor: float, mask_N: torch.Tensor | None = None
) -> Routing:
    """Each expert takes the C tokens that are likeliest its own (arXiv:2202.09368, section 3.2).

    Perfectly balanced, and not causal: whether an expert takes a token depends on later tokens. A
    token is taken by 0 to E experts, so K is E here and most weights are 0.
    """
    logits_NE = logits_NE.float()
    probs_NE = logits_NE.softmax(dim=-1)
    bids_NE = probs_NE.detach()
    if mask_N is not None:
        bids_NE = bids_NE.masked_fill(~mask_N.bool()[:, None], -1.0)
    rows_CE = bids_NE.topk(_capacity(capacity_factor, probs_NE, mask_N), dim=0).indices
    taken_NE = torch.zeros_like(probs_NE).scatter(0, rows_CE, 1.0)
    return Routing(probs_NE * taken_NE, _all_experts(probs_NE), probs_NE, logits_NE)


def _all_experts(probs_NE: torch.Tensor) -> torch.Tensor:
    return torch.arange(probs_NE.shape[-1], device=probs_NE.device).expand_as(probs_NE)


def _capacity(factor: float, probs_NE: torch.Tensor, mask_N: torch.Tensor | None) -> int:
    """C = factor * tokens / experts, rounded up, at most every token."""
    num_tokens = len(probs_NE) if mask_N is None else int(mask_N.sum())
    return min(num_tokens, math.ceil(factor * num_tokens / probs_NE.shape[-1]))
