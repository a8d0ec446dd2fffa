"""The same as Hugging Face's routers, and each check shown to see a wrong one."""

import pytest
import torch
from transformers import DeepseekV3Config, MixtralConfig
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3TopkRouter
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter

from codemoe.routing.decisions import route_top_k
from codemoe.routing.routers import SigmoidRouter, TopKRouter
from tests.routing.make import rows


def _gates(weights_NK: torch.Tensor, experts_NK: torch.Tensor) -> torch.Tensor:
    return torch.zeros(len(weights_NK), 5).scatter(-1, experts_NK, weights_NK)


@pytest.mark.parametrize("top_k", [1, 2, 5])
def test_top_k_is_mixtral(top_k: int) -> None:
    theirs = MixtralTopKRouter(
        MixtralConfig(hidden_size=8, num_local_experts=5, num_experts_per_tok=top_k)
    )
    weight_ED = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    theirs.load_state_dict({"weight": weight_ED})
    logits_NE, weights_NK, experts_NK = theirs(rows())
    routing = TopKRouter(weight_ED, top_k=top_k)(rows())
    assert torch.allclose(routing.logits_NE, logits_NE, atol=1e-6)
    assert torch.equal(routing.experts_NK, experts_NK)
    assert torch.allclose(routing.weights_NK, weights_NK, atol=1e-6)
    # The wrong twin: not renormalised over the K.
    wrong_NK = routing.probs_NE.gather(-1, routing.experts_NK)
    assert torch.allclose(wrong_NK, weights_NK, atol=1e-6) == (top_k == 5)


def test_sigmoid_is_deepseek_v3() -> None:
    theirs = DeepseekV3TopkRouter(
        DeepseekV3Config(
            hidden_size=8,
            n_routed_experts=5,
            num_experts_per_tok=2,
            n_group=1,
            topk_group=1,
            routed_scaling_factor=1.0,
        )
    )
    generator = torch.Generator().manual_seed(0)
    weight_ED = torch.randn(5, 8, generator=generator)
    bias_E = torch.randn(5, generator=generator) / 2
    theirs.load_state_dict({"weight": weight_ED, "e_score_correction_bias": bias_E})
    _, weights_NK, experts_NK = theirs(rows())
    expected_NE = _gates(weights_NK, experts_NK)
    ours = SigmoidRouter(weight_ED, top_k=2)
    ours.balance_bias.copy_(bias_E)
    assert torch.allclose(ours(rows()).gates_NE(), expected_NE, atol=1e-6)
    # The wrong twin: a bias that weighs too.
    wrong = route_top_k((ours.logits(rows()).sigmoid() + bias_E).clamp_min(1e-6).log(), 2)
    assert not torch.allclose(wrong.gates_NE(), expected_NE, atol=1e-2)
