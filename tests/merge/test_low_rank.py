"""Adapters merged into an adapter: exact where the rank allows, else the nearest.

Run with: pytest tests/merge/test_low_rank.py
"""

from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from codemoe.errors import UserError
from codemoe.merge.command import merge_models
from codemoe.merge.low_rank import truncated
from codemoe.merge.options import Options
from codemoe.models.adapters import load_adapter
from tests.merge import make
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model

TEXT = """
merge_method: {method}
base_model: base
models:
- {{model: one, parameters: {{weight: 0.7{more}}}}}
- {{model: two, parameters: {{weight: -0.4{more}}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    random_adapter(base, tmp_path / "one", "mlp", 3, 1)
    random_adapter(base, tmp_path / "two", "mlp", 2, 2)
    return tmp_path


def run(folder: Path, text: str, rank: int) -> dict[str, Any]:
    path = make.recipe(folder / "recipe.yaml", text)
    return merge_models(path, folder / "out", Options({}, rank=rank, force=True))


def updates(adapter: Path) -> dict[str, torch.Tensor]:
    return {path: f.b_OR @ f.a_RD for path, f in load_adapter(adapter).items()}


@pytest.mark.parametrize("rank", [5, 8])
def test_a_weighted_sum_is_exact_when_the_ranks_fit(folder: Path, rank: int) -> None:
    result = run(folder, TEXT.format(method="task_arithmetic", more=""), rank)
    assert result["squared_norm_lost"] == 0
    one, two, out = (updates(folder / name) for name in ("one", "two", "out"))
    for path in one:
        assert torch.allclose(out[path], 0.7 * one[path] - 0.4 * two[path], atol=1e-6)


def test_peft_loads_it_and_it_is_the_merge(folder: Path) -> None:
    run(folder, TEXT.format(method="task_arithmetic", more=""), 5)
    text = TEXT.format(method="task_arithmetic", more="")
    path = make.recipe(folder / "dense.yaml", text)
    merge_models(path, folder / "dense", Options({}))
    ids_BT = torch.randint(3, 300, (2, 9), generator=torch.Generator().manual_seed(0))
    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    adapted = peft.PeftModel.from_pretrained(base, str(folder / "out")).eval()
    dense = AutoModelForCausalLM.from_pretrained(folder / "dense", dtype=torch.float32).eval()
    with torch.no_grad():
        difference = adapted(input_ids=ids_BT).logits - dense(input_ids=ids_BT).logits
    assert difference.abs().max() <= 1e-5


@pytest.mark.parametrize("method", ["ties", "dare_linear", "linear"])
def test_a_lower_rank_is_the_nearest_one(folder: Path, method: str) -> None:
    more = "" if method == "linear" else ", density: 0.6"
    full = run(folder, TEXT.format(method=method, more=more).replace("-0.4", "0.4"), 32)
    assert full["squared_norm_lost"] < 1e-10
    whole = updates(folder / "out")
    low = run(folder, TEXT.format(method=method, more=more).replace("-0.4", "0.4"), 2)
    found = updates(folder / "out")
    lost, total = 0.0, 0.0
    for path, matrix in whole.items():
        values = torch.linalg.svdvals(matrix.double())
        best = float(values[2:].square().sum())
        error = float((matrix - found[path]).double().square().sum())
        assert error == pytest.approx(best, rel=1e-3, abs=1e-9)
        lost, total = lost + error, total + float(values.square().sum())
    assert low["squared_norm_lost"] == pytest.approx(lost / total, rel=1e-3)


def test_the_randomised_decomposition_is_near_the_best() -> None:
    random = np.random.default_rng(0)
    scale = 0.9 ** np.arange(300)
    matrix = (random.standard_normal((400, 300)) * scale) @ random.standard_normal((300, 350))
    a_RD, b_OR = truncated(matrix.astype(np.float32), 8)
    values = np.linalg.svd(matrix, compute_uv=False)
    error = np.square(matrix - b_OR @ a_RD).sum()
    assert error <= 1.01 * np.square(values[8:]).sum()


def test_an_adapter_of_another_base_of_the_same_shape_is_refused(folder: Path) -> None:
    other = save_checkpoint(tiny_model("mistral", seed=3), folder / "other")
    random_adapter(other, folder / "foreign", "mlp", 3, 5)
    text = TEXT.format(method="linear", more="").replace("model: two", "model: foreign")
    with pytest.raises(UserError, match=r"foreign was trained on .*other"):
        run(folder, text, 0)
    run(folder, text.replace("model: foreign", "model: other+foreign"), 0)


def test_whole_models_and_methods_without_task_vectors_are_refused(folder: Path) -> None:
    text = TEXT.format(method="linear", more="").replace("model: two", "model: base2")
    save_checkpoint(tiny_model("mistral", seed=1), folder / "base2")
    with pytest.raises(UserError, match="base2 is a whole model"):
        run(folder, text, 4)
    slerp = "merge_method: slerp\nbase_model: base\nparameters: {t: 0.5}\nmodels: [{model: one}]"
    with pytest.raises(UserError, match="slerp cannot"):
        run(folder, slerp, 4)
