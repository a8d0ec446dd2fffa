"""Gradient training of token gates: what runs is trained, and nothing but the gates changes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codemoe.data.rows import Row
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.load import TRAINED_EXPERTS, CodeModel, attach_experts, load_base
from codemoe.models.reference import BaseReference
from codemoe.models.routers_file import load_routers, save_routers
from codemoe.router_config import GateTraining
from codemoe.routing.decisions import route_top1
from codemoe.routing.routers import build_router
from codemoe.train.gate_training import relaxed, train_gates
from tests.models.full import random_full
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model

TRAIN = GateTraining(steps=90, batch_size=4, learning_rate=0.05)
ROWS = [
    Row(f"{i}", f"{i}", language, "add two numbers", code, "s", "")
    for i in range(4)
    for language, code in (("python", "def add(a, b):\n    return a"), ("java", "int add {}"))
]
LABELS = [0, 1] * 4


@pytest.fixture
def model(tmp_path: Path) -> CodeModel:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    adapters = {n: random_adapter(base, tmp_path / n, "mlp", 3, i) for i, n in enumerate("ab")}
    return attach_experts(load_base(BaseReference(str(base))), adapters, "completion")


def _gates(top_k: int = 1) -> list:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(2, 32, generator=generator) * 0.1 for _ in range(2)]
    return [build_router("top-k", weight, top_k=top_k) for weight in weights]


def test_relaxed_runs_as_it_will_and_has_a_gradient() -> None:
    logits_NE = torch.randn(5, 3, requires_grad=True)
    hard = route_top1(logits_NE)
    soft = relaxed(hard, 0.5)
    assert torch.allclose(soft.gates_NE(), hard.gates_NE(), atol=1e-6)
    wanted_NE = torch.randn(5, 3)
    (soft.gates_NE() * wanted_NE).sum().backward()
    expected = torch.autograd.grad(((logits_NE / 0.5).softmax(-1) * wanted_NE).sum(), logits_NE)[0]
    assert torch.allclose(logits_NE.grad, expected, atol=1e-6)
    assert not hard.gates_NE().requires_grad  # the wrong twin: hard weights teach nothing


@pytest.mark.parametrize("top_k", [1, 2])
def test_gates_learn_whose_text_it_is_and_nothing_else_changes(
    model: CodeModel, tmp_path: Path, top_k: int
) -> None:
    before = {name: p.detach().clone() for name, p in model.model.state_dict().items()}
    gates = _gates(top_k)
    start = [gate.weight.detach().clone() for gate in gates]
    figures = train_gates(model, gates, ROWS, LABELS, TRAIN, 120, 0, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(10, 91, 10))
    assert lines[0]["accuracy"] < 0.9 < figures["accuracy"]
    assert 0 <= figures["entropy"] < 0.7  # nats; log 2 is "no idea"
    assert 0.5 <= figures["top_load"] <= 1
    for name, tensor in model.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all((gate.weight != old).any() for gate, old in zip(gates, start, strict=True))


def test_the_same_seed_trains_the_same_gates(model: CodeModel, tmp_path: Path) -> None:
    weights = []
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        gates = _gates()
        short = TRAIN.model_copy(update={"steps": 10})
        train_gates(model, gates, ROWS, LABELS, short, 120, 3, tmp_path / run)
        weights.append(torch.cat([gate.weight.detach() for gate in gates]))
    assert torch.equal(*weights)


def test_a_hard_gate_learns_from_the_language_model_alone(model: CodeModel, tmp_path: Path) -> None:
    gates = _gates()
    start = gates[0].weight.detach().clone()
    config = TRAIN.model_copy(update={"steps": 10, "label_loss": 0.0})
    train_gates(model, gates, ROWS, LABELS, config, 120, 0, tmp_path)
    assert (gates[0].weight != start).any()


def test_top_k_survives_the_router_file(model: CodeModel, tmp_path: Path) -> None:
    for top_k in (1, 2):
        save_routers(tmp_path / "router.safetensors", ["a", "b"], None, _gates(top_k))
        _, loaded = load_routers(tmp_path / "router.safetensors", ["a", "b"], 2, 32)
        assert [getattr(gate, "top_k", 1) for gate in loaded] == [top_k] * 2
    mixture = model.mixture
    assert mixture is not None
    assert replace(mixture, token_routers=loaded).token_routers[0].training is False


KINDS: dict[str, dict[str, float]] = {
    "softmax": {},
    "noisy-top-k": {"importance_loss": 0.1, "load_loss": 0.1},
    "switch": {"balance_loss": 0.01},
    "sigmoid": {"bias_rate": 0.01},
    "expert-choice": {"z_loss": 0.001},
}


def _start(kind: str) -> list:
    generator = torch.Generator().manual_seed(0)
    return [
        build_router(
            kind, torch.randn(2, 32, generator=generator) * 0.1, top_k=1, capacity_factor=2.0
        )
        for _ in range(2)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_gate_learns(model: CodeModel, tmp_path: Path, kind: str) -> None:
    config = TRAIN.model_copy(update=KINDS[kind])
    gates = _start(kind)
    figures = train_gates(model, gates, ROWS, LABELS, config, 120, 0, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    # While training, noise and dropped tokens count as wrong.
    assert figures["accuracy"] > lines[0]["accuracy"] + 0.1
    assert not any(gate.training for gate in gates)
    if kind == "sigmoid":
        assert any(gate.balance_bias.any() for gate in gates)
    if kind == "noisy-top-k":
        assert all(gate.noise_weight.any() for gate in gates), "the noise is learned too"


def test_layers_without_a_gate_and_a_shared_gate(model: CodeModel, tmp_path: Path) -> None:
    (gate, other) = _start("top-k")
    (tmp_path / "one").mkdir()
    train_gates(model, (None, gate), ROWS, LABELS, TRAIN, 120, 0, tmp_path / "one")
    (tmp_path / "two").mkdir()
    before = other.weight.detach().clone()
    figures = train_gates(model, (other, other), ROWS, LABELS, TRAIN, 120, 0, tmp_path / "two")
    assert figures["accuracy"] > 0.85
    assert (other.weight != before).any()


@pytest.mark.parametrize("kind", ["top-k", "noisy-top-k", "sigmoid"])
def test_gradient_checkpointing_trains_the_same_gates(
    model: CodeModel, tmp_path: Path, kind: str
) -> None:
    """Layers that run again in backward are still routed, and counted once."""
    config = TRAIN.model_copy(update={"steps": 10, "z_loss": 0.01, "balance_loss": 0.01})
    model.model.train()  # where checkpointing acts; there is no dropout
    weights = []
    for checkpointing in (False, True):
        if checkpointing:
            model.model.gradient_checkpointing_enable({"use_reentrant": False})
        folder = tmp_path / str(checkpointing)
        folder.mkdir()
        gates = _start(kind)
        train_gates(model, gates, ROWS, LABELS, config, 120, 0, folder)
        weights.append(torch.cat([gate.weight.detach() for gate in gates]))
    assert torch.allclose(*weights, atol=1e-5)
    assert not torch.allclose(weights[0], torch.cat([g.weight.detach() for g in _start(kind)]))


@pytest.mark.parametrize("kind", ["noisy-top-k", "sigmoid", "switch", "softmax"])
def test_every_kind_learns_from_the_language_model_alone(
    model: CodeModel, tmp_path: Path, kind: str
) -> None:
    """Also with one expert a token, whose weight is 1 whatever the gate says. In four steps: fewer
    than are logged otherwise."""
    gates = _start(kind)
    config = TRAIN.model_copy(update={"steps": 4, "label_loss": 0.0})
    figures = train_gates(model, gates, ROWS, LABELS, config, 120, 0, tmp_path)
    assert figures["accuracy"] >= 0
    for gate, start in zip(gates, _start(kind), strict=True):
        for name, parameter in gate.named_parameters():
            assert (parameter != start.get_parameter(name)).any(), name


@pytest.mark.parametrize("kind", ["softmax", "noisy-top-k", "top-k"])
def test_whole_mlps_are_trained_along_and_the_base_is_not(tmp_path: Path, kind: str) -> None:
    base = save_checkpoint(tiny_model("gpt_neo"), tmp_path / "base")
    experts = {name: random_full(base, tmp_path / name, i) for i, name in enumerate("ab")}
    model = attach_experts(load_base(BaseReference(str(base))), experts, "all")
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    gates = tuple(
        build_router(kind, gate.weight.detach(), **({} if kind == "softmax" else {"top_k": 1}))
        for gate in _gates()
    )
    config = GateTraining(steps=20, batch_size=4, learning_rate=0.01, label_loss=0, experts=True)
    train_gates(model, gates, ROWS, LABELS, config, 200, 0, tmp_path)
    first, last = (
        json.loads(line)["language_model"]
        for line in (tmp_path / "metrics.jsonl").read_text().splitlines()[-2:]
    )
    assert last < first
    after = model.model.state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value) == (".mlp.experts." not in name), name
    # What is saved is what ran.
    again = attach_experts(
        load_base(BaseReference(str(base))),
        {name: tmp_path / TRAINED_EXPERTS / name for name in "ab"},
        "all",
    )
    ids = torch.tensor([[5, 6, 7, 8]])
    for index in range(2):
        chosen = one_hot_gates(torch.tensor([index]), 2)
        logits = []
        for one in (model, again):
            assert one.mixture is not None
            with one.mixture.layers.use(chosen), torch.no_grad():
                logits.append(one.model(ids).logits)
        assert torch.equal(*logits)
