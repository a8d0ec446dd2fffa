"""Cost beside quality: parameters and FLOPs per token of a model and how it is run."""

import math
from dataclasses import dataclass
from typing import Literal

import torch

from codemoe.models.adapter_moe import MixtureModule
from codemoe.models.full_mlps import ExpertMlps
from codemoe.models.load import CodeModel


@dataclass(frozen=True)
class Size:
    """What a model has and what one token uses of it.

    FLOPs are those of a forward pass at short context: 2 (a multiplication and an addition) for
    each active weight that multiplies. Embedding look-ups multiply nothing, unless they are tied to
    the output layer; attention's own products, 4 * layers * hidden size * context length, are not
    in it, because they are the same for every compared model.
    """

    total_parameters: int
    active_parameters: int  # used for one token
    flops_per_token: int


def count(parameter: torch.Tensor) -> int:
    """The weights in a parameter; bitsandbytes packs two 4-bit ones into a byte."""
    state = getattr(parameter, "quant_state", None)
    return math.prod(state.shape) if state is not None else parameter.numel()


def size_of(model: CodeModel, routers: Literal["none", "sequence", "token"]) -> Size:
    """Count base, experts and the routers at work; a hard-routed token uses one expert."""
    mixed = [m for m in model.model.modules() if isinstance(m, MixtureModule)]
    whole = [m for m in mixed if isinstance(m, ExpertMlps)]
    # Full-MLP experts are parameters of the model, stacked LoRA factors are buffers.
    of_experts = sum(m.expert_parameters() for m in whole)
    base = sum(count(p) for p in model.model.parameters()) - of_experts
    embeddings = sum(count(p) for p in model.model.get_input_embeddings().parameters())
    tied = model.model.config.tie_word_embeddings
    multiplied = base - (0 if tied else embeddings)
    if model.mixture is None:
        return Size(base, base, 2 * multiplied)
    num_experts = len(model.mixture.experts)
    experts = sum(m.expert_parameters() for m in mixed)
    gates = 0
    sequence = model.mixture.sequence_router
    if routers == "sequence" and sequence is not None:
        gates = sum(p.numel() for p in sequence.router.parameters())
    chosen = 1
    if routers == "token":
        # A gate that layers share is held once and runs in each.
        present = [gate for gate in model.mixture.token_routers if gate is not None]
        gates = sum(p.numel() for gate in present for p in gate.parameters())
        chosen = max((int(getattr(gate, "top_k", 1)) for gate in present), default=1)
    one = chosen * experts // num_experts
    # A full-MLP expert runs in place of the base's MLPs.
    spared = of_experts // num_experts
    # The sequence router runs once a prompt, which is nothing per token; token gates run on each.
    per_token = multiplied + one - spared + (gates if routers == "token" else 0)
    return Size(base + experts + gates, base + one - spared + gates, 2 * per_token)
