"""CodeBLEU of one pair and of a test set (arXiv:2009.10297), without free points.

The score is the weighted mean of four components. One that the *reference* does not have (no data
flow in `return 1`, or no data-flow table for the language) is left out, None here, and its weight
is shared out among the others in proportion to theirs. One that only the *prediction* lacks
scores 0; an empty prediction scores 0 in all.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from codemoe.errors import UserError
from codemoe.evaluate.codebleu.counting import recall
from codemoe.evaluate.codebleu.ngram import match_ngrams, ngram_match, weighted_ngram_match
from codemoe.evaluate.codebleu.program import Program, read_program
from codemoe.evaluate.statistics import bootstrap_interval
from codemoe.languages import LANGUAGES, get_language

Weights = tuple[float, float, float, float]
EQUAL_WEIGHTS: Weights = (0.25, 0.25, 0.25, 0.25)


@dataclass(frozen=True)
class CodeBleu:
    """Scores of one pair in [0, 1]; None: the reference has nothing to match there."""

    codebleu: float
    ngram_match: float
    weighted_ngram_match: float
    syntax_match: float | None
    dataflow_match: float | None


@dataclass(frozen=True)
class CorpusScore:
    """Scores of a test set. Every figure is the mean over its samples, each counting the same.

    (Not the score of the pooled counts: published tables mix the two, and they differ by several
    points.) A component's mean is over the samples whose reference has it; None: none has.
    """

    n: int
    codebleu: float
    ngram_match: float
    weighted_ngram_match: float
    syntax_match: float | None
    dataflow_match: float | None
    empty: int  # predictions without any code
    floor: float | None  # what other problems' answers score; None: no language has two samples
    interval: tuple[float, float]  # bootstrap 95 % of codebleu
    per_sample: tuple[CodeBleu, ...]


def score_pair(
    reference: str, prediction: str, language: str, weights: Weights = EQUAL_WEIGHTS
) -> CodeBleu:
    """Score one prediction. `language` is any known spelling ("C++", "js").

    Raises UserError for an unknown language or a reference without code.
    """
    name = get_language(language).name
    return score_programs(
        _reference(reference, name), read_program(prediction, name), _checked(weights)
    )


def score_corpus(
    references: Sequence[str],
    predictions: Sequence[str],
    languages: Sequence[str] | str,
    weights: Weights = EQUAL_WEIGHTS,
) -> CorpusScore:
    """Score a test set; `languages` is one for all or one per sample.

    Raises UserError for unequal lengths, no samples, an unknown language, a reference without code.
    """
    if isinstance(languages, str):
        languages = [languages] * len(references)
    if not len(references) == len(predictions) == len(languages):
        raise UserError(
            f"{len(references)} references, {len(predictions)} predictions and {len(languages)} "
            "languages; expected the same number of each"
        )
    if not references:
        raise UserError("nothing to score: no references")
    weights = _checked(weights)
    names = [get_language(language).name for language in languages]
    wanted = [_reference(code, name) for code, name in zip(references, names, strict=True)]
    given = [read_program(code, name) for code, name in zip(predictions, names, strict=True)]
    scores = tuple(score_programs(r, p, weights) for r, p in zip(wanted, given, strict=True))
    wrong = [
        score_programs(wanted[i], given[j], weights).codebleu
        for i, j in enumerate(_derangement(names))
        if j is not None
    ]
    totals = [score.codebleu for score in scores]
    return CorpusScore(
        n=len(scores),
        codebleu=_mean(totals),
        ngram_match=_mean([score.ngram_match for score in scores]),
        weighted_ngram_match=_mean([score.weighted_ngram_match for score in scores]),
        syntax_match=_mean_known([score.syntax_match for score in scores]),
        dataflow_match=_mean_known([score.dataflow_match for score in scores]),
        empty=sum(program.is_empty for program in given),
        floor=_mean_known(wrong),
        interval=bootstrap_interval(totals),
        per_sample=scores,
    )


def score_programs(
    reference: Program, prediction: Program, weights: Weights = EQUAL_WEIGHTS
) -> CodeBleu:
    """Score a parsed pair; `weights` as in CodeBLEU's order, not negative, summing to more than 0.

    Where all components that carry weight are left out, the others count equally.
    """
    keywords = LANGUAGES[reference.language].keywords
    wanted, found = reference.ngrams, prediction.ngrams
    shared = match_ngrams(wanted, found, keywords)
    parts = (
        ngram_match(wanted, found, shared),
        weighted_ngram_match(wanted, shared, keywords),
        recall(reference.subtrees, prediction.subtrees),
        None
        if reference.dataflow is None or prediction.dataflow is None
        else recall(reference.dataflow, prediction.dataflow),
    )
    present = [(w, part) for w, part in zip(weights, parts, strict=True) if part is not None]
    if not any(w for w, _ in present):
        present = [(1.0, part) for _, part in present]
    total = sum(w * part for w, part in present) / sum(w for w, _ in present)
    return CodeBleu(total, *parts)


def _reference(code: str, language: str) -> Program:
    program = read_program(code, language)
    if program.is_empty:
        raise UserError(
            f"a {LANGUAGES[language].label} reference holds no code: {code[:60]!r}",
            "give every row a reference program, or drop the row",
        )
    return program


def _checked(weights: Weights) -> Weights:
    are_numbers = all(math.isfinite(weight) and weight >= 0 for weight in weights)
    if len(weights) != 4 or not are_numbers or not any(weights):
        raise UserError(
            f"weights {tuple(weights)!r}; expected four numbers from 0 up that are not all 0",
            "for example 0.25,0.25,0.25,0.25",
        )
    return weights


def _derangement(languages: Sequence[str]) -> list[int | None]:
    """For each sample another of its language, every one used once; None where it is alone.

    The order is shuffled with a fixed seed first: neighbours in a file are often alike.
    """
    given_to: list[int | None] = [None] * len(languages)
    for language in sorted(set(languages)):
        members = [i for i, name in enumerate(languages) if name == language]
        Random(0).shuffle(members)
        if len(members) > 1:
            for i, j in zip(members, members[1:] + members[:1], strict=True):
                given_to[i] = j
    return given_to


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None
