"""Checkpoints that no mixture can be made of without leaving something out.

Run with: pytest tests/merge/test_assemble_inputs.py
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from codemoe.errors import UserError
from tests.merge import make
from tests.merge.test_assemble import EXPERTS, RECIPE, build


@pytest.mark.parametrize(
    ("folder", "lacking", "more", "message"),
    [
        ("base", "model.layers.1.input_layernorm.weight", None, "which the base base has not"),
        ("base", "lm_head.weight", None, "python has the tensor lm_head.weight"),
        ("java", None, "model.layers.1.mlp.up_proj.bias", "java has the tensor"),
        ("base", None, "model.layers.1.mlp.up_proj.bias", "for which MixtralForCausalLM"),
    ],
)
def test_no_tensor_is_left_out_unsaid(
    tmp_path: Path, folder: str, lacking: str | None, more: str | None, message: str
) -> None:
    for seed, name in enumerate(("base", *EXPERTS)):
        tensors = make.weights(seed)
        if name == folder and lacking:
            del tensors[lacking]
        if name == folder and more:
            tensors[more] = torch.ones(make.INNER)
        make.checkpoint(tmp_path / name, tensors=tensors)
    with pytest.raises(UserError, match=message):
        build(tmp_path, RECIPE.format(mode="random", k=1))


@pytest.mark.parametrize("value", [..., "many", 8])
def test_a_config_that_does_not_fit_the_weights(tmp_path: Path, value: Any) -> None:
    for seed, name in enumerate(("base", *EXPERTS)):
        make.checkpoint(tmp_path / name, seed, hidden_size=value)
    with pytest.raises(UserError, match="hidden_size"):
        build(tmp_path, RECIPE.format(mode="random", k=1))
