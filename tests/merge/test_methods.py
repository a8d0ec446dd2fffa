"""Merge methods: identities, hand-computed values, mergekit's own results, PEFT's.

Run with: pytest tests/merge/test_methods.py
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft.utils.merge_utils import dare_linear, task_arithmetic
from peft.utils.merge_utils import ties as peft_ties

from codemoe.errors import UserError
from codemoe.merge.methods.table import METHODS, merge_arrays

GOLDEN = json.loads((Path(__file__).parent / "golden_mergekit.json").read_text())
# What a method must be told; the rest has defaults.
NEEDED: dict[str, dict[str, Any]] = {"slerp": {"t": 0.4}}
WEIGHTED = [name for name, m in METHODS.items() if "weight" in m.parameters]


def arrays(count: int, shape: tuple[int, ...] = (13, 7), seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape, np.float32) for _ in range(count)]


def merge(name: str, models: list[np.ndarray], base: np.ndarray | None, **more: Any) -> np.ndarray:
    settings = dict(NEEDED.get(name, {}))
    if name in WEIGHTED:
        settings["weight"] = [1.0 + 0.5 * i for i in range(len(models))]
    return merge_arrays(name, models, base, **(settings | more))


def models_for(name: str, count: int = 3) -> list[np.ndarray]:
    return arrays(min(count, METHODS[name].most or count), seed=1)


@pytest.mark.parametrize("name", METHODS)
def test_identical_models_are_merged_to_themselves(name: str) -> None:
    """Of random thinning only the mean is that; everything else must be exact but for rounding."""
    (model,) = arrays(1)
    models = [
        model.copy() for _ in range(max(METHODS[name].least, min(3, METHODS[name].most or 3)))
    ]
    weight = {"weight": [1.0] * len(models)} if name in WEIGHTED else {}
    if name in ("task_arithmetic", "dare_linear", "della_linear", "breadcrumbs", "dare_ties"):
        weight = {"weight": [1 / len(models)] * len(models)}
    if name == "breadcrumbs_ties":
        weight = {"weight": [1 / len(models)] * len(models)}
    if name == "slerp":
        assert np.allclose(merge(name, models, model), model, atol=1e-6)
        return
    base = np.zeros_like(model) if METHODS[name].base != "unused" else None
    assert np.allclose(merge(name, models, base, **weight), model, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("block", [7, 20, 64, 1 << 16])
def test_the_size_of_blocks_changes_nothing(name: str, block: int) -> None:
    base = arrays(1, seed=9)[0] if METHODS[name].base != "unused" else None
    more: dict[str, Any] = {}
    if "density" in METHODS[name].parameters:
        more = {"density": 0.43}
    whole = merge(name, models_for(name), base, block=1 << 20, **more)
    assert np.allclose(merge(name, models_for(name), base, block=block, **more), whole, atol=2e-6)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: f"{c['method']}-{c['settings']}")
def test_mergekit_computes_the_same(case: dict[str, Any]) -> None:
    """scripts/merge_golden.py made the values, with mergekit 0.1.5."""
    base = np.array(GOLDEN["base"], np.float32) if case["base"] else None
    models = [np.array(m, np.float32) for m in GOLDEN["models"][: case["models"]]]
    found = merge_arrays(case["method"], models, base, block=11, **case["settings"])
    assert np.abs(found - np.array(case["result"], np.float32)).max() <= 1e-6


def test_the_golden_values_can_tell_conventions_apart() -> None:
    """The wrong twin: TIES as PEFT weighs it is far from mergekit's."""
    case = next(c for c in GOLDEN["cases"] if c["method"] == "ties")
    base, models = (np.array(GOLDEN[key], np.float32) for key in ("base", "models"))
    other = merge_arrays(
        "ties", list(models), base, elect="unweighted", divide="count", **case["settings"]
    )
    assert np.abs(other - np.array(case["result"])).max() > 0.05


def _torch(values: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(value) for value in values]


