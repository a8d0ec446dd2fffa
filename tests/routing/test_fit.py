"""The fitted router and hard routing."""

import pytest
import torch

from codemoe.routing.fit import fit_router
from codemoe.routing.routers import LinearRouter, route_top1


def _blobs(num: int, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 8, generator=generator) * 3
    labels = torch.arange(num) % 3
    return centres[labels] + spread * torch.randn(num, 8, generator=generator), labels


def test_separable_inputs_are_routed_without_error() -> None:
    x_ND, labels_N = _blobs(300, 0.3)
    fit = fit_router(x_ND, labels_N, 3)
    assert fit.accuracy == 1.0
    assert fit.confusion_EE.tolist() == [[100, 0, 0], [0, 100, 0], [0, 0, 100]]
    routing = LinearRouter(fit.weight_ED, fit.bias_E)(x_ND)
    assert (routing.experts_NK[:, 0] == labels_N).all()


def test_labels_without_meaning_give_chance() -> None:
    """The wrong twin: cross-validation must not reward memorising."""
    x_ND, _ = _blobs(300, 1.0)
    labels_N = torch.randint(0, 3, (300,), generator=torch.Generator().manual_seed(1))
    assert fit_router(x_ND, labels_N, 3).accuracy < 0.45


def test_confidence_is_calibrated() -> None:
    """With overlapping classes the mean confidence is near the accuracy, not near 1."""
    x_ND, labels_N = _blobs(3000, 5.0)
    fit = fit_router(x_ND, labels_N, 3)
    confidence = LinearRouter(fit.weight_ED, fit.bias_E)(x_ND).probs_NE.max(-1).values.mean()
    assert 0.4 < fit.accuracy < 0.95
    assert float(confidence) == pytest.approx(fit.accuracy, abs=0.06)


def test_groups_stay_in_one_fold() -> None:
    """Copies of one sample in train and test would make noise look learnable."""
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(40, 60, generator=generator).repeat_interleave(5, 0)
    labels_N = torch.randint(0, 2, (40,), generator=generator).repeat_interleave(5)
    groups_N = torch.arange(40).repeat_interleave(5)
    leaky = fit_router(x_ND, labels_N, 2).accuracy
    honest = fit_router(x_ND, labels_N, 2, groups_N=groups_N).accuracy
    assert leaky > 0.95
    assert honest < 0.75


def test_permuting_experts_permutes_the_router() -> None:
    x_ND, labels_N = _blobs(120, 1.0)
    permutation = torch.tensor([2, 0, 1])
    plain = fit_router(x_ND, labels_N, 3)
    permuted = fit_router(x_ND, permutation[labels_N], 3)
    assert torch.allclose(permuted.weight_ED[permutation], plain.weight_ED, atol=1e-4)


def test_without_bias_there_is_none() -> None:
    x_ND, labels_N = _blobs(120, 1.0)
    assert fit_router(x_ND, labels_N, 3, bias=False).bias_E.abs().max() == 0


def test_top1_weights_are_one_and_probabilities_sum_to_one() -> None:
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    routing = route_top1(logits)
    assert routing.weights_NK.unique().tolist() == [1.0]
    assert torch.allclose(routing.probs_NE.sum(-1), torch.ones(50))
    assert (routing.gates_NE().argmax(-1) == logits.argmax(-1)).all()
    assert routing.gates_NE().sum(-1).unique().tolist() == [1.0]
