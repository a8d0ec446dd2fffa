"""Which entries of a task vector stay: all, the largest, a random share, or by rank and chance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from codemoe.errors import UserError
from codemoe.merge.methods.coins import Coins, faces
from codemoe.merge.methods.inputs import Inputs, blocks, generator, row_of, size_of
from codemoe.merge.methods.select import EVERYTHING, NOTHING, Cut, cuts, keep_largest

Sparsity = Literal["none", "magnitude", "outliers", "random", "rank"]


@dataclass(frozen=True)
class Sparse:
    """How one model's task vector is thinned out.

    magnitude: TIES' trim, the `density` largest in magnitude, exactly int(density * n) of them and
    at least one; of equal magnitudes the first. outliers: the same after the `gamma` largest are
    dropped (Model Breadcrumbs, arXiv:2312.06795). random: each stays with probability `density`
    (DARE, arXiv:2311.03099). rank: with density - epsilon for a row's smallest to density +
    epsilon for its largest, linear in the rank (DELLA, arXiv:2406.11617).
    """

    kind: Sparsity
    density: float = 1.0
    gamma: float = 0.0
    epsilon: float = 0.0

    @property
    def thins(self) -> bool:
        return self.kind != "none" and self.density < 1


class Thinner:
    """Zeroes entries of the task vectors of all models, block by block, in the tensor's order.

    `by_chance` makes up for what is dropped: by the inverse of the chance to stay, at once.
    """

    def __init__(
        self, inputs: Inputs, how: Sequence[Sparse], keep: Sequence[Sequence[Cut]], by_chance: bool
    ) -> None:
        self._how, self._row = how, row_of(inputs)
        self._thinned = [model for model, one in enumerate(how) if one.thins]
        self._kind: Sparsity = how[self._thinned[0]].kind if self._thinned else "none"
        self._by_chance = by_chance
        self._keep = [[replace(cut) for cut in cuts] for cuts in keep]
        generators = [generator(inputs, model) for model in range(len(how))]
        self._coins = [Coins(g, one.density) for g, one in zip(generators, how, strict=True)]
        self._random = generators
        up = [1 / one.density if by_chance else 1.0 for one in how]
        self.faces = [faces(factor) for factor in up] if self._kind == "random" else []

    def __call__(self, deltas_MB: np.ndarray, scratch_MB: np.ndarray) -> None:
        """Thin out in place; the scratch is int32 of the same shape."""
        if self._kind == "magnitude":
            keep_largest(deltas_MB, self._keep[0], scratch_MB)
        elif self._kind == "outliers":
            dropped_MB = deltas_MB.copy()
            keep_largest(dropped_MB, self._keep[1], scratch_MB)
            for model, one in enumerate(self._how):
                if not one.thins:
                    dropped_MB[model] = 0
            keep_largest(deltas_MB, self._keep[0], scratch_MB)
            np.subtract(deltas_MB, dropped_MB, out=deltas_MB)
        elif self._kind == "random":
            for model in self._thinned:
                self._coins[model].flip(deltas_MB[model], self.faces[model])
        elif self._kind == "rank":
            for model in self._thinned:
                self._by_rank(deltas_MB[model], model)

    @property
    def fuses(self) -> bool:
        """Whether a kernel can do it, with `cuts` and `take`."""
        return self._kind not in ("outliers", "rank")

    def cuts(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(M,) int32 and int64: bits, and how many equal ones stay, which counts down; for kernels
        that go through the tensor in its order. None where magnitudes do not decide."""
        if self._kind != "magnitude":
            return None
        keep = self._keep[0]
        return np.array([c.bits for c in keep], np.int32), np.array([c.equal for c in keep])

    def take(self, count: int) -> list[tuple[np.ndarray, int] | None]:
        """Each model's next flips (`Coins.take`), None where it is left whole; of none where chance
        does not decide. They land on `faces`."""
        if self._kind != "random":
            return []
        return [
            coins.take(count) if how.thins else None
            for coins, how in zip(self._coins, self._how, strict=True)
        ]

    def _by_rank(self, delta: np.ndarray, model: int) -> None:
        how, rows = self._how[model], delta.reshape(-1, self._row)
        low, width = how.density - how.epsilon, 2 * how.epsilon
        steps = np.linspace(0, 1, self._row) if self._row > 1 else np.full(1, 0.5)
        chances = (low + width * steps).astype(np.float32)
        order = np.argsort(np.abs(rows), axis=1, kind="stable")
        chance = np.empty(rows.shape, np.float32)
        np.put_along_axis(chance, order, np.broadcast_to(chances, rows.shape), axis=1)
        stays = self._random[model].random(rows.shape, np.float32) < chance
        rows *= stays
        if self._by_chance:
            rows /= chance


def check_sparse(how: Sparse) -> None:
    """Raise for settings under which nothing could stay, or a chance would not be one."""
    if how.kind == "none":
        return
    if not 0 < how.density <= 1:
        why = "it is a share" if how.density else "nothing of the model would stay"
        raise UserError(
            f"density is {how.density:g}: {why}",
            "give a density above 0 and at most 1, or leave the model out",
        )
    if not 0 <= how.gamma <= 1:
        raise UserError(f"gamma is {how.gamma:g}: it is a share", "give a gamma from 0 to 1")
    if how.epsilon < 0:
        raise UserError(
            f"epsilon is {how.epsilon:g}: with that large entries would be dropped sooner",
            "give an epsilon of at least 0",
        )
    if how.kind == "rank" and how.density < 1:
        low, high = how.density - how.epsilon, how.density + how.epsilon
        if low <= 0 or high >= 1:
            raise UserError(
                f"density {how.density:g} and epsilon {how.epsilon:g} make chances from {low:g} to "
                f"{high:g}",
                "choose them so that density - epsilon > 0 and density + epsilon < 1",
            )


def thinner(inputs: Inputs, sparse: Sequence[Sparse], by_chance: bool) -> Thinner:
    """Reads the tensor twice when magnitudes decide, else not at all."""
    size = size_of(inputs)
    wanted: list[list[int]] = []
    for how in sparse:
        if how.kind in ("magnitude", "outliers") and how.thins:
            kept, top = int(how.density * size), 0
            if how.kind == "magnitude":
                kept = max(1, kept)
            else:  # fewer outliers are dropped where `density` leaves no room
                top = min(int(how.gamma * size), size - kept)
            wanted.append([kept + top, top])
        else:
            wanted.append([])
    found: list[list[Cut]] = []
    if any(wanted):

        def magnitudes(first: int, last: int) -> np.ndarray:
            return inputs.task_vectors(first, last)[1]

        for place in (0, 1):
            keep = [w[place] if w else size for w in wanted]
            if place and not any(w and w[1] for w in wanted):
                many = [NOTHING if w else EVERYTHING for w in wanted]
            else:
                read = partial(blocks, inputs, of_all=True)
                many = cuts(magnitudes, read, size, keep, inputs.spare)
            found.append(many)
    return Thinner(inputs, sparse, found, by_chance)
