"""One tensor of a result, made by a merge method: copied where it is one source's own."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from codemoe.errors import UserError
from codemoe.merge.kernels import kernels
from codemoe.merge.methods.table import Method, Settings
from codemoe.merge.sources import Source, scratch_bytes
from codemoe.merge.streamed import Streamed
from codemoe.merge.work import Work
from codemoe.models.storage.copy import copied
from codemoe.models.storage.dtypes import ITEM_BYTES, all_finite, from_float32
from codemoe.models.storage.write import Tensor

_PIECE_BYTES = 1 << 18


def made(
    name: str,
    sources: Sequence[Source],
    base: Source | None,
    method: Method,
    settings: Settings,
    dtype: str,
    work: Work,
) -> Tensor:
    """One tensor by a method: copied where it is one source's own, else computed."""
    single = _single(method, settings, sources, base)
    if single is not None and single.stored is not None and single.dtype == dtype:
        return copied(work.files, single.stored, name)
    shape = (base or sources[0]).shape

    def pieces() -> Iterator[np.ndarray]:
        inputs = Streamed(name, sources, base, block=work.block, spare=work.spare, seed=work.seed)
        yield from rounded(explained(lambda: method.run(inputs, settings), name), dtype, name)

    return Tensor(name, dtype, shape, pieces, computed=True)


def rounded(blocks: Iterable[np.ndarray], dtype: str, name: str) -> Iterator[np.ndarray]:
    """The bytes of computed blocks, in pieces that are worth a call to the system.

    Raises UserError when a number is beyond the type's range.
    """
    width, used = ITEM_BYTES[dtype], 0
    piece, quick = scratch_bytes("piece", _PIECE_BYTES), kernels()
    for block in blocks:
        size = len(block) * width
        if used + size > _PIECE_BYTES and used:
            yield _checked(piece[:used], dtype, name)
            used = 0
        if size > len(piece):
            piece = scratch_bytes("piece", size)
        if quick and dtype == "BF16":
            quick.to_bfloat16(block, piece[used : used + size])
        else:
            from_float32(block, dtype, piece[used : used + size])
        used += size
    if used:
        yield _checked(piece[:used], dtype, name)


def _checked(raw: np.ndarray, dtype: str, name: str) -> np.ndarray:
    if not all_finite(raw, dtype):
        raise UserError(
            f"the merged tensor {name} has numbers beyond the range of {dtype}",
            "choose smaller weights, or dtype: bfloat16 or float32",
        )
    return raw


def _single(
    method: Method, settings: Settings, sources: Sequence[Source], base: Source | None
) -> Source | None:
    """The source that the result is, where it is one."""
    on_base = base is not None and base.stored is not None and method.base == "required"
    if on_base and all(source.stored == base.stored for source in sources):  # type: ignore[union-attr]
        return base  # no model adds anything here, such as LoRAs of other projections
    known = method.known(settings)
    if known is None:
        return None
    of_base, of_models = known
    used = [(s, c) for s, c in zip((base, *sources), (of_base, *of_models), strict=True) if c]
    return used[0][0] if len(used) == 1 and used[0][1] == 1 else None


def explained(action: Callable[[], Any], name: str) -> Any:
    """Run; an error about settings also names the tensor."""
    try:
        return action()
    except UserError as error:
        raise UserError(f"{name}: {error.what}", error.fix) from None
