"""Counting matches between two bags of things: shared by every component."""

from collections import Counter
from collections.abc import Hashable
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)


def clipped_matches(reference: Counter[Item], prediction: Counter[Item]) -> int:
    """How many items of the reference the prediction has too; each counts as often as in both."""
    few, many = reference, prediction
    if len(few) > len(many):
        few, many = many, few
    matches = 0
    other_of = many.get
    for item, wanted in few.items():
        found = other_of(item)
        if found:
            matches += wanted if wanted < found else found
    return matches


def recall(reference: Counter[Item], prediction: Counter[Item]) -> float | None:
    """The matched share of the reference in [0, 1]; None when the reference is empty."""
    total = reference.total()
    return clipped_matches(reference, prediction) / total if total else None
