"""Dense to sparse, on every architecture: upcycled == the dense model; routed == the expert."""

import copy
from typing import Any

import pytest
import torch

from codemoe.errors import UserError
from codemoe.models.adapter_moe import LoraFactors, attach, one_hot_gates
from codemoe.models.architectures import ARCHITECTURES, projection_shape, target_modules
from codemoe.models.sparse_moe import SparseMoe
from codemoe.models.upcycle import make_sparse, merged_weights, upcycle
from tests.models.tiny import Always, TopK, tiny_model

TOLERANCE = 1e-5
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def dense(request: pytest.FixtureRequest) -> Any:
    return tiny_model(request.param)


def _logits(model: Any) -> torch.Tensor:
    ids_BT = torch.randint(3, 400, (2, 11), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model(input_ids=ids_BT).logits


def _adapters(model: Any, target: str = "mlp") -> dict[str, dict[str, LoraFactors]]:
    """Random updates of every targeted projection, one set an expert."""
    generator = torch.Generator().manual_seed(1)
    names = target_modules(model.config.model_type, target)
    shapes = {
        path: projection_shape(module)
        for path, module in model.named_modules()
        if path.endswith(names)
    }
    return {
        name: {
            path: LoraFactors(
                0.1 * torch.randn(rank, inputs, generator=generator),
                torch.randn(outputs, rank, generator=generator),
            )
            for path, (inputs, outputs) in shapes.items()
        }
        for rank, name in enumerate(NAMES, start=2)
    }


def _router(total: float = 1.0) -> Any:
    generator = torch.Generator().manual_seed(2)
    return lambda layer: TopK(torch.randn(3, 32, generator=generator), 2, total)


def test_upcycled_is_dense_while_the_weights_sum_to_one(dense: Any) -> None:
    sparse = copy.deepcopy(dense)
    collector = upcycle(sparse, 3, _router())
    with collector.collect(for_loss=False) as routings:
        assert (_logits(sparse) - _logits(dense)).abs().max() <= TOLERANCE
    assert list(routings) == [0, 1]
    assert routings[0].experts_NK.unique().numel() == 3, "each expert must be used"
    twin = copy.deepcopy(dense)
    # The wrong twin: weights that sum to -1 (Gemma's norm after the MLP would undo a 2).
    upcycle(twin, 3, _router(total=-1.0))
    assert (_logits(twin) - _logits(dense)).abs().max() > 0.01


def test_sparse_routed_to_an_expert_is_the_adapter_mixture_routed_to_it(dense: Any) -> None:
    adapters = _adapters(dense)
    mixture = attach(copy.deepcopy(dense), list(adapters.values()))
    weights = {name: merged_weights(dense, factors) for name, factors in adapters.items()}
    for index in range(3):
        with mixture.use(one_hot_gates(torch.full((2,), index), 3)):
            expected = _logits(mixture.model)
        assert (expected - _logits(dense)).abs().max() > 0.01
        sparse = copy.deepcopy(dense)
        make_sparse(sparse, weights, lambda layer, index=index: Always(index, 3))  # type: ignore[misc]
        # Weights that hold the update round otherwise than base and update added.
        bound = TOLERANCE * max(1.0, float(expected.abs().max()))
        assert (_logits(sparse) - expected).abs().max() <= bound
        twin = copy.deepcopy(dense)
        make_sparse(twin, weights, lambda layer, index=index: Always((index + 1) % 3, 3))  # type: ignore[misc]
        assert (_logits(twin) - expected).abs().max() > 0.01


def test_full_weights_of_another_model_are_that_model(dense: Any) -> None:
    """An expert that was trained in full: only its MLPs are taken, the rest is the base's."""
    other = tiny_model(dense.config.model_type, seed=7)
    donor = copy.deepcopy(dense)
    names = target_modules(dense.config.model_type, "mlp")
    mlps = {
        path: value
        for path, value in other.named_parameters()
        if path.rpartition(".")[0].endswith(names)
    }
    donor.load_state_dict(mlps, strict=False)
    sparse = copy.deepcopy(dense)
    make_sparse(sparse, {"base": {}, "other": mlps}, lambda layer: Always(1, 2))
    assert (_logits(sparse) - _logits(donor)).abs().max() <= TOLERANCE
    assert (_logits(sparse) - _logits(dense)).abs().max() > 0.01


def test_modes_and_gradients_follow_the_model() -> None:
    model = tiny_model("mistral").train()
    upcycle(model, 3, _router())
    moe = model.model.layers[0].mlp
    assert isinstance(moe, SparseMoe)
    assert moe.training
    model(input_ids=torch.tensor([[5, 6, 7, 8]])).logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in moe.parameters())
    assert moe.experts.down.weight.grad.abs().max() > 0


def test_what_does_not_fit_is_refused() -> None:
    model = tiny_model("gpt2")
    attention = merged_weights(model, _adapters(model, "attention")["a"])
    with pytest.raises(UserError, match=r"(?s)'a' changes transformer.h.0.attn.*target=mlp"):
        make_sparse(model, {"a": attention}, lambda layer: Always(0, 1))
    path = "transformer.h.1.mlp.c_fc.weight"
    with pytest.raises(UserError, match=r"\(48, 32\) but the base has \(32, 48\)"):
        make_sparse(model, {"a": {path: torch.zeros(48, 32)}}, lambda layer: Always(0, 1))
    assert not any(isinstance(module, SparseMoe) for module in model.modules())
    model.is_quantized = True
    with pytest.raises(UserError, match="quantised"):
        upcycle(model, 2, _router())
