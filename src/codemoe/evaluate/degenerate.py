"""Answers that loop: the same few tokens again and again until the limit."""

import re
from collections.abc import Sequence

MIN_TIMES = 3  # a unit that stands so often in a row, at least,
MIN_TOKENS = 24  # over so many tokens,
MIN_SHARE = 0.4  # and over such a share of the answer, is a loop


def is_degenerate(answer: str) -> bool:
    """Whether an answer ends in a loop; three equal statements in a row are none yet."""
    return ends_in_loop(re.findall(r"\w+|\S", answer))


def ends_in_loop(tokens: Sequence[str]) -> bool:
    """Whether the last tokens are one unit repeated, its last time perhaps cut off.

    The prefix function of Knuth, Morris and Pratt over the tokens from the end: a beginning of
    length n whose longest border has length b repeats with period n - b. Linear in the tokens.
    """
    text = tokens[::-1]
    borders = [0] * len(text)
    least = max(MIN_TOKENS, MIN_SHARE * len(text))
    for i in range(1, len(text)):
        border = borders[i - 1]
        while border and text[i] != text[border]:
            border = borders[border - 1]
        borders[i] = border + (text[i] == text[border])
        length, period = i + 1, i + 1 - borders[i]
        if length >= least and length >= MIN_TIMES * period:
            return True
    return False
