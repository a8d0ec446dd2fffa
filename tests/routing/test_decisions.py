"""Each decision by hand, and what only one router has: noise, capacity, balance, expert choice."""

import pytest
import torch

from codemoe.routing.decisions import (
    route_expert_choice,
    route_sigmoid,
    route_switch,
    route_top1,
    route_top_k,
    update_bias,
)
from codemoe.routing.losses import expert_load
from codemoe.routing.routers import NoisyTopKRouter, SigmoidRouter, SwitchRouter
from tests.routing.make import make_router, rows

# Softmax of these rows: (0.5, 0.25, 0.25), (0.2, 0.7, 0.1).
LOGITS_NE = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.7, 0.1]]).log()


def test_top1() -> None:
    routing = route_top1(LOGITS_NE)
    assert routing.experts_NK.tolist() == [[0], [1]]
    assert routing.weights_NK.tolist() == [[1.0], [1.0]]
    assert routing.gates_NE().tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_top_k_renormalises() -> None:
    routing = route_top_k(LOGITS_NE[1:], 2)
    assert routing.experts_NK.tolist() == [[1, 0]]
    assert routing.weights_NK[0].tolist() == pytest.approx([7 / 9, 2 / 9])
    assert routing.probs_NE[0].tolist() == pytest.approx([0.2, 0.7, 0.1])


def test_noise_only_while_training() -> None:
    router = make_router("noisy-top-k")
    assert isinstance(router, NoisyTopKRouter)
    quiet = router.eval()(rows())
    assert quiet.noisy_logits_NE is None
    assert torch.equal(quiet.weights_NK, route_top_k(router.logits(rows()), 2).weights_NK)
    router.train()
    torch.manual_seed(0)
    first, second = router(rows()), router(rows())
    torch.manual_seed(0)
    again = router(rows())
    assert not torch.equal(first.noisy_logits_NE, second.noisy_logits_NE)
    assert torch.equal(first.noisy_logits_NE, again.noisy_logits_NE)
    assert torch.equal(first.logits_NE, quiet.logits_NE)
    chosen_NK = first.noisy_logits_NE.topk(2).indices
    assert torch.equal(first.experts_NK, chosen_NK)


def test_noise_has_the_learned_size() -> None:
    """Eq. 4: the spread around the clean logits is softplus(x W_noise)."""
    router = NoisyTopKRouter(torch.zeros(3, 2), top_k=1)
    with torch.no_grad():
        router.noise_weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0], [-9.0, 0.0]]))
    routing = router(torch.tensor([[2.0, 5.0]]).expand(40_000, 2))
    # softplus(0), softplus(2), softplus(-18), each with the floor of 0.01.
    wanted = torch.tensor([0.693147, 2.126928, 0.0]) + 0.01
    assert torch.allclose(routing.noise_std_NE[0], wanted, atol=1e-5)
    assert torch.allclose(routing.noisy_logits_NE.std(0), wanted, rtol=0.03)


def test_switch_drops_the_last_of_those_over_capacity() -> None:
    """Six rows, two experts: three places each at factor 1; five rows ask for expert 0."""
    logits_NE = torch.tensor([[2.0, 0.0]] * 2 + [[0.0, 2.0]] + [[2.0, 0.0]] * 3)
    routing = route_switch(logits_NE, 1.0)
    assert routing.experts_NK[:, 0].tolist() == [0, 0, 1, 0, 0, 0]
    assert (routing.weights_NK[:, 0] > 0).tolist() == [True, True, True, True, False, False]
    assert (route_switch(logits_NE, 1.3).weights_NK > 0).sum() == 5
    assert (route_switch(logits_NE, 1.5).weights_NK > 0).all()
    # A pad neither takes a place (row 0) nor counts for the capacity: ceil(4 / 2) = 2 places.
    mask_N = torch.tensor([0, 1, 1, 1, 1, 0])
    masked = route_switch(logits_NE, 1.0, mask_N)
    assert (masked.weights_NK[:, 0] > 0).tolist() == [False, True, True, True, False, False]


