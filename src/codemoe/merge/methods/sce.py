"""SCE (arXiv:2408.07990): Select entries on which the models differ, Calculate a weight a model,
Erase minority signs."""

from collections.abc import Iterator

import numpy as np

from codemoe.errors import UserError
from codemoe.merge.methods.inputs import Inputs, blocks, size_of
from codemoe.merge.methods.select import Cut, cuts, keep_largest


def sce(inputs: Inputs, select_topk: float) -> Iterator[np.ndarray]:
    """base + sum of agreeing (weight * task vector) / sum of agreeing weights, entry by entry.

    Of the entries whose variance over models is not 0, the `select_topk` share of largest variance
    is kept, exactly int(share * count). A model's weight is its mean square over the kept entries,
    over all models' sum. The sign with the larger total of task vectors wins, 0 counts as positive.
    """
    if not 0 < select_topk <= 1:
        raise UserError(
            f"select_topk is {select_topk:g}: a share above 0 and at most 1 is expected"
        )
    cut = _cut(inputs, select_topk) if select_topk < 1 else None
    energy = np.zeros(inputs.count)
    for _, deltas in _kept(inputs, cut):
        for model, delta in enumerate(deltas):
            energy[model] += np.square(delta).sum(dtype=np.float64)
    energy /= max(size_of(inputs), 1)
    total = float(energy.sum())
    weight = energy / total if total >= 1e-6 else np.full(inputs.count, 1 / inputs.count)
    for base, deltas in _kept(inputs, cut):
        negative = sum(deltas[1:], start=deltas[0]) < 0
        merged, divisor = np.zeros(len(base), np.float32), np.zeros(len(base), np.float32)
        for delta, share in zip(deltas, weight.astype(np.float32), strict=True):
            agrees = np.where(negative, delta < 0, delta > 0)
            merged += delta * share * agrees
            divisor += share * agrees
        merged /= np.maximum(divisor, np.float32(1e-6))
        yield base + merged


def _variance(deltas_MB: np.ndarray) -> np.ndarray:
    """Over models, by count; in float64 so that equal entries have exactly none."""
    return np.asarray(deltas_MB.astype(np.float64).var(0).astype(np.float32))


def _cut(inputs: Inputs, share: float) -> Cut:
    def variances(first: int, last: int) -> np.ndarray:
        _, deltas_MB = inputs.task_vectors(first, last)
        return _variance(deltas_MB)[None]

    differing = sum(
        int(np.count_nonzero(variances(first, last)[0])) for first, last in blocks(inputs)
    )
    keep = int(share * differing)
    return cuts(variances, lambda: blocks(inputs), size_of(inputs), [keep], inputs.spare)[0]


def _kept(inputs: Inputs, cut: Cut | None) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """(base, task vectors with what is not selected at 0), block by block."""
    count_down = None if cut is None else Cut(cut.bits, cut.equal)
    for first, last in blocks(inputs):
        base, deltas_MB = inputs.task_vectors(first, last)
        deltas = list(deltas_MB)
        if count_down is not None:
            variance = _variance(deltas_MB)
            keep_largest(variance[None], [count_down], np.empty((1, len(variance)), np.int32))
            # An entry without variance that is kept for its place among equals has none either.
            dropped = variance == 0
            for delta in deltas:
                delta[dropped] = 0
        yield base, deltas
