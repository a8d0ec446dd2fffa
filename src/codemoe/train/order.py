"""The order of training samples, fixed before training starts: a pure function of its arguments."""

import random
from collections.abc import Sequence

_POOL_BATCHES = 40  # samples of similar length are gathered within so many batches


def plan_batches(
    lengths: Sequence[int],
    batch_size: int,
    num_batches: int,
    seed: int,
    weights: Sequence[float] | None = None,
) -> list[list[int]]:
    """`num_batches` lists of `batch_size` sample indices, as many epochs as needed.

    Each epoch is a new shuffle in which neighbours have similar lengths, so that little is spent on
    padding. Every sample appears once an epoch, or as often as its weight says: one of 0.25 every
    fourth time, one of 2 twice. A short last batch is filled from the next epoch.
    """
    if not lengths:
        raise ValueError("no samples to order")
    rng = random.Random(f"order:{seed}")
    wanted = batch_size * num_batches
    # Where in its turn each starts, so that samples of small weights come in different epochs.
    offsets = [random.Random(f"turn:{seed}:{i}").random() for i in range(len(weights or ()))]
    stream: list[int] = []
    epochs = 0
    while len(stream) < wanted:
        epoch = list(range(len(lengths)))
        if weights is not None:
            epoch = [i for i in epoch for _ in range(_turns(epochs, weights[i], offsets[i]))]
        rng.shuffle(epoch)
        stream.extend(epoch)
        epochs += 1
    batches: list[list[int]] = []
    pool_size = batch_size * _POOL_BATCHES
    for start in range(0, wanted, pool_size):
        pool = sorted(stream[start : min(start + pool_size, wanted)], key=lambda i: (lengths[i], i))
        cut = [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
        rng.shuffle(cut)
        batches.extend(cut)
    return batches[:num_batches]


def _turns(epoch: int, weight: float, offset: float) -> int:
    """How often a sample comes in this epoch; over many, its weight on average."""
    return int((epoch + 1) * weight + offset) - int(epoch * weight + offset)


def lay_out(lengths: Sequence[int], row_tokens: int) -> list[list[int]]:
    """Samples to rows of at most `row_tokens`, with as few tokens in all, pads included, as found.

    For each number of rows, the longest sample first, to the row that is emptiest (Graham's LPT).
    Of equal layouts the one with more, shorter rows: attention is quadratic in a row.
    """
    longest_first = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    best: tuple[int, list[list[int]]] | None = None
    for num_rows in range(len(lengths), 0, -1):
        rows: list[list[int]] = [[] for _ in range(num_rows)]
        loads = [0] * num_rows
        for i in longest_first:
            emptiest = loads.index(min(loads))
            rows[emptiest].append(i)
            loads[emptiest] += lengths[i]
        tokens = num_rows * max(loads)
        if num_rows < len(lengths) and max(loads) > row_tokens:
            break
        if best is None or tokens < best[0]:
            best = tokens, rows
    assert best is not None, "no samples to lay out"
    return best[1]
