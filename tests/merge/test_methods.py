"""Merge methods: identities, and parity with PEFT's TIES."""

import pytest
import torch
from peft.utils.merge_utils import ties as peft_ties

from codemoe.merge.methods import average, method, ties, trim


def _deltas(count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(13, 7, generator=generator) for _ in range(count)]


def test_merging_one_model_is_that_model() -> None:
    (delta,) = _deltas(1)
    assert torch.equal(average([delta]), delta)
    assert torch.equal(ties([delta], density=1.0), delta)


def test_ties_at_full_density_with_equal_signs_is_the_mean() -> None:
    deltas = [delta.abs() for delta in _deltas(3)]
    assert torch.allclose(ties(deltas, density=1.0), average(deltas))


def test_opposite_models_cancel_in_the_mean_but_not_in_ties() -> None:
    delta = torch.tensor([3.0, -1.0])
    assert average([delta, -delta]).tolist() == [0.0, 0.0]
    assert ties([delta, -0.5 * delta], density=1.0).tolist() == [3.0, -1.0]


@pytest.mark.parametrize("density", [0.1, 0.33, 0.5, 0.9, 1.0])
def test_trim_keeps_the_largest(density: float) -> None:
    (delta,) = _deltas(1)
    kept = trim(delta, density)
    assert int((kept != 0).sum()) == round(density * delta.numel())
    if density < 1:
        assert delta[kept != 0].abs().min() >= delta[kept == 0].abs().max()


def test_trim_of_ties_in_magnitude_keeps_an_exact_count() -> None:
    assert int((trim(torch.ones(10), 0.3) != 0).sum()) == 3


@pytest.mark.parametrize("density", [0.2, 0.5, 1.0])
def test_parity_with_peft(density: float) -> None:
    """PEFT truncates density * n where we round: choose sizes where both are the same."""
    generator = torch.Generator().manual_seed(0)
    deltas = [torch.randn(10, 10, generator=generator) for _ in range(4)]
    expected = peft_ties(deltas, torch.ones(4), density)
    assert torch.allclose(ties(deltas, density), expected, atol=1e-6)
    assert not torch.allclose(ties(deltas, density / 2), expected, atol=1e-3)  # the wrong twin


def test_weight_scales_the_result() -> None:
    deltas = _deltas(3)
    assert torch.allclose(ties(deltas, 0.5, weight=0.3), 0.3 * ties(deltas, 0.5))
    assert torch.allclose(method("ties", 0.5, 0.3)(deltas), 0.3 * ties(deltas, 0.5))
