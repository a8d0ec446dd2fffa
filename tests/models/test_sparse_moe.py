"""The sparse layer: loop == groups == the definition by gates == Hugging Face's Mixtral block."""

import copy

import pytest
import torch
from torch import nn
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

from codemoe.models.sparse_moe import (
    Experts,
    SparseMoe,
    StackedLinear,
    by_groups,
    by_loop,
)
from codemoe.routing.collect import RoutingCollector
from codemoe.routing.record import Routing
from tests.models.tiny import Always, TopK

# N tokens, D model, F hidden, E experts, K experts per token
N, D, F, E = 23, 8, 12, 4


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _experts(gated: bool, bias: bool) -> Experts:
    def linear(outputs: int, inputs: int, seed: int) -> StackedLinear:
        return StackedLinear(
            _random(E, outputs, inputs, seed=seed) * 0.3,
            _random(E, outputs, seed=seed + 9) if bias else None,
        )

    gate = linear(F, D, 1) if gated else None
    return Experts(linear(F, D, 2), linear(D, F, 3), nn.SiLU(), gate)


def _routing(k: int, unused: int | None = None) -> Routing:
    """Random, and differentiable in its logits; no token chooses the `unused` expert."""
    logits_NE = _random(N, E, seed=4)
    if unused is not None:
        logits_NE[:, unused] = -100.0
    logits_NE.requires_grad_()
    probs_NE = logits_NE.softmax(-1)
    weights_NK, experts_NK = probs_NE.topk(k)
    return Routing(weights_NK, experts_NK, probs_NE, logits_NE)


def _by_gates(experts: Experts, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
    """Every expert on every token, times its gate: zero where it was not chosen."""
    gates_NE = routing.gates_NE()
    return sum(gates_NE[:, e, None] * experts.one(x_ND, e) for e in range(E))  # type: ignore[return-value]


def _forward_and_gradients(path, experts: Experts, routing: Routing) -> list[torch.Tensor]:  # type: ignore[no-untyped-def]
    x_ND = _random(N, D, seed=5).requires_grad_()
    y_ND = path(experts, x_ND, routing)
    inputs = [x_ND, routing.logits_NE, *experts.parameters()]
    loss = (y_ND * _random(N, D, seed=6)).sum()
    gradients = torch.autograd.grad(loss, inputs, retain_graph=True)  # of the routing, for the next
    return [y_ND, *gradients]


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("k", "unused"), [(1, None), (2, None), (E, None), (1, 0), (2, 3)])
def test_groups_are_the_loop(gated: bool, bias: bool, k: int, unused: int | None) -> None:
    """Values and all gradients, also where an expert gets no token: its gradients are zero."""
    experts, routing = _experts(gated, bias), _routing(k, unused)
    groups, loop, gates = (
        _forward_and_gradients(path, experts, routing) for path in (by_groups, by_loop, _by_gates)
    )
    for found, expected, defined in zip(groups, loop, gates, strict=True):
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(found, defined)
    others = Routing(
        routing.weights_NK, (routing.experts_NK + 1) % E, routing.probs_NE, routing.logits_NE
    )
    if k < E:  # the wrong twin
        assert not torch.allclose(by_groups(experts, _random(N, D, seed=5), others), groups[0])


def test_frozen_experts_still_pass_gradients_to_the_tokens() -> None:
    experts, routing = _experts(gated=True, bias=True), _routing(2)
    expected = _forward_and_gradients(by_loop, experts, routing)[:3]
    experts.requires_grad_(False)
    x_ND = _random(N, D, seed=5).requires_grad_()
    y_ND = by_groups(experts, x_ND, routing)
    (y_ND * _random(N, D, seed=6)).sum().backward()
    found = [y_ND, x_ND.grad, routing.logits_NE.grad]
    for got, want in zip(found, expected, strict=True):
        torch.testing.assert_close(got, want)
    assert all(parameter.grad is None for parameter in experts.parameters())


