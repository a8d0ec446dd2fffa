"""Stacked experts: every way they run is the plain sum over experts, and so are its gradients."""

# B batch, T tokens, D inputs, O outputs, R rank, E experts

from typing import Any

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from codemoe.models.adapter_moe import (
    Gates,
    LoraFactors,
    MixtureLayers,
    StackedLora,
    attach,
    one_hot_gates,
)
from tests.models.tiny import tiny_model

B, T, D, OUT = 3, 5, 8, 6
RANKS = (2, 0, 3)  # the second expert does not adapt this projection
E = len(RANKS)


def _factors() -> list[LoraFactors]:
    generator = torch.Generator().manual_seed(1)
    return [
        LoraFactors(
            torch.randn(r, D, generator=generator), torch.randn(OUT, r, generator=generator)
        )
        for r in RANKS
    ]


def _base(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "4-bit":
        quantized = pytest.importorskip("bitsandbytes").nn.Linear4bit(64, 64, quant_type="nf4")
        return quantized.to("cpu")
    return Conv1D(OUT, D) if kind == "Conv1D" else nn.Linear(D, OUT)


def _x() -> torch.Tensor:
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(2))


def _plain(
    base: nn.Module, factors: list[LoraFactors], x_BTD: torch.Tensor, gates_BTE: torch.Tensor
) -> torch.Tensor:
    y_BTO = base(x_BTD)
    for expert, one in enumerate(factors):
        y_BTO = y_BTO + gates_BTE[..., expert, None] * (x_BTD @ one.a_RD.T @ one.b_OR.T)
    return y_BTO


def _stacked(base: nn.Module, factors: list[LoraFactors]) -> tuple[StackedLora, MixtureLayers]:
    gates = Gates(torch.float32)
    stacked = StackedLora(base, factors, gates)
    stacked.requires_grad_(False)
    return stacked, MixtureLayers(stacked, len(factors), gates)


def _draw(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


GATES = {
    "weights of every token": _draw(B, T, E),
    "weights of every row": _draw(B, 1, E),
    "weights for all": _draw(1, 1, E),
    "one expert a row": one_hot_gates(torch.tensor([2, 0, 1]), E),
    "one expert": one_hot_gates(torch.tensor([2, 2, 2]), E),
    "one expert for all": one_hot_gates(torch.tensor([0]), E),
    "one expert without factors": one_hot_gates(torch.tensor([1, 1, 1]), E),
    "one expert on some tokens": one_hot_gates(torch.tensor([2] * B), E) * (_draw(B, T, 1) > 0.5),
    "one expert in part": one_hot_gates(torch.tensor([2] * B), E) * 0.5,
    "none": torch.zeros(B, 1, E),
    "all": torch.ones(B, 1, E),
}


@pytest.mark.parametrize("kind", ["Linear", "Conv1D"])
@pytest.mark.parametrize("name", GATES)
def test_gates_mean_the_plain_sum(name: str, kind: str) -> None:
    base, factors, x_BTD = _base(kind), _factors(), _x()
    stacked, layers = _stacked(base, factors)
    with torch.inference_mode(), layers.use(GATES[name]):
        found = stacked(x_BTD)
    expected = _plain(base, factors, x_BTD, GATES[name])
    assert torch.allclose(found, expected, atol=1e-5)
    others = _plain(base, factors, x_BTD, GATES[name].roll(1, -1))  # the wrong twin
    assert torch.allclose(found, others, atol=1e-5) == (name in ("none", "all"))
    assert torch.equal(stacked(x_BTD), base(x_BTD))  # and without gates it is the base


@pytest.mark.parametrize("experts", [(0, 2, 1), (1, 1, 2)])
@pytest.mark.parametrize("start", [0, 3])
def test_long_rows_run_their_own_ranks_alone(experts: tuple[int, ...], start: int) -> None:
    base, factors = _base("Linear"), _factors()
    stacked, layers = _stacked(base, factors)
    x_BTD = torch.randn(3, 20, D, generator=torch.Generator().manual_seed(5))
    gates_B1E = one_hot_gates(torch.tensor(experts), len(factors))
    own = {row for expert in experts for row in range(*stacked.rows[expert].indices(99))}
    idle = [row for row in range(len(stacked.a_RD)) if row not in own]
    stacked.a_RD[idle] = float("nan")  # not even read
    with torch.inference_mode(), layers.use(gates_B1E, start):
        found = stacked(x_BTD)
    gates_BTE = gates_B1E.expand(-1, 20, -1).clone()
    gates_BTE[:, :start] = 0
    assert torch.allclose(found, _plain(base, factors, x_BTD, gates_BTE), atol=1e-5)


@pytest.mark.parametrize("with_gradients", [False, True])
@pytest.mark.parametrize("name", ["weights of every row", "one expert a row", "one expert"])
def test_the_base_alone_reads_the_columns_before_start(name: str, with_gradients: bool) -> None:
    """As if their gates were 0, without multiplying by it."""
    base, factors, x_BTD = _base("Linear"), _factors(), _x()
    stacked, layers = _stacked(base, factors)
    with torch.set_grad_enabled(with_gradients), layers.use(GATES[name], start=2):
        found = stacked(x_BTD)
    gates_BTE = GATES[name].expand(B, T, -1).clone()
    gates_BTE[:, :2] = 0
    assert torch.allclose(found, _plain(base, factors, x_BTD, gates_BTE), atol=1e-5)
    assert torch.equal(found[:, :2], base(x_BTD)[:, :2])


@pytest.mark.parametrize("kind", ["Linear", "Conv1D"])
@pytest.mark.parametrize("name", GATES)
def test_gradients_are_those_of_the_plain_sum(name: str, kind: str) -> None:
    """Of gates and of inputs, also where a hard gate makes most factors idle."""
    base, factors = _base(kind).requires_grad_(False), _factors()
    stacked, layers = _stacked(base, factors)
    grad_BTO = torch.randn(B, T, OUT, generator=torch.Generator().manual_seed(4))
    gradients = []
    for run in ("stacked", "plain"):
        x_BTD, gates_BTE = _x().requires_grad_(), GATES[name].clone().requires_grad_()
        if run == "plain":
            y_BTO = _plain(base, factors, x_BTD, gates_BTE)
        else:
            with layers.use(gates_BTE):
                y_BTO = stacked(x_BTD)
        gradients.append(torch.autograd.grad(y_BTO, (x_BTD, gates_BTE), grad_BTO))
    for found, expected in zip(*gradients, strict=True):
        assert torch.allclose(found, expected, atol=1e-4)
    assert (gradients[0][1][..., 0] != 0).all()  # idle or not


def _input_gradients(
    stacked: StackedLora,
    layers: MixtureLayers,
    factors: list[LoraFactors],
    x_BTD: torch.Tensor,
    gates_BTE: torch.Tensor,
) -> list[torch.Tensor]:
    """Of the stack, and of the plain sum."""
    gradients = []
    for run in ("stacked", "plain"):
        x_BTD = x_BTD.clone().requires_grad_()
        if run == "plain":
            y_BTO = _plain(stacked.base, factors, x_BTD, gates_BTE)
        else:
            with layers.use(gates_BTE):
                y_BTO = stacked(x_BTD)
        gradients += torch.autograd.grad(y_BTO.square().mean(), x_BTD)
    return gradients


@pytest.mark.parametrize("name", ["one expert", "one expert a row"])
def test_an_input_gets_its_gradient_through_fixed_gates(name: str) -> None:
    factors = _factors()
    stacked, layers = _stacked(_base("Linear"), factors)
    gradients = _input_gradients(stacked, layers, factors, _x(), GATES[name])
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)


