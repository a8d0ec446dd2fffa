"""Coins that land heads by a given chance, exactly, from few random bits."""

from collections.abc import Iterator

import numpy as np

from codemoe.merge.kernels import kernels

_MOST_BITS = 8
_WORDS = 1 << 10  # that are drawn at a time


class Coins:
    """A stream of flips that is the same however many are asked for at a time.

    A flip is heads where a random binary fraction is below the chance. Its bits are drawn from the
    first on, for 64 flips a word, up to the chance's last one bit or the eighth bit; where eight
    bits are those of the chance, one case in 256, a random number decides. So a chance of 1/2 takes
    one bit a flip, any other at most eight, and all are exact.
    """

    def __init__(self, random: "np.random.Generator", chance: float) -> None:
        self._random, self._rest = random, chance
        self._bits: list[bool] = []
        while self._rest and len(self._bits) < _MOST_BITS:
            bit, self._rest = divmod(2 * self._rest, 1)
            self._bits.append(bool(bit))
        self._packed, self._at = np.empty(0, np.uint8), 0  # flips, and how many are used up
        self._edges: np.random.Generator | None = None

    def take(self, count: int) -> tuple[np.ndarray, int]:
        """The next flips as bits of bytes (uint8), and which bit is the first of them."""
        missing = self._at + count - 8 * len(self._packed)
        if missing > 0:
            draws = -(-missing // (64 * _WORDS))
            rest = self._packed[self._at // 8 :]
            fresh = (self._drawn().view(np.uint8) for _ in range(draws))
            self._packed, self._at = np.concatenate([rest, *fresh]), self._at % 8
        first, self._at = self._at, self._at + count
        return self._packed, first

    def flip(self, values: np.ndarray, heads: np.ndarray) -> None:
        """Multiply `values` by the next flips: `heads` has the eight numbers of each byte of
        flips, see `faces`."""
        packed, first = self.take(len(values))
        if quick := kernels():
            quick.flip(values, packed, first, heads)
        else:
            np.multiply(values, _flips(packed, first, len(values), heads), out=values)

    def _drawn(self) -> np.ndarray:
        """The next words of flips."""
        # Not `integers`, whose checks of its bounds take longer than the words.
        random = self._random.bit_generator.random_raw(_WORDS * len(self._bits))
        heads = np.zeros(_WORDS, np.uint64)
        undecided = ~heads
        for bit, drawn in zip(self._bits, random.reshape(_WORDS, -1).T, strict=True):
            if bit:
                heads |= undecided & ~drawn
                undecided &= drawn
            else:
                undecided &= ~drawn
        if self._rest:
            self._decide(heads, undecided)
        return heads

    def _decide(self, heads: np.ndarray, undecided: np.ndarray) -> None:
        """One by one, in place."""
        if self._edges is None:
            seed = self._random.bit_generator.seed_seq.spawn(1)[0]  # type: ignore[attr-defined]
            self._edges = np.random.Generator(np.random.SFC64(seed))
        places = np.flatnonzero(np.unpackbits(undecided.view(np.uint8), bitorder="little"))
        places = places[self._edges.random(len(places)) < self._rest]
        np.bitwise_or.at(
            heads.view(np.uint8), places >> 3, np.uint8(1) << (places & 7).astype("u1")
        )


def _flips(packed: np.ndarray, first: int, count: int, heads: np.ndarray) -> np.ndarray:
    """float32: the number of each flip from the first on."""
    packed, first = packed[first // 8 : -(-(first + count) // 8)], first % 8
    return heads.take(packed, axis=0).reshape(-1)[first : first + count]


def faces(heads: float) -> np.ndarray:
    """(256, 8) float32: of every byte of flips, `heads` for each bit that is set and 0 else."""
    return np.array(list(_rows(heads)), np.float32)


def _rows(heads: float) -> Iterator[list[float]]:
    for byte in range(256):
        yield [heads if byte >> bit & 1 else 0.0 for bit in range(8)]
