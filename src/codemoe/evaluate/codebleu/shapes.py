"""Hashes of all subtrees of a tree at once, from its nodes in source order.

A tree is the row of its nodes, parents before children, each with the number of nodes inside; so
a subtree is a piece of that row, and its hash the polynomial sum(code[j] * B**j) over the piece,
modulo 2**64 and shifted to its beginning. All pieces' sums come from one running sum.
"""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]
Places = NDArray[np.int64]

KINDS = 0x10000
_MASK = (1 << 64) - 1
_BASE = 0x9E3779B97F4A7C15
_BASE_INVERSE = pow(_BASE, -1, 1 << 64)
_SIZE = np.uint64(0xD1B54A32D192ED03)  # times the number of nodes inside: a part of a node's code


def mixed(number: int) -> int:
    """64 bits that look random, the same in every process (the finisher of splitmix64)."""
    x = (number + 1) * _BASE & _MASK
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & _MASK
    return x ^ x >> 31


def _table_of_kinds() -> Numbers:
    x = np.arange(1, KINDS + 1, dtype=np.uint64) * np.uint64(_BASE)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)


CODE_OF_KIND = _table_of_kinds()  # mixed(kind)


class _Powers:
    """Powers of B and of its inverse, as many as the longest tree has needed."""

    def __init__(self) -> None:
        self.up = self.down = np.ones(1, np.uint64)

    def reach(self, count: int) -> None:
        if count > len(self.up):
            length = 2 * max(count, 512)
            self.up = _powers(_BASE, length)
            self.down = _powers(_BASE_INVERSE, length)


def _powers(base: int, count: int) -> Numbers:
    row = np.full(count, base, np.uint64)
    row[0] = 1
    return np.multiply.accumulate(row)


_powers_of_base = _Powers()


def subtree_hashes(
    keys: Places, codes: Numbers, tops: Places, ends: Places, own: Numbers
) -> Numbers:
    """A hash for each of some subtrees.

    `keys` are sorted numbers that order the nodes, `codes` what each is, a subtree's size aside.
    A subtree is its top's key, the first key behind it, and what its top is by itself (`own`:
    not its role in its parent). A top that is no key is no part of what it stands in, though what
    it holds is. `codes` is changed.
    """
    first = keys.searchsorted(tops, "right")
    last = keys.searchsorted(ends)
    sizes = (last - first).astype(np.uint64) * _SIZE
    is_key = keys[first - 1] == tops  # where `first` is 0 the last key is greater than the top
    codes[first[is_key] - 1] += sizes[is_key]
    powers = _powers_of_base
    powers.reach(len(codes) + 1)
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(codes * powers.up[1 : len(codes) + 1], out=sums[1:])
    inside = (sums[last] - sums[first]) * powers.down[first]
    return own + sizes + inside