@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("weight", [[1.0, 1.0, 1.0], [0.5, 0.3, 0.2], [1.0, -0.5, 2.0]])
def test_ties_as_peft_has_it(density: float, weight: list[float]) -> None:
    deltas, base = arrays(3), np.zeros((13, 7), np.float32)
    expected = peft_ties(_torch(deltas), torch.tensor(weight), density).numpy()

    def ours(**more: Any) -> np.ndarray:
        return merge_arrays("ties", deltas, base, weight=weight, density=density, **more)

    assert np.allclose(ours(elect="unweighted", divide="count"), expected, atol=1e-6)
    if len(set(weight)) == 1:  # the two agree for unit weights
        assert np.allclose(ours(), expected, atol=1e-6)
    else:
        assert not np.allclose(ours(), expected, atol=1e-2)


def test_task_arithmetic_as_peft_has_it() -> None:
    deltas = arrays(3)
    expected = task_arithmetic(_torch(deltas), torch.tensor([1.0, -0.5, 0.3])).numpy()
    base = np.zeros_like(deltas[0])
    found = merge_arrays("task_arithmetic", deltas, base, weight=[1.0, -0.5, 0.3])
    assert np.allclose(found, expected, atol=1e-6)


def test_dare_is_unbiased_as_peft_has_it() -> None:
    """Different random numbers, one expectation: the task vectors' weighted sum."""
    deltas, weight, base = arrays(2), [0.7, 0.3], np.zeros((13, 7), np.float32)
    torch.manual_seed(0)
    rounds = 600
    ours = np.mean(
        [
            merge_arrays("dare_linear", deltas, base, weight=weight, density=0.4, seed=seed)
            for seed in range(rounds)
        ],
        axis=0,
    )
    theirs = np.mean(
        [dare_linear(_torch(deltas), torch.tensor(weight), 0.4).numpy() for _ in range(rounds)],
        axis=0,
    )
    expected = weight[0] * deltas[0] + weight[1] * deltas[1]
    spread = np.sqrt(sum((w * d) ** 2 for w, d in zip(weight, deltas, strict=True)) * 1.5 / rounds)
    assert (np.abs(ours - expected) <= 6 * spread + 1e-6).all()
    assert (np.abs(theirs - expected) <= 6 * spread + 1e-6).all()


def test_dare_drops_the_share_it_says_and_scales_the_rest() -> None:
    (delta,) = arrays(1, (400, 500))
    base = np.zeros_like(delta)
    found = merge_arrays("dare_linear", [delta], base, weight=1.0, density=0.3, key="a")
    kept = found != 0
    assert abs(kept.mean() - 0.3) < 0.005
    assert np.allclose(found[kept], delta[kept] / 0.3, rtol=1e-6)
    other = merge_arrays("dare_linear", [delta], base, weight=1.0, density=0.3, key="b")
    assert (found != other).any()  # each tensor draws its own
    by_norm = merge_arrays(
        "dare_linear", [delta], base, weight=1.0, density=0.3, key="a", rescale_by="l1"
    )
    assert np.abs(by_norm).sum() == pytest.approx(np.abs(delta).sum(), rel=1e-5)


def test_della_keeps_the_large_more_often() -> None:
    (delta,) = arrays(1, (300, 400))
    base = np.zeros_like(delta)
    found = merge_arrays("della_linear", [delta], base, weight=1.0, density=0.5, epsilon=0.3)
    order = np.argsort(np.abs(delta), axis=1)
    kept = np.take_along_axis(found != 0, order, axis=1)
    assert kept[:, :40].mean() == pytest.approx(0.23, abs=0.02)  # 0.2 to 0.26 over a tenth
    assert kept[:, -40:].mean() == pytest.approx(0.77, abs=0.02)
    assert found.mean() == pytest.approx(delta.mean(), abs=0.02)


def test_opposite_models_cancel_in_the_sum_but_not_in_ties() -> None:
    delta, base = np.array([3.0, -1.0], np.float32), np.zeros(2, np.float32)
    models = [delta, -0.5 * delta]
    half = merge_arrays("task_arithmetic", [delta, -delta], base, weight=0.5)
    assert half.tolist() == [0.0, 0.0]
    assert merge_arrays("ties", models, base, weight=1.0).tolist() == [3.0, -1.0]


