"""Methods that are weighted sums of whole tensors, with weights from their angles and lengths.

Each is a function from the Gram matrix of the tensors and the settings to one coefficient a model,
and one for the base. So any number of models is one more reading, and identities are exact: a
coefficient of 0 reads nothing, a single 1 copies.
"""

# M models; G_MM[i, j] is the dot product of tensors i and j (of task vectors, where said)

from collections.abc import Iterator, Sequence

import numpy as np

from codemoe.errors import UserError
from codemoe.merge.methods.inputs import Inputs, blocks

Coefficients = tuple[float, Sequence[float]]  # of the base, of each model
_EPSILON = 1e-8
_PARALLEL = 0.9995  # cosine beyond which SLERP is a straight line


def linear(weight: Sequence[float], normalize: bool) -> Coefficients:
    """Model soup (arXiv:2203.05482): the weighted sum, over the sum of weights if `normalize`."""
    total = sum(weight) if normalize else 1.0
    if abs(total) < _EPSILON:
        raise UserError(
            f"the weights {list(weight)} sum to {total:g}, and the sum is divided by that",
            "change the weights, or set normalize: false",
        )
    return 0.0, [w / total for w in weight]


def task_arithmetic(weight: Sequence[float], normalize: bool, scale: float) -> Coefficients:
    """Task arithmetic (arXiv:2212.04089): base + scale * sum of weight * (model - base).

    A weight of -1 forgets a task. `normalize` divides by the sum of weights, unless that is 0.
    """
    total = sum(weight)
    divisor = total if normalize and abs(total) >= _EPSILON else 1.0
    factors = [scale * w / divisor for w in weight]
    return 1.0 - sum(factors), factors


def slerp(gram_22: np.ndarray, t: float) -> Coefficients:
    """Spherical interpolation from the first tensor (t = 0, the base) to the second (t = 1).

    Shoemake, SIGGRAPH 1985, on whole tensors, lengths left in: sin((1-t)a)/sin a * first +
    sin(t a)/sin a * second. Nearly parallel or opposite tensors are interpolated on the line.
    """
    first, second = (float(np.sqrt(gram_22[i, i])) for i in (0, 1))
    cosine = float(gram_22[0, 1]) / (
        (first if first > _EPSILON else 1.0) * (second if second > _EPSILON else 1.0)
    )
    cosine = min(1.0, max(-1.0, cosine))
    if abs(cosine) > _PARALLEL:
        return 0.0, (1.0 - t, t)
    angle = float(np.arccos(cosine))
    return 0.0, (
        float(np.sin((1 - t) * angle) / np.sin(angle)),
        float(np.sin(t * angle) / np.sin(angle)),
    )


def share_of_second(weight: Sequence[float]) -> float:
    """How far on the way from the first to the second; raises for weights that sum to 0."""
    total = sum(weight)
    if abs(total) < 1e-6:
        raise UserError(
            f"the weights {list(weight)} sum to {total:g}, and each counts as its share of that",
            "change the weights",
        )
    return weight[1] / total


def nuslerp(gram_22: np.ndarray, weight: Sequence[float]) -> Coefficients:
    """Spherical interpolation of two tensors (with a base: of two task vectors) by two weights."""
    t = share_of_second(weight)
    lengths = np.maximum(np.sqrt(np.diag(gram_22)), 1e-7)
    cosine = min(1.0, max(-1.0, float(gram_22[0, 1] / (lengths[0] * lengths[1]))))
    if 1 - cosine**2 <= _EPSILON**2:
        return 0.0, (1.0 - t, t)
    angle = float(np.arccos(cosine))
    return 0.0, (
        float(np.sin((1 - t) * angle) / np.sin(angle)),
        float(np.sin(t * angle) / np.sin(angle)),
    )


def multislerp(gram_MM: np.ndarray, weight: Sequence[float], normalize: bool) -> Coefficients:
    """Multi-SLERP (Goddard 2024): the barycentre on the sphere, at the weighted mean length.

    Unit vectors are projected on the tangent space at their normalised weighted mean, summed with
    the same weights and mapped back. That sum is 0 by the choice of the point, so what is left is
    the direction of the weighted mean of unit vectors.
    """
    weights_M = np.asarray(weight, np.float64)
    if normalize:
        if abs(weights_M.sum()) < _EPSILON:
            raise UserError(
                f"the weights {list(weight)} sum to 0", "set normalize_weights: false, or others"
            )
        weights_M = weights_M / weights_M.sum()
    if len(weights_M) == 1:
        return 0.0, (1.0,)
    lengths_M = np.sqrt(np.diag(gram_MM))
    per_length_M = weights_M / (lengths_M + _EPSILON)
    mean_length = float(np.sqrt(max(per_length_M @ gram_MM @ per_length_M, 0.0)))
    if mean_length < _EPSILON:
        if len(weights_M) == 2 or not lengths_M.any():
            return 0.0, weights_M.tolist()
        raise UserError(
            "the weighted directions of the models cancel out, so their barycentre is nowhere",
            "change the weights",
        )
    target = float(lengths_M @ weights_M)
    return 0.0, (target / mean_length * per_length_M).tolist()


def model_stock(gram_MM: np.ndarray) -> Coefficients:
    """Model Stock (arXiv:2403.19522, eq. 6): base and mean of models, by the models' mean angle.

    t = M cos / (1 + (M - 1) cos), the mean cosine over all pairs of task vectors; result
    t * mean + (1 - t) * base.
    """
    count = len(gram_MM)
    lengths_M = np.sqrt(np.diag(gram_MM))
    cosines = [
        np.clip(gram_MM[i, j] / max(lengths_M[i] * lengths_M[j], 1e-6), -1, 1)
        for i in range(count)
        for j in range(i + 1, count)
    ]
    cosine = float(np.mean(cosines)) if cosines else 1.0
    denominator = 1 + (count - 1) * cosine
    t = 0.0 if abs(denominator) < 1e-6 else count * cosine / denominator
    return 1.0 - t, [t / count] * count


def gram(inputs: Inputs, of_task_vectors: bool, with_base: bool = False) -> np.ndarray:
    """All dot products, summed in float64: (M, M), or (M + 1, M + 1) with the base first."""
    size = inputs.count + with_base
    total_MM = np.zeros((size, size))
    for first, last in blocks(inputs):
        if of_task_vectors:
            rows = list(inputs.task_vectors(first, last)[1])
        else:
            rows = [inputs.tensor(model, first, last) for model in range(inputs.count)]
        if with_base:
            rows.insert(0, inputs.base(first, last))
        for i in range(size):
            for j in range(i, size):
                # Not BLAS: its sums depend on how many threads it has.
                total_MM[i, j] += np.multiply(rows[i], rows[j]).sum(dtype=np.float64)
    return total_MM + np.triu(total_MM, 1).T


def combine(inputs: Inputs, coefficients: Coefficients) -> Iterator[np.ndarray]:
    """The weighted sum, block by block. What has the coefficient 0 is not read."""
    of_base, of_models = coefficients
    used = [(model, c) for model, c in enumerate(of_models) if c]
    for first, last in blocks(inputs):
        parts = [(inputs.tensor(model, first, last), c) for model, c in used]
        if of_base:
            parts.insert(0, (inputs.base(first, last), of_base))
        for part, coefficient in parts:
            if coefficient != 1:
                np.multiply(part, np.float32(coefficient), out=part)
        total = parts[0][0] if parts else np.zeros(last - first, np.float32)
        for part, _ in parts[1:]:
            np.add(total, part, out=total)
        yield total
