"""Counting matches between two bags of things: shared by every component."""

from collections import Counter
from collections.abc import Hashable
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)


def clipped_matches(reference: Counter[Item], prediction: Counter[Item]) -> int:
    """How many items of the reference the prediction has too; each counts as often as in both."""
    matches = 0
    for item in reference.keys() & prediction.keys():
        wanted, found = reference[item], prediction[item]
        matches += wanted if wanted < found else found
    return matches


def recall(reference: Counter[Item], prediction: Counter[Item]) -> float | None:
    """The matched share of the reference in [0, 1]; None when the reference is empty."""
    total = reference.total()
    return clipped_matches(reference, prediction) / total if total else None
