"""Merge methods: task vectors in, one task vector out. Pure functions of tensors."""

# M models; the rest of a shape is any

from collections.abc import Callable, Sequence

import torch


def average(deltas: Sequence[torch.Tensor]) -> torch.Tensor:
    """The plain mean of the task vectors (model soup, arXiv:2203.05482)."""
    return torch.stack(list(deltas)).mean(0)


def trim(delta: torch.Tensor, density: float) -> torch.Tensor:
    """Keep the `density` share of entries that is largest in magnitude; zero the rest.

    Exactly round(density * n) entries stay (at least one); of equal magnitudes the first stay.
    """
    if density >= 1.0:
        return delta
    flat = delta.flatten()
    num_kept = max(1, round(density * flat.numel()))
    order = flat.abs().sort(descending=True, stable=True).indices[:num_kept]
    kept = torch.zeros_like(flat)
    kept[order] = flat[order]
    return kept.view_as(delta)


def ties(deltas: Sequence[torch.Tensor], density: float, weight: float = 1.0) -> torch.Tensor:
    """TIES (arXiv:2306.01708): trim, elect the sign of the larger total, mean of those that agree.

    The mean runs over the models whose trimmed entry has the elected sign; `weight` is lambda.
    """
    trimmed = torch.stack([trim(delta, density) for delta in deltas])
    elected = torch.where(trimmed.sum(0) >= 0, 1.0, -1.0)
    agrees = (trimmed * elected) > 0
    total = (trimmed * agrees).sum(0)
    return weight * total / agrees.sum(0).clamp_min(1)


def method(
    name: str, density: float, weight: float
) -> Callable[[Sequence[torch.Tensor]], torch.Tensor]:
    """A merge method by its recipe name, with its parameters bound."""
    return {"average": average, "ties": lambda deltas: ties(deltas, density, weight)}[name]
