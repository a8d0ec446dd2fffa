"""Cost beside quality: parameters and FLOPs per token of a model and how it is run."""

from dataclasses import dataclass

from codemoe.models.adapter_moe import StackedLora
from codemoe.models.load import CodeModel


@dataclass(frozen=True)
class Size:
    total_parameters: int
    active_parameters: int  # used for one token
    flops_per_token: int  # forward, at short context: 2 per active weight that multiplies


def size_of(model: CodeModel, routed: str) -> Size:
    """Count base, experts and routers; a hard-routed token uses one expert.

    `routed` is the contender's name: only its routers count.
    """
    base = sum(p.numel() for p in model.model.parameters())
    embeddings = sum(p.numel() for p in model.model.get_input_embeddings().parameters())
    tied = model.model.config.tie_word_embeddings
    multiplied = base - (0 if tied else embeddings)
    if model.mixture is None:
        return Size(base, base, 2 * multiplied)
    num_experts = len(model.mixture.experts)
    adapters = sum(
        m.a_RD.numel() + m.b_RO.numel() for m in model.model.modules() if isinstance(m, StackedLora)
    )
    routers = 0
    sequence = model.mixture.sequence_router
    if routed == "moe-sequence" and sequence is not None:
        routers = sum(p.numel() for p in sequence.router.parameters())
    elif routed == "moe-token":
        # A gate that layers share is held once and runs in each.
        gates = [gate for gate in model.mixture.token_routers if gate is not None]
        routers = sum(p.numel() for gate in gates for p in gate.parameters())
    one = adapters // num_experts
    active = base + one + routers
    # The sequence router runs once a prompt, which is nothing per token; token gates run on each.
    per_token = multiplied + one + (routers if routed == "moe-token" else 0)
    return Size(base + adapters + routers, active, 2 * per_token)