def test_a_single_expert_runs_without_the_others() -> None:
    """What they hold is not even read: nothing times zero would be nothing."""
    base, factors, x_BTD = _base("Linear"), _factors(), _x()
    stacked, layers = _stacked(base, factors)
    stacked.a_RD[stacked.rows[0]] = float("nan")
    with torch.inference_mode():
        with layers.use(GATES["one expert"]):
            assert torch.isfinite(stacked(x_BTD)).all()
        with layers.use(GATES["one expert a row"]):  # the other way through
            assert stacked(x_BTD).isnan().all()


@pytest.mark.parametrize("experts", [(1, 1), (0, 1)])
def test_a_4bit_base_passes_gradients_too(experts: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    factors = [
        LoraFactors(*(torch.randn(shape, generator=generator) for shape in ((2, 64), (64, 2))))
        for _ in range(2)
    ]
    stacked, layers = _stacked(_base("4-bit"), factors)
    gates_B1E = one_hot_gates(torch.tensor(experts), 2)
    x_BTD = torch.randn(2, 3, 64, generator=generator)
    gradients = _input_gradients(stacked, layers, factors, x_BTD, gates_B1E)
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)


def test_factors_take_the_type_of_the_base() -> None:
    """Half the memory on a 16-bit base, and no conversion of its states in every projection."""
    model: Any = tiny_model("mistral").to(torch.bfloat16)
    path = "model.layers.0.mlp.up_proj"
    base = model.get_submodule(path)
    generator = torch.Generator().manual_seed(0)
    experts = [
        {
            path: LoraFactors(
                torch.randn(3, 32, generator=generator), torch.randn(48, 3, generator=generator)
            )
        }
        for _ in range(2)
    ]
    layers = attach(model, experts)
    stacked = model.get_submodule(path)
    assert (stacked.a_RD.dtype, stacked.b_RO.dtype) == (torch.bfloat16, torch.bfloat16)
    x_BTD = torch.randn(2, 4, 32, generator=generator)
    rounded = [
        LoraFactors(e[path].a_RD.bfloat16().float(), e[path].b_OR.bfloat16().float())
        for e in experts
    ]
    for chosen in ([0, 1], [1, 1]):
        gates_B1E = one_hot_gates(torch.tensor(chosen), 2)
        with torch.inference_mode(), layers.use(gates_B1E):
            found = stacked(x_BTD.bfloat16())
        assert found.dtype == torch.bfloat16
        exact = _plain(base.float(), rounded, x_BTD.bfloat16().float(), gates_B1E)
        base.bfloat16()
        gap = (found.float() - exact).abs().max() / exact.abs().max()
        assert gap < 0.02  # a few roundings to 8 bits


def test_experts_may_adapt_different_projections() -> None:
    model: Any = tiny_model("mistral")
    up, q = "model.layers.0.mlp.up_proj", "model.layers.1.self_attn.q_proj"
    first = {up: LoraFactors(torch.ones(2, 32), torch.ones(48, 2))}
    second = {q: LoraFactors(torch.ones(1, 32), torch.ones(32, 1))}
    attach(model, [first, second])
    assert model.get_submodule(up).ranks == (2, 0)
    assert model.get_submodule(q).ranks == (0, 1)
