"""What a router returns. Routers keep no state; who wants a record keeps the one it was given."""

# N tokens or sequences, K chosen per token, E experts

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Routing:
    """One routing decision for N tokens (or N sequences)."""

    weights_NK: torch.Tensor  # of the chosen experts
    experts_NK: torch.Tensor  # int64 indices of the chosen experts
    probs_NE: torch.Tensor  # over all experts
    logits_NE: torch.Tensor  # before the softmax, float32

    def gates_NE(self) -> torch.Tensor:
        """The weights scattered to all experts; zero where an expert was not chosen."""
        return torch.zeros_like(self.probs_NE).scatter(-1, self.experts_NK, self.weights_NK)
