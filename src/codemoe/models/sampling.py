"""The one sampler: evaluation, the command line and serving all choose tokens here."""

# B batch, V vocabulary

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from codemoe.errors import UserError

# Below, logits divided by the temperature leave float32, and one token has all the mass anyway.
_COLDEST = 1e-5


@dataclass(frozen=True)
class Sampling:
    """Greedy at temperature 0; nucleus sampling (arXiv:1904.09751) with `top_p` otherwise."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature <= 100.0:
            raise UserError(f"temperature is {self.temperature}; expected 0 to 100")
        if not 0.0 < self.top_p <= 1.0:
            raise UserError(f"top_p is {self.top_p}; expected above 0 and at most 1")


def choose(
    logits_BV: torch.Tensor, samplings: Sequence[Sampling], generators: Sequence[torch.Generator]
) -> torch.Tensor:
    """Next token ids (B,) from float logits; each row draws by its own rule and from a generator
    of its own, so that its neighbours do not matter."""
    token_B = logits_BV.argmax(-1)
    drawn = [row for row, sampling in enumerate(samplings) if sampling.temperature > _COLDEST]
    if not drawn:
        return token_B
    own = [samplings[row] for row in drawn]
    rows = torch.tensor(drawn, device=logits_BV.device)
    heat_B1 = torch.tensor([[one.temperature] for one in own], device=logits_BV.device)
    probs_BV = (logits_BV[rows].float() / heat_B1).softmax(-1)
    if any(one.top_p < 1.0 for one in own):
        # A sum of rounded probabilities may pass 1, where nothing may be cut off.
        tops = [[one.top_p if one.top_p < 1.0 else float("inf")] for one in own]
        top_B1 = torch.tensor(tops, device=logits_BV.device)
        sorted_BV, order_BV = probs_BV.sort(-1, descending=True)
        # A token stays while the mass before it is below top_p; the first always does, though a
        # top_p of 1e-50 is 0 in float32.
        cut_BV = sorted_BV.cumsum(-1) - sorted_BV >= top_B1
        cut_BV[:, 0] = False
        sorted_BV = sorted_BV.masked_fill(cut_BV, 0.0)
        probs_BV = torch.zeros_like(probs_BV).scatter(-1, order_BV, sorted_BV)
    for row, probs_V in zip(drawn, probs_BV, strict=True):
        token_B[row] = torch.multinomial(probs_V, 1, generator=generators[row])[0]
    return token_B
