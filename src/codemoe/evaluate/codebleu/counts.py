"""What a pair has in common, in numbers that add up: a corpus is the sum of its pairs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PairCounts:
    """Matched and possible, by component. Sums of integers and of multiples of 0.2."""

    lengths: tuple[int, int]  # tokens of reference and prediction
    matches: tuple[int, ...]  # n-grams in both, by order from 1 to 4
    predicted: tuple[int, ...]  # n-grams of the prediction
    weighted_matches: tuple[float, ...]
    weighted_wanted: tuple[float, ...]  # n-grams of the reference, tokens by their weight
    subtrees: tuple[int, int]  # matched, of those in the reference
    flow: tuple[int, int] | None  # edges: matched, of; None: not known for this language
    pairs: int = 1

    def __add__(self, other: "PairCounts") -> "PairCounts":
        def both(a: tuple, b: tuple) -> tuple:
            return tuple([x + y for x, y in zip(a, b, strict=True)])

        flow = self.flow or other.flow
        if self.flow and other.flow:
            flow = both(self.flow, other.flow)
        return PairCounts(
            both(self.lengths, other.lengths),
            both(self.matches, other.matches),
            both(self.predicted, other.predicted),
            both(self.weighted_matches, other.weighted_matches),
            both(self.weighted_wanted, other.weighted_wanted),
            both(self.subtrees, other.subtrees),
            flow,
            self.pairs + other.pairs,
        )
