"""Every loss by hand; that pads never count; and what the load balance loss is minimal at."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from codemoe.errors import UserError
from codemoe.routing.decisions import route_noisy_top_k, route_switch, route_top1, route_top_k
from codemoe.routing.losses import (
    expert_load,
    importance_loss,
    label_loss,
    load_balance_loss,
    load_loss,
    z_loss,
)
from codemoe.routing.record import Routing
from tests.routing.make import make_router, rows

PROBS_NE = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
LAST_IS_PAD = torch.tensor([1, 1, 1, 0])


def test_load_balance_by_hand() -> None:
    """f = (3/4, 1/4), P = (0.65, 0.35)."""
    routing = route_top1(PROBS_NE.log())
    assert expert_load(routing).tolist() == [0.75, 0.25]
    assert float(load_balance_loss(routing)) == pytest.approx(2 * (0.75 * 0.65 + 0.25 * 0.35))
    # Without the last row f = (1, 0), P = (2.3 / 3, 0.7 / 3).
    assert float(load_balance_loss(routing, LAST_IS_PAD)) == pytest.approx(2 * 2.3 / 3)
    prior_E = torch.tensor([0.6, 0.4])
    assert float(load_balance_loss(routing, None, prior_E)) == pytest.approx(
        0.75 * 0.65 / 0.6 + 0.25 * 0.35 / 0.4
    )


def test_load_balance_of_a_collapse_is_the_number_of_experts() -> None:
    logits_NE = torch.zeros(7, 5).index_fill(1, torch.tensor([2]), 50.0)
    assert float(load_balance_loss(route_switch(logits_NE))) == pytest.approx(5.0)


def _agreeing(shares: list[float]) -> Routing:
    """Ten rows whose choices and whose mean probabilities have these shares."""
    counts = torch.tensor([round(10 * share) for share in shares])
    experts_N = torch.repeat_interleave(torch.arange(3), counts)
    probs_NE = torch.tensor(shares).expand(10, 3)
    return Routing(torch.ones(10, 1), experts_N[:, None], probs_NE, probs_NE.log())


def test_prior_matched_balance_is_minimal_at_the_prior() -> None:
    """1 + chi^2 of the shares and the prior: 1 at the prior and more everywhere else."""
    prior_E = torch.tensor([0.6, 0.3, 0.1])
    for first in range(11):
        for second in range(11 - first):
            shares = [first / 10, second / 10, (10 - first - second) / 10]
            chi2 = sum((q - p) ** 2 / p for q, p in zip(shares, prior_E.tolist(), strict=True))
            loss = float(load_balance_loss(_agreeing(shares), None, prior_E))
            assert loss == pytest.approx(1 + chi2, abs=1e-5)
            assert (loss < 1 + 1e-5) == (shares == pytest.approx([0.6, 0.3, 0.1]))


def test_prior_matched_balance_rests_where_the_load_is_the_prior() -> None:
    logits_NE = rows(10)[:, :3].clone().requires_grad_()
    experts_NK = _agreeing([0.6, 0.3, 0.1]).experts_NK
    routing = Routing(torch.ones(10, 1), experts_NK, logits_NE.softmax(-1), logits_NE)
    loss = load_balance_loss(routing, None, torch.tensor([6.0, 3.0, 1.0]))
    assert float(loss.detach()) == pytest.approx(1.0)
    loss.backward()
    assert logits_NE.grad is not None
    assert logits_NE.grad.abs().max() < 1e-6
    # The wrong twin: a uniform target pushes a router away from the data's mix.
    logits_NE.grad = None
    load_balance_loss(
        Routing(torch.ones(10, 1), experts_NK, logits_NE.softmax(-1), logits_NE)
    ).backward()
    assert logits_NE.grad.abs().max() > 1e-2


@pytest.mark.parametrize("prior", [[1 / 3, 1 / 3, 1 / 3], [0.6, 0.3, 0.1]])
def test_descent_on_it_brings_the_load_to_the_prior(prior: list[float]) -> None:
    x_ND = rows(600)
    weight_ED = (torch.randn(3, 8, generator=torch.Generator().manual_seed(0))).requires_grad_()
    bias_E = torch.tensor([0.0, 0.0, 4.0], requires_grad=True)  # nearly collapsed
    optimizer = torch.optim.SGD([weight_ED, bias_E], lr=0.3)
    for _ in range(400):
        optimizer.zero_grad()
        routing = route_switch(x_ND @ weight_ED.T + bias_E)
        load_balance_loss(routing, None, torch.tensor(prior)).backward()
        optimizer.step()
    assert expert_load(routing).tolist() == pytest.approx(prior, abs=0.05)


def test_importance_by_hand() -> None:
    """Mean weights (5/6, 1/6): mean 1/2, variance 1/9, so 4/9."""
    experts_NK = torch.tensor([[0, 1], [0, 1], [0, 1], [0, 1]])
    weights_NK = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    routing = Routing(weights_NK, experts_NK, PROBS_NE, PROBS_NE.log())
    assert float(importance_loss(routing, LAST_IS_PAD)) == pytest.approx(4 / 9)
    # With the last row (5/8, 3/8): variance 1/64 over 1/4.
    assert float(importance_loss(routing)) == pytest.approx(1 / 16)


def _normal_cdf(z: float) -> float:
    return 0.5 * (1 + math.erf(z / 2**0.5))


def test_load_by_hand() -> None:
    """One row, K = 1: the chosen expert 0 competes with 0.5, the others with 2."""
    routing = Routing(
        torch.ones(1, 1),
        torch.tensor([[0]]),
        torch.tensor([[1.0, 0.0, -1.0]]).softmax(-1),
        torch.tensor([[1.0, 0.0, -1.0]]),
        noisy_logits_NE=torch.tensor([[2.0, 0.5, -1.0]]),
        noise_std_NE=torch.tensor([[1.0, 1.0, 2.0]]),
    )
    loads = [_normal_cdf(1 - 0.5), _normal_cdf(0 - 2), _normal_cdf((-1 - 2) / 2)]
    mean = sum(loads) / 3
    expected = sum((load - mean) ** 2 for load in loads) / 3 / mean**2
    assert float(load_loss(routing)) == pytest.approx(expected, abs=1e-5)


def test_load_is_the_chance_of_being_chosen_when_its_noise_is_drawn_again() -> None:
    """Eq. 8, by drawing: for each expert alone, the others' noisy logits stay."""
    torch.manual_seed(0)
    logits_NE = torch.tensor([[0.3, -0.2, 0.8, 0.1]])
    std_NE = torch.tensor([[0.5, 1.0, 0.7, 0.3]])
    routing = route_noisy_top_k(logits_NE, std_NE, 2)
    assert routing.noisy_logits_NE is not None
    drawn = []
    for expert in range(4):
        noisy_SE = routing.noisy_logits_NE.repeat(40_000, 1)
        noisy_SE[:, expert] = logits_NE[0, expert] + torch.randn(40_000) * std_NE[0, expert]
        drawn.append(float((noisy_SE.topk(2).indices == expert).any(-1).float().mean()))
    drawn_E = torch.tensor(drawn)
    expected = drawn_E.var(correction=0) / drawn_E.mean() ** 2
    assert float(load_loss(routing)) == pytest.approx(float(expected), abs=0.01)


