"""Gates before training: their size, their angles, and what prompts make of them."""

import pytest
import torch

from codemoe.errors import UserError
from codemoe.routing.init import orthogonal_gate, prompt_gate, random_gate

POSITIVE_N = torch.ones(30, dtype=torch.int64)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_random_gate_gives_logits_of_variance_1() -> None:
    weight_ED = random_gate(64, 512, _generator())
    assert float(weight_ED.norm(dim=-1).mean()) == pytest.approx(1.0, abs=0.02)
    x_ND = torch.randn(500, 512, generator=_generator(1))
    assert float((x_ND @ weight_ED.T).var()) == pytest.approx(1.0, abs=0.05)
    assert torch.equal(weight_ED, random_gate(64, 512, _generator()))
    assert not torch.equal(weight_ED, random_gate(64, 512, _generator(1)))


def test_orthogonal_gate_has_orthonormal_rows() -> None:
    weight_ED = orthogonal_gate(4, 32, _generator())
    assert torch.allclose(weight_ED @ weight_ED.T, torch.eye(4), atol=1e-6)


def _prompts(shared: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Thirty inputs of three experts: small differences on top of what all have in common."""
    centres_ED = torch.randn(3, 16, generator=_generator())
    common_D = shared * torch.randn(16, generator=_generator(5))
    labels_N = torch.arange(30) % 3
    noise_ND = 0.3 * torch.randn(30, 16, generator=_generator(2))
    return common_D + centres_ED[labels_N] + noise_ND, labels_N


@pytest.mark.parametrize("shared", [0.0, 100.0])
def test_prompt_gate_routes_prompts_to_their_experts(shared: float) -> None:
    x_ND, labels_N = _prompts(shared)
    weight_ED = prompt_gate(x_ND, labels_N, POSITIVE_N, 3)
    assert torch.allclose(weight_ED.norm(dim=-1), torch.ones(3))
    probs_NE = (x_ND @ weight_ED.T).softmax(-1)
    assert (probs_NE.argmax(-1) == labels_N).all()
    assert probs_NE.max(-1).values.mean() > 0.9
    # The wrong twin: means at norm 1 with the common part left in.
    means_ED = torch.stack([x_ND[labels_N == e].mean(0) for e in range(3)])
    even_NE = (x_ND @ torch.nn.functional.normalize(means_ED, dim=-1).T).softmax(-1)
    assert (even_NE.max(-1).values.mean() < 0.4) == (shared > 0)


def test_negative_prompts_point_away() -> None:
    """By hand: expert 0 has positive (2, 0, 0) and (4, 0, 0), and negative (0, 0, 1).

    The mean over experts is (1.5, 2, 0), in direction (0.6, 0.8, 0). Expert 0 has 1.8 of it, expert
    1 has 3.2 of it.
    """
    x_ND = torch.tensor([[2.0, 0, 0], [4.0, 0, 0], [0, 4.0, 0], [0, 0, 1.0]])
    weight_ED = prompt_gate(x_ND, torch.tensor([0, 0, 1, 0]), torch.tensor([1, 1, 1, -1]), 2)
    wanted_ED = torch.tensor([[3 - 1.08, -1.44, -1.0], [-1.92, 4 - 2.56, 0.0]])
    assert torch.allclose(weight_ED, torch.nn.functional.normalize(wanted_ED, dim=-1))


def test_prompts_that_cannot_tell_experts_apart_are_refused() -> None:
    x_ND, labels_N = _prompts(0.0)
    with pytest.raises(UserError, match="expert 3 has no positive prompt"):
        prompt_gate(x_ND, labels_N, POSITIVE_N, 4)
    x_ND[labels_N == 2] = x_ND[labels_N == 1]
    with pytest.raises(UserError, match="prompts of experts 1 and 2 look the same"):
        prompt_gate(x_ND, labels_N, POSITIVE_N, 3)
