"""Which entries of a task vector stay: all, the largest, a random share, or by rank and chance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from codemoe.errors import UserError
from codemoe.merge.methods.inputs import Inputs, blocks, generator, row_of, size_of
from codemoe.merge.methods.select import EVERYTHING, NOTHING, Cut, cuts, keep_largest
from codemoe.merge.methods.select import magnitude_bits as bits_of

Sparsity = Literal["none", "magnitude", "outliers", "random", "rank"]
_CHANCES = 1 << 16


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
    """Zeroes entries of one model's task vector, block by block, in the tensor's order.

    `weigh` (None: no) makes up for what is dropped: by the inverse of the chance to stay, at once.
    """

    def __init__(
        self, inputs: Inputs, model: int, how: Sparse, keep: Sequence[Cut], by_chance: bool
    ) -> None:
        self._how, self._row = how, row_of(inputs)
        self._by_chance = by_chance
        self._keep = [replace(cut) for cut in keep]
        self._random = generator(inputs, model)
        self._coins = np.empty(0, np.uint16)

    def __call__(self, delta: np.ndarray, scratch: np.ndarray) -> None:
        """Thin out `delta` in place; `scratch` is int32 of the same length."""
        how = self._how
        if not how.thins:
            return
        if how.kind == "magnitude":
            keep_largest(delta, self._keep[0], scratch)
        elif how.kind == "outliers":
            dropped = delta.copy()
            keep_largest(dropped, self._keep[1], scratch)
            keep_largest(delta, self._keep[0], scratch)
            np.subtract(delta, dropped, out=delta)
        elif how.kind == "random":
            stays = self._flips(len(delta))
            np.multiply(delta, stays, out=delta)
            if self._by_chance and how.density > 0:
                np.multiply(delta, np.float32(1 / how.density), out=delta)
        else:
            self._by_rank(delta)

    def _flips(self, count: int) -> np.ndarray:
        """True with probability `density`, exactly: 16 random bits decide all but one case in
        65536, and for that one a random number does."""
        missing = count - len(self._coins)
        if missing > 0:
            words = self._random.integers(0, 2**64, -(-missing // 4), np.uint64)
            self._coins = np.concatenate([self._coins, words.view(np.uint16)])
        coins, self._coins = self._coins[:count], self._coins[count:]
        whole, rest = divmod(self._how.density * _CHANCES, 1)
        stays = coins < np.uint16(min(int(whole), _CHANCES - 1))
        if rest:
            # Decided by the position's own bits, so that blocks of any size draw the same numbers.
            edge = np.flatnonzero(coins == np.uint16(whole))
            stays[edge] = self._edge(len(edge)) < rest
        return stays

    def _edge(self, count: int) -> np.ndarray:
        if not hasattr(self, "_edge_random"):
            seed = self._random.bit_generator.seed_seq.spawn(1)[0]  # type: ignore[attr-defined]
            self._edge_random = np.random.Generator(np.random.SFC64(seed))
        return self._edge_random.random(count)

    def _by_rank(self, delta: np.ndarray) -> None:
        rows = delta.reshape(-1, self._row)
        low, width = self._how.density - self._how.epsilon, 2 * self._how.epsilon
        steps = np.linspace(0, 1, self._row) if self._row > 1 else np.full(1, 0.5)
        chances = (low + width * steps).astype(np.float32)
        order = np.argsort(np.abs(rows), axis=1, kind="stable")
        chance = np.empty(rows.shape, np.float32)
        np.put_along_axis(chance, order, np.broadcast_to(chances, rows.shape), axis=1)
        stays = self._random.random(rows.shape, np.float32) < chance
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
    if how.kind == "rank" and how.density < 1:
        low, high = how.density - how.epsilon, how.density + how.epsilon
        if low <= 0 or high >= 1:
            raise UserError(
                f"density {how.density:g} and epsilon {how.epsilon:g} make chances from {low:g} to "
                f"{high:g}",
                "choose them so that density - epsilon > 0 and density + epsilon < 1",
            )


def thinners(inputs: Inputs, sparse: Sequence[Sparse], by_chance: bool) -> list[Thinner]:
    """One a model. Reads the tensor twice when magnitudes decide, else not at all."""
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
    found: list[list[Cut]] = [[] for _ in sparse]
    if any(wanted):
        scratch = [np.empty(0, np.int32)] * len(sparse)

        def magnitudes(first: int, last: int) -> list[np.ndarray]:
            base = inputs.base(first, last)
            for model in range(len(sparse)):
                if len(scratch[model]) < last - first:
                    scratch[model] = np.empty(last - first, np.int32)
            return [
                bits_of(
                    inputs.task_vector(model, base, first, last),
                    out=scratch[model][: last - first],
                )
                for model in range(len(sparse))
            ]

        for place in (0, 1):
            keep = [w[place] if w else size for w in wanted]
            if place and not any(w and w[1] for w in wanted):
                many = [NOTHING if w else EVERYTHING for w in wanted]
            else:
                many = cuts(magnitudes, lambda: blocks(inputs), size, keep, inputs.spare)
            for model, cut in enumerate(many):
                found[model].append(cut)
    return [
        Thinner(inputs, model, how, found[model], by_chance) for model, how in enumerate(sparse)
    ]
