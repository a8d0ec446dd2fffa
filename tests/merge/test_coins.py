"""Coins land heads as often as they should, and the same however many are flipped at a time.

Run with: pytest tests/merge/test_coins.py
"""

import numpy as np
import pytest

from codemoe.merge.methods.coins import Coins, faces


def flips(chance: float, sizes: list[int], heads: float = 1.0, seed: int = 0) -> np.ndarray:
    coins = Coins(np.random.Generator(np.random.SFC64(seed)), chance)
    out = np.ones(sum(sizes), np.float32)
    for end, size in zip(np.cumsum(sizes).tolist(), sizes, strict=True):
        coins.flip(out[end - size : end], faces(heads))
    return out


@pytest.mark.parametrize("chance", [0.5, 0.25, 0.8125, 255 / 256, 0.1, 0.7, 1e-3, 0.9999])
def test_the_chance_is_exact(chance: float) -> None:
    """Within 5 standard deviations of a million flips; so is the share of heads after a head."""
    count = 1_000_000
    found = flips(chance, [count])
    assert set(np.unique(found).tolist()) <= {0.0, 1.0}
    spread = (chance * (1 - chance) / count) ** 0.5
    assert abs(found.mean(dtype=np.float64) - chance) < 5 * spread
    both = found[1:] * found[:-1]
    assert abs(both.mean(dtype=np.float64) - chance**2) < 10 * spread


@pytest.mark.parametrize("chance", [0.5, 0.3])
def test_flips_are_the_same_in_pieces_of_any_size(chance: float) -> None:
    whole = flips(chance, [100_000])
    for sizes in ([1] * 64 + [99_936], [640, 99_360], [63, 65, 1, 99_871], [0, 99_999, 1]):
        assert np.array_equal(flips(chance, sizes), whole)
    assert not np.array_equal(flips(chance, [100_000], seed=1), whole)


def test_heads_are_the_number_that_is_asked_for() -> None:
    found = flips(0.25, [1_000], heads=4.0)
    assert np.array_equal(found, 4 * flips(0.25, [1_000]))


@pytest.mark.parametrize(("chance", "bits"), [(0.5, 1), (0.75, 2), (3 / 256, 8), (0.1, 8)])
def test_a_chance_takes_the_bits_that_it_has(chance: float, bits: int) -> None:
    random = np.random.Generator(np.random.SFC64(0))
    Coins(random, chance).flip(np.ones(64, np.float32), faces(1.0))
    other = np.random.Generator(np.random.SFC64(0))
    other.bit_generator.random_raw(1024 * bits)
    assert random.bit_generator.random_raw() == other.bit_generator.random_raw()