def test_a_negative_weight_forgets() -> None:
    base, model = arrays(2)
    forgotten = merge_arrays("task_arithmetic", [model], base, weight=-1.0)
    assert np.allclose(forgotten, 2 * base - model, atol=1e-6)


def test_slerp_has_its_ends_and_keeps_lengths() -> None:
    base, model = (a / np.linalg.norm(a) for a in arrays(2))
    assert np.array_equal(merge_arrays("slerp", [model], base, t=0.0), base)
    assert np.array_equal(merge_arrays("slerp", [model], base, t=1.0), model)
    middle = merge_arrays("slerp", [model], base, t=0.5)
    assert np.linalg.norm(middle) == pytest.approx(1, abs=1e-6)
    assert np.allclose((middle * base).sum(), (middle * model).sum(), atol=1e-6)


def test_multislerp_of_two_equal_weights_is_slerp_in_the_middle() -> None:
    one, two = (a / np.linalg.norm(a) for a in arrays(2))
    middle = merge_arrays("slerp", [two], one, t=0.5)
    assert np.allclose(merge_arrays("multislerp", [one, two], weight=1.0), middle, atol=1e-6)


def test_model_stock_by_hand() -> None:
    """Two task vectors at 60 degrees: t = 2 cos / (1 + cos) = 2/3 (arXiv:2403.19522)."""
    base = np.array([1.0, 1.0], np.float32)
    models = [base + np.array(delta) for delta in ([2, 0], [1, np.sqrt(3)])]
    expected = base + 2 / 3 * np.array([1.5, np.sqrt(3) / 2])
    found = merge_arrays("model_stock", [m.astype(np.float32) for m in models], base)
    assert np.allclose(found, expected, atol=1e-6)


def test_sce_by_hand() -> None:
    """Entry 0 agrees, entry 1 differs; of two entries with variance the larger one is kept."""
    base = np.zeros(3, np.float32)
    models = [np.array(m, np.float32) for m in ([1, 4, 2], [1, -2, 1])]
    # Kept: entry 1 alone. Mean squares 16/3 and 4/3: weights 0.8 and 0.2. The sum is positive.
    found = merge_arrays("sce", models, base, select_topk=0.5)
    assert np.allclose(found, [0, 4, 0])


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("ties", {"density": 0.0}, "density is 0"),
        ("ties", {"density": 1.5}, "density is 1.5"),
        ("dare_ties", {"density": 0.0}, "nothing of the model would stay"),
        ("della", {"density": 0.1, "epsilon": 0.2}, "density - epsilon"),
        ("linear", {"weight": [1.0, -1.0, 0.0]}, "sum to 0"),
        ("multislerp", {"weight": [1.0, -1.0, 0.0]}, "sum to 0"),
        ("sce", {"select_topk": 0.0}, "select_topk is 0"),
        ("ties", {"weight": [1.0, -1.0, 0.0]}, "sum to 0"),
        ("task_arithmetic", {"weight": [1.0, -1.0, 0.0], "normalize": True}, "sum to 0"),
        ("breadcrumbs", {"density": 0.5, "gamma": -0.1}, "gamma is -0.1"),
        ("della", {"density": 0.5, "epsilon": -0.2}, "epsilon is -0.2"),
    ],
)
def test_degenerate_settings_are_refused(name: str, more: dict[str, Any], message: str) -> None:
    base = arrays(1, seed=9)[0] if METHODS[name].base == "required" else None
    with pytest.raises(UserError, match=message):
        merge(name, arrays(3), base, **more)


def test_two_weights_without_a_share_are_refused() -> None:
    with pytest.raises(UserError, match="sum to 0"):
        merge("nuslerp", arrays(2), None, weight=[1.0, -1.0])


def test_every_method_cites_its_source_and_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "merging.md").read_text(encoding="utf-8")
    first_cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    for name, method in METHODS.items():
        assert method.cites
        assert any(f"`{name}`" in cell for cell in first_cells), name
        for parameter in method.parameters:
            assert f"`{parameter}`" in text, (name, parameter)
