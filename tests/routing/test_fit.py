"""The fitted router: both methods, cross-validation, calibration."""

import pytest
import torch
from torch.nn import functional as F

from codemoe.routing.fit import Method, _logistic, fit_router
from codemoe.routing.routers import LinearRouter

both = pytest.mark.parametrize("method", ["ridge", "logistic"])


def _blobs(num: int, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 8, generator=generator) * 3
    labels = torch.arange(num) % 3
    return centres[labels] + spread * torch.randn(num, 8, generator=generator), labels


@both
def test_separable_inputs_are_routed_without_error(method: Method) -> None:
    x_ND, labels_N = _blobs(300, 0.3)
    fit = fit_router(x_ND, labels_N, 3, method=method)
    assert fit.accuracy == 1.0
    assert fit.confusion_EE.tolist() == [[100, 0, 0], [0, 100, 0], [0, 0, 100]]
    routing = LinearRouter(fit.weight_ED, fit.bias_E)(x_ND)
    assert (routing.experts_NK[:, 0] == labels_N).all()


@both
def test_labels_without_meaning_give_chance(method: Method) -> None:
    """The wrong twin: cross-validation must not reward memorising."""
    x_ND, _ = _blobs(300, 1.0)
    labels_N = torch.randint(0, 3, (300,), generator=torch.Generator().manual_seed(1))
    assert fit_router(x_ND, labels_N, 3, method=method).accuracy < 0.45


@both
def test_confidence_is_calibrated(method: Method) -> None:
    """With overlapping classes the mean confidence is near the accuracy, not near 1."""
    x_ND, labels_N = _blobs(3000, 5.0)
    fit = fit_router(x_ND, labels_N, 3, method=method)
    confidence = LinearRouter(fit.weight_ED, fit.bias_E)(x_ND).probs_NE.max(-1).values.mean()
    assert 0.4 < fit.accuracy < 0.95
    assert float(confidence.detach()) == pytest.approx(fit.accuracy, abs=0.06)


@both
def test_groups_stay_in_one_fold(method: Method) -> None:
    """Copies of one sample in train and test would make noise look learnable."""
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(40, 60, generator=generator).repeat_interleave(5, 0)
    labels_N = torch.randint(0, 2, (40,), generator=generator).repeat_interleave(5)
    groups_N = torch.arange(40).repeat_interleave(5)
    leaky = fit_router(x_ND, labels_N, 2, method=method).accuracy
    honest = fit_router(x_ND, labels_N, 2, method=method, groups_N=groups_N).accuracy
    assert leaky > 0.95
    assert honest < 0.75


def test_permuting_experts_permutes_the_router() -> None:
    x_ND, labels_N = _blobs(120, 1.0)
    permutation = torch.tensor([2, 0, 1])
    plain = fit_router(x_ND, labels_N, 3)
    permuted = fit_router(x_ND, permutation[labels_N], 3)
    assert torch.allclose(permuted.weight_ED[permutation], plain.weight_ED, atol=1e-4)


@both
def test_without_bias_there_is_none(method: Method) -> None:
    x_ND, labels_N = _blobs(120, 1.0)
    fit = fit_router(x_ND, labels_N, 3, method=method, bias=False)
    assert fit.bias_E.abs().max() == 0
    assert fit.accuracy > 0.95


def test_logistic_is_at_the_minimum_of_its_objective() -> None:
    """Mean log loss plus ridge/2 |W|^2 in units of the mean feature variance; gradient zero."""
    x_ND, labels_N = _blobs(300, 4.0)
    x_ND = 100 * x_ND.double() + 7  # neither scale nor offset may matter
    weight_ED, bias_E = _logistic(x_ND, F.one_hot(labels_N, 3).double(), 0.1, True)
    variance = float(x_ND.var(0, correction=0).mean())
    weight_ED.requires_grad_()
    bias_E.requires_grad_()
    loss = F.cross_entropy(x_ND @ weight_ED.T + bias_E, labels_N)
    (loss + 0.1 / 2 * variance * weight_ED.square().sum()).backward()
    assert weight_ED.grad is not None
    assert bias_E.grad is not None
    assert float(weight_ED.grad.abs().max()) / variance**0.5 < 1e-5
    assert float(bias_E.grad.abs().max()) < 1e-5
    assert float(loss.detach()) < 1.0


def test_logistic_sees_a_class_between_two_others() -> None:
    """Three classes on a line: one-hot targets give the middle one a flat, masked score."""
    generator = torch.Generator().manual_seed(0)
    labels_N = torch.arange(300) % 3
    x_ND = (labels_N[:, None] - 1.0) * 4 + 0.3 * torch.randn(300, 1, generator=generator)
    assert fit_router(x_ND, labels_N, 3, method="ridge").accuracy < 0.8
    assert fit_router(x_ND, labels_N, 3, method="logistic", ridge=1e-3).accuracy == 1.0