def test_load_has_gradients_and_needs_a_noisy_router() -> None:
    router = make_router("noisy-top-k").train()
    load_loss(router(rows())).backward()
    for parameter in router.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
        assert parameter.grad.abs().max() > 1e-4
    with pytest.raises(UserError, match="noisy-top-k router that is training"):
        load_loss(router.eval()(rows()))


def test_load_of_experts_that_are_all_chosen_is_even() -> None:
    logits_NE = rows()[:, :4].clone().requires_grad_()
    loss = load_loss(route_noisy_top_k(logits_NE, torch.ones(24, 4), 4))
    loss.backward()
    assert float(loss.detach()) == 0.0


def test_z_loss_by_hand() -> None:
    """log(e^0 + e^0) = log 2 and log(e^log3 + e^0) = log 4."""
    logits_NE = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    routing = route_top_k(logits_NE, 1)
    expected = (math.log(2) ** 2 + math.log(4) ** 2) / 2
    assert float(z_loss(routing)) == pytest.approx(expected)
    assert float(z_loss(routing, torch.tensor([1, 0]))) == pytest.approx(math.log(2) ** 2)


def test_label_loss_by_hand() -> None:
    routing = route_top1(PROBS_NE.log())
    labels_N = torch.tensor([0, 0, 1, 1])
    expected = -(math.log(0.9) + math.log(0.8) + math.log(0.4)) / 3
    assert float(label_loss(routing, labels_N, LAST_IS_PAD)) == pytest.approx(expected)
    assert float(label_loss(routing, labels_N)) == pytest.approx((3 * expected - math.log(0.7)) / 4)


LOSSES: dict[str, Callable[..., torch.Tensor]] = {
    "load balance": load_balance_loss,
    "importance": importance_loss,
    "load": load_loss,
    "z": z_loss,
    "label": lambda routing, mask_N: label_loss(
        routing, torch.arange(len(routing.probs_NE)) % 5, mask_N
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_pads_never_count(name: str) -> None:
    """Masked rows give the loss and the gradient of the real rows alone, whatever they hold."""
    router = make_router("noisy-top-k").train()
    x_ND = rows()
    mask_N = torch.arange(24) < 20

    def run(routing: Any, mask: torch.Tensor | None) -> tuple[float, torch.Tensor]:
        router.zero_grad()
        loss = LOSSES[name](routing, mask)
        loss.backward()
        assert router.weight.grad is not None
        return float(loss.detach()), router.weight.grad.clone()

    torch.manual_seed(0)
    full = router(x_ND)
    real = Routing(**{field: tensor[:20] for field, tensor in vars(full).items()})
    expected, expected_gradient = run(real, None)
    torch.manual_seed(0)
    junk = torch.cat([x_ND[:20], 100 * x_ND[20:]])
    loss, gradient = run(router(junk), mask_N)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert torch.allclose(gradient, expected_gradient, atol=1e-6)
