"""What holds for every router: weights, permutations, causality, determinism, precision, errors."""

from collections.abc import Callable

import pytest
import torch

from codemoe.errors import UserError
from codemoe.routing.routers import ROUTERS, LinearRouter, build_router
from tests.routing.make import NUM_EXPERTS, TOP_K, make_router, rows

KINDS = tuple(ROUTERS)
# Expert choice runs in training only; it has tests of its own below.
TOKEN_CHOICE = tuple(kind for kind in KINDS if kind != "expert-choice")
SUM_TO_ONE = ("top-1", "softmax", "top-k", "noisy-top-k", "sigmoid")
CHOSEN = {
    "top-1": 1,
    "softmax": NUM_EXPERTS,
    "top-k": TOP_K,
    "noisy-top-k": TOP_K,
    "switch": 1,
    "sigmoid": TOP_K,
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_probabilities(kind: str, training: bool) -> None:
    if kind == "expert-choice" and not training:
        return
    routing = make_router(kind).train(training)(rows())
    gates_NE = routing.gates_NE()
    assert (routing.weights_NK >= 0).all()
    assert torch.allclose(routing.probs_NE, routing.logits_NE.softmax(-1), atol=1e-6)
    if kind in SUM_TO_ONE:
        assert torch.allclose(gates_NE.sum(-1), torch.ones(24))
    if kind in CHOSEN and not (kind == "switch" and training):
        assert ((gates_NE > 0).sum(-1) == CHOSEN[kind]).all()
    if kind == "switch":
        kept_N = gates_NE.sum(-1) > 0
        assert torch.equal(gates_NE.sum(-1)[kept_N], routing.probs_NE.max(-1).values[kept_N])


@pytest.mark.parametrize("kind", KINDS)
def test_permuting_experts_permutes_the_gates(kind: str) -> None:
    order_E = torch.tensor([3, 0, 4, 2, 1])
    router = make_router(kind).train(kind == "expert-choice")
    permuted = make_router(kind).train(kind == "expert-choice")
    permuted.load_state_dict({name: t[order_E] for name, t in router.state_dict().items()})
    assert torch.allclose(
        permuted(rows()).gates_NE(), router(rows()).gates_NE()[:, order_E], atol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
def test_permuting_tokens_permutes_the_rows(kind: str) -> None:
    order_N = torch.randperm(24, generator=torch.Generator().manual_seed(2))
    router = make_router(kind).train(kind == "expert-choice")
    plain_NE, permuted_NE = router(rows()).gates_NE(), router(rows()[order_N]).gates_NE()
    assert torch.allclose(permuted_NE, plain_NE[order_N], atol=1e-6)


@pytest.mark.parametrize("kind", TOKEN_CHOICE)
def test_a_row_alone_is_the_row_in_a_batch(kind: str) -> None:
    router = make_router(kind)
    alone_NE = torch.cat([router(rows()[i : i + 1]).gates_NE() for i in range(24)])
    assert torch.allclose(alone_NE, router(rows()).gates_NE(), atol=1e-6)


def _earlier_rows_change(router: LinearRouter) -> bool:
    """Whether the first 16 rows' gates depend on the last 8, the noise being the same."""
    other = torch.cat([rows()[:16], 3 * rows(seed=9)[:8]])
    gates = []
    for x_ND in (rows(), other):
        torch.manual_seed(0)
        gates.append(router(x_ND).gates_NE()[:16])
    return not torch.allclose(*gates, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", TOKEN_CHOICE)
def test_causal(kind: str, training: bool) -> None:
    assert not _earlier_rows_change(make_router(kind).train(training))


def test_expert_choice_is_not_causal_and_refuses_to_generate() -> None:
    router = make_router("expert-choice")
    assert _earlier_rows_change(router.train())
    with pytest.raises(UserError, match="expert choice routing cannot generate"):
        router.eval()(rows())


@pytest.mark.parametrize("kind", TOKEN_CHOICE)
def test_evaluation_is_deterministic(kind: str) -> None:
    router = make_router(kind)
    state = torch.get_rng_state()
    first, second = router(rows()), router(rows())
    assert torch.equal(first.gates_NE(), second.gates_NE())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_a_forward_pass_leaves_nothing_behind(kind: str) -> None:
    router = make_router(kind).train()

    def held() -> dict[str, object]:
        return {**vars(router), **router._parameters, **router._buffers}

    before, state = held(), {name: t.clone() for name, t in router.state_dict().items()}
    router(rows())
    after = held()
    assert after.keys() == before.keys()
    assert all(after[key] is value for key, value in before.items())
    assert all(torch.equal(t, state[name]) for name, t in router.state_dict().items())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "top-1"])
def test_gradients_reach_the_router_through_the_weights(kind: str) -> None:
    router = make_router(kind).train()
    direction_NE = rows(24, seed=3)[:, :NUM_EXPERTS]
    (router(rows()).gates_NE() * direction_NE).sum().backward()
    assert router.weight.grad is not None
    assert router.weight.grad.isfinite().all()
    assert router.weight.grad.abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_float32_inside(kind: str) -> None:
    """Also for bfloat16 rows, for a router cast to bfloat16, and under autocast."""
    router = make_router(kind).train()
    x_ND = rows().bfloat16()
    torch.manual_seed(0)
    expected = router(x_ND.float())
    for place in ("rows", "autocast"):
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=place == "autocast"):
            routing = router(x_ND)
        assert torch.equal(routing.logits_NE, expected.logits_NE)
        assert torch.equal(routing.weights_NK, expected.weights_NK)
    routing = router.bfloat16()(x_ND)
    for tensor in (routing.weights_NK, routing.probs_NE, routing.logits_NE):
        assert tensor.dtype == torch.float32


def test_what_cannot_be_built_is_refused() -> None:
    weight_ED = torch.randn(5, 8)
    build: Callable[..., LinearRouter] = build_router
    for kind in ("top-k", "noisy-top-k", "sigmoid"):
        with pytest.raises(UserError, match="top_k is 6 but the mixture has 5 experts"):
            build(kind, weight_ED, top_k=6)
        with pytest.raises(UserError, match="top_k is 0"):
            build(kind, weight_ED, top_k=0)
        assert build(kind, weight_ED, top_k=5).eval()(rows()).experts_NK.shape == (24, 5)
    with pytest.raises(UserError, match="no router is called 'best'"):
        build("best", weight_ED)
