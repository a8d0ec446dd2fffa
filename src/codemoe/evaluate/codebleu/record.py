"""The scores of one pair, and the weights of their four parts."""

import math
from dataclasses import dataclass

from codemoe.errors import UserError

Weights = tuple[float, float, float, float]
EQUAL_WEIGHTS: Weights = (0.25, 0.25, 0.25, 0.25)
PAPER_WEIGHTS: Weights = (0.1, 0.1, 0.4, 0.4)  # arXiv:2009.10297, its best setting


@dataclass(frozen=True, slots=True)
class CodeBleu:
    """Scores in [0, 1]; None: the reference has nothing to match there."""

    codebleu: float
    ngram_match: float
    weighted_ngram_match: float
    syntax_match: float | None
    dataflow_match: float | None


def checked_weights(weights: Weights) -> Weights:
    """The weights, if they are four numbers from 0 up and not all 0; else a UserError."""
    are_numbers = all(math.isfinite(weight) and weight >= 0 for weight in weights)
    if len(weights) != 4 or not are_numbers or not 0 < sum(weights) < math.inf:
        raise UserError(
            f"weights {tuple(weights)!r}; expected four numbers from 0 up that are not all 0",
            "for example 0.25,0.25,0.25,0.25",
        )
    return weights
