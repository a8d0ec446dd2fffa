"""What goes wrong silently elsewhere (DESIGN.md, section 6)."""

import pytest
import torch
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from codemoe.routing.decisions import route_top_k
from codemoe.routing.losses import load_balance_loss
from codemoe.routing.routers import LinearRouter, build_router
from tests.routing.make import NUM_EXPERTS, NUM_FEATURES, rows


def _router_gradient(router: LinearRouter, experts_EDD: torch.Tensor) -> float:
    """The largest entry of d loss / d router, for a mixture of linear experts."""
    x_ND = rows()
    outputs_NED = torch.einsum("nd,edo->neo", x_ND, experts_EDD)
    mixed_ND = (outputs_NED * router(x_ND).gates_NE()[..., None]).sum(1)
    (mixed_ND - rows(seed=5)).square().mean().backward()
    return 0.0 if router.weight.grad is None else float(router.weight.grad.abs().max())


def _experts(identical: bool) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    shape = (1 if identical else NUM_EXPERTS, NUM_FEATURES, NUM_FEATURES)
    return torch.randn(shape, generator=generator).expand(NUM_EXPERTS, -1, -1)


def _router(kind: str, top_k: int = 2) -> LinearRouter:
    generator = torch.Generator().manual_seed(0)
    weight_ED = torch.randn(NUM_EXPERTS, NUM_FEATURES, generator=generator)
    return build_router(kind, weight_ED, top_k=top_k, capacity_factor=5.0)


def test_softmax_after_top_1_gives_the_router_no_gradient() -> None:
    assert _router_gradient(_router("top-k", top_k=1), _experts(identical=False)) == 0.0


def test_softmax_before_top_1_gives_it_one() -> None:
    assert _router_gradient(_router("switch"), _experts(identical=False)) > 1e-2


@pytest.mark.parametrize("kind", ["softmax", "top-k", "noisy-top-k", "sigmoid"])
def test_identical_experts_give_the_router_no_gradient(kind: str) -> None:
    """Weights that sum to 1 cannot matter then: routers train only once experts differ."""
    assert _router_gradient(_router(kind), _experts(identical=True)) < 1e-5
    assert _router_gradient(_router(kind), _experts(identical=False)) > 1e-2


@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_balance_is_1_here_and_k_in_transformers(top_k: int) -> None:
    """Rows that are rotations of one another: every expert is chosen and likely equally often."""
    row_E = torch.tensor([1.5, 0.7, 0.1, -0.4, -1.0])
    logits_NE = torch.stack([row_E.roll(i) for i in range(5)])
    theirs = load_balancing_loss_func((logits_NE,), num_experts=5, top_k=top_k)
    ours = load_balance_loss(route_top_k(logits_NE, top_k))
    assert float(theirs) == pytest.approx(top_k, abs=1e-5)
    assert float(ours) == pytest.approx(1.0, abs=1e-5)


def test_balance_agrees_with_transformers_but_for_k_and_pads_never_count() -> None:
    logits_NE = 2 * rows(30, seed=3)[:, :5]
    mask_N = (torch.arange(30) % 4 > 0).long()
    theirs = load_balancing_loss_func((logits_NE,), 5, 2, mask_N)
    ours = load_balance_loss(route_top_k(logits_NE, 2), mask_N)
    assert float(ours) == pytest.approx(float(theirs) / 2, abs=1e-5)
    assert float(ours) != pytest.approx(float(load_balance_loss(route_top_k(logits_NE, 2))), 1e-3)
