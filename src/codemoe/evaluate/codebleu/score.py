"""CodeBLEU of one pair (arXiv:2009.10297), without free points.

The score is the weighted mean of four components. One that the *reference* does not have (no data
flow in `return 1`, or no data-flow table for the language) is left out, None here, and its weight
is shared out among the others in proportion to theirs. One that only the *prediction* lacks
scores 0; an empty prediction scores 0 in all.
"""

from codemoe.errors import UserError
from codemoe.evaluate.codebleu.counting import clipped_matches
from codemoe.evaluate.codebleu.counts import PairCounts
from codemoe.evaluate.codebleu.ngram import (
    match_ngrams,
    ngram_match,
    weighted_ngram_match,
    weights_of,
)
from codemoe.evaluate.codebleu.program import Program, read_program, read_references
from codemoe.evaluate.codebleu.record import EQUAL_WEIGHTS, CodeBleu, Weights, checked_weights
from codemoe.languages import get_language


def score_pair(
    reference: str, prediction: str, language: str, weights: Weights = EQUAL_WEIGHTS
) -> CodeBleu:
    """Score one prediction. `language` is any known spelling ("C++", "js").

    Raises UserError for an unknown language or a reference without code.
    """
    name = get_language(language).name
    wanted = checked_reference(reference, name)
    return score_programs(wanted, read_program(prediction, name), checked_weights(weights))


def score_programs(
    reference: Program, prediction: Program, weights: Weights = EQUAL_WEIGHTS
) -> CodeBleu:
    """Score a parsed pair; `weights` in CodeBLEU's order, not negative, not all 0."""
    return score_counts(count_programs(reference, prediction), weights)


def checked_reference(code: str, language: str) -> Program:
    """A reference; raises UserError where it holds no code."""
    (program,) = read_references([(code, language)])
    if program.is_empty:
        raise no_reference(code, language)
    return program


def no_reference(code: str, language: str) -> UserError:
    """The error for a reference without code."""
    return UserError(
        f"a {get_language(language).label} reference holds no code: {code[:60]!r}",
        "give every row a reference program, or drop the row",
    )


def count_programs(reference: Program, prediction: Program) -> PairCounts:
    """What two programs share, each thing as often as it is in both."""
    keywords = get_language(reference.language).keywords
    wanted, found = reference.ngrams, prediction.ngrams
    shared = match_ngrams(wanted, found, keywords)
    weight, weight_wanted = weights_of(wanted, shared, keywords)
    flow = None
    if reference.dataflow is not None and prediction.dataflow is not None:
        flow = (
            clipped_matches(reference.dataflow, prediction.dataflow),
            reference.dataflow.total(),
        )
    return PairCounts(
        (wanted.length, found.length),
        shared.by_order,
        found.totals,
        (weight, *shared.by_order[1:]),
        (weight_wanted, *wanted.totals[1:]),
        (
            clipped_matches(reference.subtrees, prediction.subtrees),
            reference.subtrees.total(),
        ),
        flow,
    )


def score_counts(counts: PairCounts, weights: Weights = EQUAL_WEIGHTS) -> CodeBleu:
    """Score a pair, or a corpus from the sum of its pairs' counts.

    Where all components that carry weight are left out, the others count equally.
    """
    parts = (
        ngram_match(counts),
        weighted_ngram_match(counts),
        _share(counts.subtrees),
        _share(counts.flow),
    )
    present = [(w, part) for w, part in zip(weights, parts, strict=True) if part is not None]
    if not any(w for w, _ in present):
        present = [(1.0, part) for _, part in present]
    total = sum(w * part for w, part in present) / sum(w for w, _ in present)
    return CodeBleu(total, *parts)


def _share(matched_of: tuple[int, int] | None) -> float | None:
    if matched_of is None or not matched_of[1]:
        return None
    return matched_of[0] / matched_of[1]