def test_switch_drops_nothing_in_evaluation() -> None:
    router = SwitchRouter(torch.eye(2), capacity_factor=0.5)
    x_ND = torch.tensor([[1.0, 0.0]] * 8)
    assert (router.train()(x_ND).weights_NK > 0).sum() == 2
    assert (router.eval()(x_ND).weights_NK > 0).sum() == 8


def test_sigmoid_bias_chooses_and_does_not_weigh() -> None:
    logits_NE = torch.tensor([[1.0, 0.0, -1.0]])
    scores_E = logits_NE[0].sigmoid()
    plain = route_sigmoid(logits_NE, 2)
    assert plain.experts_NK.tolist() == [[0, 1]]
    assert torch.allclose(plain.weights_NK[0], scores_E[:2] / scores_E[:2].sum())
    assert torch.allclose(plain.probs_NE[0], scores_E / scores_E.sum())
    biased = route_sigmoid(logits_NE, 2, torch.tensor([0.0, 0.0, 0.9]))
    assert biased.experts_NK.tolist() == [[2, 0]]
    assert torch.allclose(biased.weights_NK[0], scores_E[[2, 0]] / scores_E[[2, 0]].sum())


def test_update_bias_by_hand() -> None:
    bias_E = update_bias(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([6, 2, 4]), rate=0.1)
    assert bias_E.tolist() == pytest.approx([-0.1, 1.1, 0.0])
    prior_E = torch.tensor([0.5, 0.4, 0.1])
    bias_E = update_bias(torch.zeros(3), torch.tensor([6, 2, 4]), 0.1, prior_E)
    assert bias_E.tolist() == pytest.approx([0.0, 0.1, -0.1])


@pytest.mark.parametrize("prior", [None, [0.4, 0.3, 0.1, 0.1, 0.1]])
def test_updates_of_the_bias_balance_a_collapsed_router(prior: list[float] | None) -> None:
    router = make_router("sigmoid")
    assert isinstance(router, SigmoidRouter)
    x_ND = rows(500)
    with torch.no_grad():
        assert router.bias is not None
        router.bias.copy_(torch.tensor([4.0, 0.0, 0.0, 0.0, 0.0]))
    prior_E = torch.full((5,), 0.2) if prior is None else torch.tensor(prior)
    assert (expert_load(router(x_ND)) - prior_E).abs().max() > 0.09
    for _ in range(400):
        load_E = expert_load(router(x_ND))
        router.balance_bias.copy_(update_bias(router.balance_bias, load_E, 0.01, prior_E))
    assert (expert_load(router(x_ND)) - prior_E).abs().max() < 0.03


def test_expert_choice_takes_the_likeliest_rows() -> None:
    """Four rows, two experts, factor 1: two rows each."""
    probs_0 = torch.tensor([0.9, 0.8, 0.3, 0.6])
    logits_NE = torch.stack([probs_0, 1 - probs_0], dim=-1).log()
    gates_NE = route_expert_choice(logits_NE, 1.0).gates_NE()
    # Expert 0 takes rows 0 and 1; expert 1 takes row 2 (0.7) and row 3 (0.4).
    wanted_NE = torch.tensor([[0.9, 0.0], [0.8, 0.0], [0.0, 0.7], [0.0, 0.4]])
    assert torch.allclose(gates_NE, wanted_NE)
    # Without row 0, which is a pad: ceil(3 / 2) = 2 places.
    masked_NE = route_expert_choice(logits_NE, 1.0, torch.tensor([0, 1, 1, 1])).gates_NE()
    wanted_NE = torch.tensor([[0.0, 0.0], [0.8, 0.0], [0.0, 0.7], [0.6, 0.4]])
    assert torch.allclose(masked_NE, wanted_NE)


def test_expert_choice_is_balanced() -> None:
    gates_NE = make_router("expert-choice", capacity_factor=2.0).train()(rows(25)).gates_NE()
    assert ((gates_NE > 0).sum(0) == 10).all()
