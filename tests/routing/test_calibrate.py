"""Temperature and bias: what they are minimal at."""

import pytest
import torch
from torch.nn import functional as F

from codemoe.errors import UserError
from codemoe.routing.calibrate import prior_bias, temperature_scale

LOGITS_NE = 2 * torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
LOGITS_NE += torch.tensor([1.0, 0.0, -1.0])


def _draw(logits_NE: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return logits_NE.softmax(-1).multinomial(1, generator=generator)[:, 0]


def test_temperature_finds_the_scale_that_labels_were_drawn_with() -> None:
    labels_N = _draw(1.7 * LOGITS_NE)
    scale = temperature_scale(LOGITS_NE, labels_N)
    assert scale == pytest.approx(1.7, rel=0.1)
    best = F.cross_entropy(LOGITS_NE * scale, labels_N)
    for other in (0.97, 1.03):
        assert F.cross_entropy(LOGITS_NE * scale * other, labels_N) > best


@pytest.mark.parametrize("scale", [1.0, 20.0])
@pytest.mark.parametrize("prior", [[1 / 3, 1 / 3, 1 / 3], [0.2, 0.1, 0.7], [0.01, 0.01, 0.98]])
def test_bias_brings_the_mean_probability_to_the_prior(prior: list[float], scale: float) -> None:
    bias_E = prior_bias(scale * LOGITS_NE, torch.tensor(prior))
    mean_E = (scale * LOGITS_NE + bias_E).softmax(-1).mean(0)
    assert mean_E.tolist() == pytest.approx(prior, abs=1e-4)
    assert float(bias_E.mean()) == pytest.approx(0.0, abs=1e-5 * scale)


def test_bias_for_the_label_frequencies_minimises_log_loss() -> None:
    drift_E = torch.tensor([0.5, -1.0, 0.5])
    labels_N = _draw(LOGITS_NE + drift_E)
    bias_E = prior_bias(LOGITS_NE, labels_N.bincount(minlength=3))
    assert bias_E.tolist() == pytest.approx(drift_E.tolist(), abs=0.15)
    best = F.cross_entropy(LOGITS_NE + bias_E, labels_N)
    for step_E in 0.05 * torch.cat([torch.eye(3), -torch.eye(3)]):
        assert F.cross_entropy(LOGITS_NE + bias_E + step_E, labels_N) > best


def test_an_expert_without_a_share_is_refused() -> None:
    with pytest.raises(UserError, match=r"leaves an expert without a share"):
        prior_bias(LOGITS_NE, torch.tensor([0.5, 0.5, 0.0]))
