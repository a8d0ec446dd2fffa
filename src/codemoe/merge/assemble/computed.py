"""Tensors of a mixture that are no copies: with a LoRA, of another type, scaled or with noise."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from codemoe.merge.made import made, rounded
from codemoe.merge.methods.inputs import generator
from codemoe.merge.methods.table import METHODS
from codemoe.merge.sources import Source
from codemoe.merge.streamed import Streamed
from codemoe.merge.work import Work
from codemoe.models.storage.write import Tensor

_PASS = METHODS["passthrough"]


def scaled(name: str, source: Source, scale: float, dtype: str, work: Work) -> Tensor:
    """W * scale."""
    return made(name, [source], None, _PASS, {"scale": [scale]}, dtype, work)


def noisy(name: str, source: Source, scale: float, noise: float, dtype: str, work: Work) -> Tensor:
    """(W + noise * normal) * scale, the random numbers by the tensor's name."""
    pieces = partial(_noisy, name, source, scale, noise, dtype, work)
    return Tensor(name, dtype, source.shape, pieces, computed=True)


def _noisy(
    name: str, source: Source, scale: float, noise: float, dtype: str, work: Work
) -> Iterator[np.ndarray]:
    inputs = Streamed(name, [source], None, block=work.block, spare=0, seed=work.seed)
    random = generator(inputs, 0)

    def blocks() -> Iterator[np.ndarray]:
        for block in _PASS.run(inputs, {"scale": [1.0]}):
            drawn = random.standard_normal(len(block), np.float32)
            yield (block + np.float32(noise) * drawn) * np.float32(scale)

    return rounded(blocks(), dtype, name)
