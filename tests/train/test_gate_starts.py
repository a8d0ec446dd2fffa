"""What token gates are fitted on: states under right choices, and under their own."""

from pathlib import Path
from typing import Any

import pytest
import torch

from codemoe.errors import UserError
from codemoe.models.load import CodeModel, attach_experts, load_base
from codemoe.models.reference import BaseReference
from codemoe.recipe import Recipe
from codemoe.recipe_file import make_recipe
from codemoe.routing.routers import LinearRouter
from codemoe.train.gate_starts import start_gates
from codemoe.train.router_features import token_samples
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model
from tests.train.hot_add import rows_of

ROWS = [*rows_of("python", range(12)), *rows_of("java", range(12))]
LABELS = [0] * 12 + [1] * 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> CodeModel:
    folder: Path = tmp_path_factory.mktemp("gates")
    base = save_checkpoint(tiny_model("mistral"), folder / "base")
    adapters = {
        name: random_adapter(base, folder / name, "mlp", 3, seed)
        for seed, name in enumerate(("python", "java"))
    }
    return attach_experts(load_base(BaseReference(str(base))), adapters, "completion")


def recipe_of(**router: Any) -> Recipe:
    languages = ["python", "java"]
    base = {"model": "builtin"}
    return make_recipe({"name": "x", "base": base, "languages": languages, "router": router})


def gates_for(model: CodeModel, expert: int) -> tuple[LinearRouter, ...]:
    """Gates that always choose this one."""
    config = model.model.config
    bias_E = torch.nn.functional.one_hot(torch.tensor(expert), 2) * 9.0
    weight_ED = torch.zeros(2, config.hidden_size)
    return tuple(LinearRouter(weight_ED, bias_E) for _ in range(config.num_hidden_layers))


def test_the_states_under_gates_are_those_that_the_gates_lead_to(model: CodeModel) -> None:
    right = token_samples(model, ROWS, LABELS, 10_000, 200)
    under = token_samples(model, ROWS, LABELS, 10_000, 200, gates=gates_for(model, 0))
    own, other = right.labels_N == 0, right.labels_N == 1
    assert torch.equal(right.labels_N, under.labels_N)
    # Expert 0 is right for Python: the same states. For Java it is wrong, from layer 1 on.
    torch.testing.assert_close(under.features_LND[:, own], right.features_LND[:, own])
    torch.testing.assert_close(under.features_LND[0, other], right.features_LND[0, other])
    assert not torch.allclose(under.features_LND[1, other], right.features_LND[1, other])


def test_more_rounds_fit_on_what_the_gates_before_led_to(model: CodeModel) -> None:
    weights = {}
    for rounds in (1, 2):
        recipe = recipe_of(fit_rounds=rounds)
        gates, accuracies = start_gates(model, ROWS, LABELS, recipe)
        assert all(accuracy > 0.5 for accuracy in accuracies.values())
        weights[rounds] = [gate.weight.detach().clone() for gate in gates if gate is not None]
    # The first layer reads no expert: what it sees is the same in both rounds.
    torch.testing.assert_close(weights[1][0], weights[2][0], rtol=1e-3, atol=1e-5)
    assert not torch.allclose(weights[1][1], weights[2][1], rtol=1e-3)


def test_rounds_need_gates_that_are_fitted() -> None:
    with pytest.raises(UserError, match="fit_rounds"):
        recipe_of(fit_rounds=2, start="random")
