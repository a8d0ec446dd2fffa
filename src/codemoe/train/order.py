"""The order of training samples, fixed before training starts: a pure function of its arguments."""

import random
from collections.abc import Sequence

_POOL_BATCHES = 40  # samples of similar length are gathered within so many batches


def plan_batches(
    lengths: Sequence[int], batch_size: int, num_batches: int, seed: int
) -> list[list[int]]:
    """`num_batches` lists of `batch_size` sample indices, as many epochs as needed.

    Each epoch is a new shuffle in which neighbours have similar lengths, so that little is spent on
    padding. Every sample appears once an epoch; a short last batch is filled from the next epoch.
    """
    if not lengths:
        raise ValueError("no samples to order")
    rng = random.Random(f"order:{seed}")
    wanted = batch_size * num_batches
    stream: list[int] = []
    while len(stream) < wanted:
        epoch = list(range(len(lengths)))
        rng.shuffle(epoch)
        stream.extend(epoch)
    batches: list[list[int]] = []
    pool_size = batch_size * _POOL_BATCHES
    for start in range(0, wanted, pool_size):
        pool = sorted(stream[start : min(start + pool_size, wanted)], key=lambda i: (lengths[i], i))
        cut = [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
        rng.shuffle(cut)
        batches.extend(cut)
    return batches[:num_batches]
