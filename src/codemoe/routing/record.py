"""What a router returns. Routers keep no state; who wants a record keeps the one it was given."""

# N tokens or sequences, K chosen per token, E experts

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Routing:
    """One routing decision for N tokens (or N sequences); all but the indices is float32."""

    weights_NK: torch.Tensor  # of the chosen experts; 0 is "not sent": dropped, or not picked
    experts_NK: torch.Tensor  # int64 indices of the chosen experts
    probs_NE: torch.Tensor  # over all experts: softmax(logits_NE) for every router
    logits_NE: torch.Tensor  # without noise
    # Noisy top-k while training, for `losses.load_loss`: what was compared, and how noisy it was.
    noisy_logits_NE: torch.Tensor | None = None
    noise_std_NE: torch.Tensor | None = None

    def gates_NE(self) -> torch.Tensor:
        """The weights scattered to all experts; zero where an expert was not chosen."""
        return torch.zeros_like(self.probs_NE).scatter(-1, self.experts_NK, self.weights_NK)
