"""What does not belong together is refused before any weight is read, and both sides are named.

Run with: pytest tests/models/test_refusals.py
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from codemoe.errors import UserError
from codemoe.models.load import MOE_FILE, load_model
from codemoe.models.routers_file import ROUTER_FILE, save_routers
from codemoe.plan.shape import find_config, shape_of
from codemoe.recipe import BaseConfig
from codemoe.routing.routers import LinearRouter, build_router
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model

NAMES = ["a", "b"]


def _gates(layers: int = 2, experts: int = 2) -> list[LinearRouter]:
    return [LinearRouter(torch.zeros(experts, 32)) for _ in range(layers)]


@pytest.fixture
def mixture(tmp_path: Path) -> Path:
    """A mixture whose base holds weights that nobody could read."""
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    for i, name in enumerate("ab"):
        random_adapter(base, tmp_path / "moe" / "experts" / name, "mlp", 3, i)
    description = {
        "base": {"model": str(base), "revision": None, "quantization": "none"},
        "experts": [{"name": name, "path": f"experts/{name}"} for name in "ab"],
        "expert_of_language": {"python": "a"},
        "activation": "completion",
    }
    (tmp_path / "moe" / MOE_FILE).write_text(json.dumps(description))
    save_routers(tmp_path / "moe" / ROUTER_FILE, NAMES, None, _gates())
    load_model(str(tmp_path / "moe"))
    (base / "model.safetensors").write_bytes(b"unreadable")
    for name in "ab":  # or their hash would be found to differ, which is another refusal
        _edit(
            tmp_path / "moe" / "experts" / name / "adapter_config.json", "base_model_name_or_path"
        )
    return tmp_path / "moe"


def _edit(path: Path, key: str, value: Any = None) -> None:
    config = json.loads(path.read_text())
    config[key] = value
    path.write_text(json.dumps(config))


def test_the_weights_are_what_is_read_last(mixture: Path) -> None:
    with pytest.raises(UserError, match="cannot load the model"):
        load_model(str(mixture))


def test_experts_of_another_width(mixture: Path, tmp_path: Path) -> None:
    wider = save_checkpoint(tiny_model("mistral", hidden_size=64), tmp_path / "wider")
    random_adapter(wider, mixture / "experts" / "b", "mlp", 3, 0)
    with pytest.raises(UserError, match=r"expert 'b'.* 48 -> 64 .*but 48 -> 32 in the base"):
        load_model(str(mixture))


def test_experts_of_another_architecture(mixture: Path, tmp_path: Path) -> None:
    other = save_checkpoint(tiny_model("gpt2"), tmp_path / "gpt2")
    random_adapter(other, mixture / "experts" / "a", "mlp", 3, 0)
    with pytest.raises(UserError, match=r"h.0.mlp.* the base \(mistral\) does not have"):
        load_model(str(mixture))


def test_experts_of_a_base_with_other_weights(mixture: Path, tmp_path: Path) -> None:
    twin = save_checkpoint(tiny_model("mistral", seed=1), tmp_path / "twin")
    random_adapter(twin, mixture / "experts" / "b", "mlp", 3, 0)
    with pytest.raises(UserError, match=r"'b'.* was trained on .*twin.* hash to .*; the base here"):
        load_model(str(mixture))


def test_routers_of_another_mixture(mixture: Path) -> None:
    save_routers(mixture / ROUTER_FILE, NAMES, None, _gates(layers=1))
    with pytest.raises(UserError, match=r"lacks the token gates of layers \[1\]"):
        load_model(str(mixture))
    save_routers(mixture / ROUTER_FILE, [*NAMES, "c"], None, _gates(experts=3))
    with pytest.raises(UserError, match="routes to a, b, c but the mixture has a, b"):
        load_model(str(mixture))


def test_routers_of_another_width(mixture: Path) -> None:
    wide = [LinearRouter(torch.zeros(2, 64)) for _ in range(2)]
    save_routers(mixture / ROUTER_FILE, NAMES, None, wide)
    with pytest.raises(UserError, match=r"is \(2, 64\) but 2 experts on this base need \(2, 32\)"):
        load_model(str(mixture))


def test_more_experts_a_token_than_there_are() -> None:
    with pytest.raises(UserError, match="top_k is 3 but the mixture has 2 experts"):
        build_router("top-k", torch.zeros(2, 8), top_k=3)


def test_a_tokenizer_that_does_not_fit(mixture: Path, tmp_path: Path) -> None:
    path = tmp_path / "base" / "config.json"
    _edit(path, "vocab_size", 20)
    with pytest.raises(UserError, match=r"tokenizer .* \d+ tokens but the model has 20 rows"):
        load_model(str(mixture))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("hidden_size", "wide", "cannot load the .*'hidden_size' expected int, got str"),
        ("hidden_size", 33, "33"),
        ("vocab_size", None, "cannot load the .*'vocab_size'"),
        ("dtype", "float3", "cannot load the .*float3"),
        ("hidden_act", "nope", "cannot load the model .*unknown value 'nope'"),
        ("num_hidden_layers", 3, r"not those of its config.json: model\.layers\.2\..* \(missing\)"),
        ("intermediate_size", 40, r"mlp\.down_proj\.weight \(\[32, 48\], by its config \[32, 40\]"),
    ],
)
def test_a_base_whose_config_is_of_another(key: str, value: Any, said: str, tmp_path: Path) -> None:
    """Also where transformers would draw the rest at random and go on."""
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    _edit(base / "config.json", key, value)
    with pytest.raises(UserError, match=said) as caught:
        load_model(str(base))
    assert "\n" not in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize("text", ["[]", "5", "{}", '{"model_type": "nope"}'])
def test_a_base_whose_config_is_none(text: str, tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    (base / "config.json").write_text(text)
    with pytest.raises(UserError, match="cannot load the"):
        load_model(str(base))
    with pytest.raises(UserError, match="cannot read the config of"):
        find_config(BaseConfig(model=str(base)))


def test_a_plan_of_a_config_that_makes_no_model(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    _edit(base / "config.json", "hidden_act", "nope")
    with pytest.raises(UserError, match=r"no mistral can be made of its config: .*'nope'"):
        shape_of(*find_config(BaseConfig(model=str(base))))


def test_a_plan_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """No hub has it, so it is not to be downloaded either."""
    with pytest.raises(UserError, match="there is no folder") as caught:
        find_config(BaseConfig(model=str(tmp_path / "gone")))
    assert "download" not in caught.value.fix
