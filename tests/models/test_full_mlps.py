"""Full-MLP experts: the mixture routed to one is that expert, in every way of routing."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from codemoe.data.prompt import encode_prompt
from codemoe.errors import UserError
from codemoe.evaluate.cost import size_of
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.architectures import ARCHITECTURES, architecture_of, layers_of
from codemoe.models.full_mlps import ExpertMlps
from codemoe.models.generate import Route, generate_batch, generate_with_each_expert
from codemoe.models.load import CodeModel, attach_experts, load_base, load_experts, load_model
from codemoe.models.reference import BaseReference
from codemoe.models.routers_file import SequenceRouter
from codemoe.routing.routers import LinearRouter, TopKRouter
from tests.models.full import dense_of, random_full
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model

TOLERANCE = 1e-5
IDS_BT = torch.randint(3, 400, (3, 17), generator=torch.Generator().manual_seed(0))


def _logits(model: nn.Module, ids_BT: torch.Tensor = IDS_BT) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids_BT).logits


@pytest.mark.parametrize("model_type", sorted(ARCHITECTURES))
def test_routed_to_an_expert_is_that_expert(model_type: str, tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model(model_type), tmp_path / "base")
    folders = {n: random_full(base, tmp_path / n, i) for i, n in enumerate(("one", "two"))}
    alone = [_logits(dense_of(base, folder)) for folder in folders.values()]
    loaded = load_base(BaseReference(str(base)))
    bare = _logits(loaded.model)
    moe = attach_experts(loaded, folders, "completion")
    assert moe.mixture is not None
    layers = moe.mixture.layers
    assert (_logits(moe.model) - bare).abs().max() <= TOLERANCE
    for index, expected in enumerate(alone):
        assert (expected - bare).abs().max() > 0.01
        with layers.use(one_hot_gates(torch.full((3,), index), 2)):
            assert (_logits(moe.model) - expected).abs().max() <= TOLERANCE
    with layers.use(one_hot_gates(torch.tensor([1, 0, 1]), 2)):
        mixed = _logits(moe.model)
    for row, index in enumerate((1, 0, 1)):
        assert (mixed[row] - alone[index][row]).abs().max() <= TOLERANCE
    always = [LinearRouter(torch.zeros(2, 32), torch.tensor([0.0, 9.0])) for _ in range(2)]
    with layers.use_tokens(always) as records:
        assert (_logits(moe.model) - alone[1]).abs().max() <= TOLERANCE
    assert list(records) == [0, 1]
    # Alone it is also any MODEL.
    single = load_model(str(folders["two"]))
    assert single.mixture is not None
    with single.mixture.layers.use(torch.ones(1, 1, 1)):
        assert (_logits(single.model) - alone[1]).abs().max() <= TOLERANCE


@pytest.fixture(scope="module")
def moe(tmp_path_factory: pytest.TempPathFactory) -> CodeModel:
    folder = tmp_path_factory.mktemp("full")
    base = save_checkpoint(tiny_model("mistral"), folder / "base")
    experts = {n: random_full(base, folder / n, i) for i, n in enumerate("ab")}
    model = attach_experts(
        load_base(BaseReference(str(base))), experts, "completion", {"python": "a", "java": "b"}
    )
    generator = torch.Generator().manual_seed(0)
    router = LinearRouter(torch.randn(2, 64, generator=generator), torch.zeros(2))
    gates = tuple(LinearRouter(torch.randn(2, 32, generator=generator)) for _ in range(2))
    assert model.mixture is not None
    sequence = SequenceRouter(1, router)
    mixture = replace(model.mixture, sequence_router=sequence, token_routers=gates)
    return replace(model, mixture=mixture)


def test_before_the_marker_the_base_reads(moe: CodeModel) -> None:
    """Gates that begin at a column, and gates that are zero before it, are the same."""
    assert moe.mixture is not None
    layers = moe.mixture.layers
    gates_BTE = torch.zeros(3, 17, 2)
    gates_BTE[:, 9:] = one_hot_gates(torch.tensor([0, 1, 0]), 2)
    with layers.use(gates_BTE):
        masked = _logits(moe.model)
    with layers.use(gates_BTE[:, 9:], start=9):
        started = _logits(moe.model)
    assert (masked - started).abs().max() <= TOLERANCE
    assert (masked[:, :9] - _logits(moe.model)[:, :9]).abs().max() <= TOLERANCE


def test_gates_mix_outputs_and_have_gradients(moe: CodeModel) -> None:
    """By hand: sum of g_e MLP_e(x), and the base for what is left of 1. Also with gradients."""
    assert moe.mixture is not None
    row = architecture_of("mistral")
    mlps = layers_of(moe.model)[0].get_submodule(row.mlp)
    assert isinstance(mlps, ExpertMlps)
    x_BTD = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(1))
    raw = torch.rand(2, 5, 2, generator=torch.Generator().manual_seed(2))
    for gates_BTE in (raw / raw.sum(-1, keepdim=True), raw / 3, raw * (raw > 0.5)):
        outputs = [mlps.experts.one(x_BTD, e) for e in range(2)]
        expected = (1 - gates_BTE.sum(-1, keepdim=True)) * mlps.base(x_BTD)
        expected = expected + sum(gates_BTE[..., e, None] * outputs[e] for e in range(2))
        with moe.mixture.layers.use(gates_BTE), torch.no_grad():
            assert (mlps(x_BTD) - expected).abs().max() <= 1e-6
        learned = gates_BTE.clone().requires_grad_()
        with moe.mixture.layers.use(learned):
            found = mlps(x_BTD)
        assert (found - expected).abs().max() <= 1e-6
        found.sum().backward()
        assert learned.grad is not None
        by_hand = torch.stack([(o - mlps.base(x_BTD)).sum(-1) for o in outputs], -1)
        assert (learned.grad - by_hand).abs().max() <= 1e-4


ROUTES = {
    "dense": Route("none"),
    "sequence": Route("sequence"),
    "sequence, all tokens": Route("sequence", activation="all"),
    "named": Route("named", ("b", "a", "b")),
    "token": Route("token"),
}


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_a_batch_answers_as_one_by_one(moe: CodeModel, route: Route) -> None:
    texts = ["add two numbers", "a", "the sum of the squares of all even numbers in a long list"]
    prompts = [encode_prompt(moe.tokenizer, text, "python") for text in texts]
    together = generate_batch(moe, prompts, route, max_new_tokens=8)
    for i, prompt in enumerate(prompts):
        own = replace(route, experts=route.experts[i : i + 1])
        alone = generate_batch(moe, [prompt], own, max_new_tokens=8)[0]
        assert alone.token_ids == together[i].token_ids
        assert alone.choice == together[i].choice or alone.choice is not None
    if route.by == "named":
        each, _ = generate_with_each_expert(moe, prompts[0], max_new_tokens=8)
        assert each[1].token_ids == together[0].token_ids


def test_two_experts_a_token_are_mixed_as_mixtral_does(moe: CodeModel) -> None:
    assert moe.mixture is not None
    gates = [TopKRouter(torch.randn(2, 32), top_k=2) for _ in range(2)]
    with moe.mixture.layers.use_tokens(gates) as records:
        logits = _logits(moe.model)
    assert logits.isfinite().all()
    assert records[0].weights_NK.sum(-1).allclose(torch.ones(51))


def test_lora_among_full_experts_becomes_whole(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("qwen2"), tmp_path / "base")
    folders = {
        "full": random_full(base, tmp_path / "full", 0),
        "lora": random_adapter(base, tmp_path / "lora", "mlp", 3, 1),
    }
    alone = attach_experts(load_base(BaseReference(str(base))), {"lora": folders["lora"]}, "all")
    assert alone.mixture is not None
    with alone.mixture.layers.use(torch.ones(1, 1, 1)):
        expected = _logits(alone.model)
    moe = load_experts(BaseReference(str(base)), folders, "all")
    assert moe.mixture is not None
    with moe.mixture.layers.use(one_hot_gates(torch.tensor([1, 1, 1]), 2)):
        assert (_logits(moe.model) - expected).abs().max() <= TOLERANCE
    attention = random_adapter(base, tmp_path / "attention", "both", 3, 1)
    with pytest.raises(UserError, match="no MLP weight of this base"):
        load_experts(BaseReference(str(base)), folders | {"attention": attention}, "all")


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    expert = random_full(base, tmp_path / "one", 0)
    wider = save_checkpoint(tiny_model("mistral", intermediate_size=64), tmp_path / "wider")
    with pytest.raises(UserError, match=r"shape \(32, 48\).*\(32, 64\)"):
        load_experts(BaseReference(str(wider)), {"one": expert}, "all")
    other = save_checkpoint(tiny_model("mistral", seed=1), tmp_path / "other")
    with pytest.raises(UserError, match="whose files hash to"):
        load_experts(BaseReference(str(other)), {"one": expert}, "all")
    (expert / "mlp_expert.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="cannot read the expert"):
        load_experts(BaseReference(str(base)), {"one": expert}, "all")


def test_parameters_are_counted(moe: CodeModel) -> None:
    """A token runs one whole MLP, the expert's or the base's: as many weights as the base."""
    mlps = 2 * 3 * 32 * 48
    base = sum(p.numel() for p in tiny_model("mistral").parameters())
    size = size_of(moe, "none")
    assert size.total_parameters == base + 2 * mlps
    assert size.active_parameters == base
    assert size.flops_per_token == 2 * (base - 400 * 32)