@pytest.mark.parametrize("k", [1, 2])
def test_parity_with_hugging_face(k: int) -> None:
    """Mixtral's block with the same weights: values and gradients of tokens and router."""
    config = MixtralConfig(
        hidden_size=D,
        intermediate_size=F,
        num_attention_heads=2,
        num_local_experts=E,
        num_experts_per_tok=k,
    )
    config._experts_implementation = "eager"
    block = MixtralSparseMoeBlock(config).double()
    with torch.no_grad():
        for seed, parameter in enumerate(block.parameters()):
            parameter.copy_(_random(*parameter.shape, seed=seed))
    gate, up = block.experts.gate_up_proj.detach().chunk(2, 1)
    experts = Experts(
        StackedLinear(up.clone()),
        StackedLinear(block.experts.down_proj.detach().clone()),
        nn.SiLU(),
        StackedLinear(gate.clone()),
    )
    moe = SparseMoe(TopK(block.gate.weight.detach().clone(), k), experts)
    results = []
    for layer, router in ((block, block.gate), (moe, moe.router)):
        x_BTD = _random(2, 5, D, seed=7).requires_grad_()
        y_BTD = layer(x_BTD)
        loss = (y_BTD * _random(2, 5, D, seed=8)).sum()
        results.append((y_BTD, *torch.autograd.grad(loss, [x_BTD, router.weight])))
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)
    twin = SparseMoe(TopK(block.gate.weight.detach(), k, total=0.5), experts)
    assert not torch.allclose(twin(_random(2, 5, D, seed=7)), results[0][0])


def test_a_token_does_not_depend_on_the_others() -> None:
    moe = SparseMoe(TopK(_random(E, D, seed=9), 2), _experts(gated=True, bias=False))
    x_BTD = _random(3, 7, D)
    y_BTD = moe(x_BTD)
    order_B = torch.tensor([2, 0, 1])
    torch.testing.assert_close(moe(x_BTD[order_B]), y_BTD[order_B])
    torch.testing.assert_close(moe(x_BTD[1:2, 3:4]), y_BTD[1:2, 3:4])


def test_the_shared_expert_is_added_for_every_token() -> None:
    routed = SparseMoe(Always(1, E), _experts(gated=True, bias=False))
    shared = nn.Linear(D, D).double()
    both = SparseMoe(routed.router, routed.experts, shared)
    x_BTD = _random(2, 3, D)
    torch.testing.assert_close(both(x_BTD), routed(x_BTD) + shared(x_BTD))


def test_routings_go_to_whoever_asks() -> None:
    collector = RoutingCollector()
    model = nn.Sequential(
        *(
            SparseMoe(
                Always(expert, E),
                _experts(gated=False, bias=True),
                index=index,
                collector=collector,
            )
            for index, expert in enumerate((2, 0))
        )
    )
    with collector.collect(for_loss=False) as routings:
        model(_random(2, 3, D))
    assert [routings[i].experts_NK.unique().tolist() for i in (0, 1)] == [[2], [0]]
    assert routings[0].weights_NK.shape == (6, 1)
    before = routings[1]
    model(_random(2, 3, D))
    assert routings[1] is before, "the scope has ended"


def test_a_router_with_more_experts_than_there_are() -> None:
    with pytest.raises(AssertionError, match="not there"):
        SparseMoe(Always(E, E + 1), _experts(gated=True, bias=False))(_random(1, 2, D))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_groups_are_the_loop_on_a_gpu(bias: bool, dtype: torch.dtype) -> None:
    """bfloat16 runs PyTorch's grouped kernel; its rounding is 2^-8."""

    def linear(outputs: int, inputs: int) -> StackedLinear:
        return StackedLinear(
            torch.randn(E, outputs, inputs, device="cuda", dtype=dtype) / inputs**0.5,
            torch.randn(E, outputs, device="cuda", dtype=dtype) if bias else None,
        )

    experts = Experts(linear(128, 64), linear(64, 128), nn.SiLU(), linear(128, 64))
    router = TopK(torch.randn(E, 64, device="cuda", dtype=dtype), 2)
    x_ND = torch.randn(96, 64, device="cuda", dtype=dtype)
    results = []
    for path, twin in ((by_loop, copy.deepcopy(experts)), (by_groups, experts)):
        own_ND = x_ND.clone().requires_grad_()
        y_ND = path(twin, own_ND, router(x_ND))
        y_ND.square().sum().backward()
        results.append([y_ND, own_ND.grad, *(p.grad for p in twin.parameters())])
    for expected, found in zip(*results, strict=True):
        scale = expected.float().abs().max()
        bound = 0.03 if dtype == torch.bfloat16 else 1e-4
        assert (found - expected).float().abs().max() <= bound * scale
