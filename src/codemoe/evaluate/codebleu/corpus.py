"""CodeBLEU of a test set: pairs are counted in chunks, in several processes, and forgotten.

A chunk depends on nothing but its pairs, so results do not depend on the number of processes. The
wrong-answer floor is what the answers to other problems score: within a chunk every prediction is
also compared with another pair's reference of its language.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.codebleu.compat import PACKAGE_LANGUAGES, compat_score
from codemoe.evaluate.codebleu.counts import PairCounts
from codemoe.evaluate.codebleu.floors import Pair, Strangers, partners_of
from codemoe.evaluate.codebleu.judging import (
    BOTH,
    Chunk,
    Judged,
    Look,
    Mode,
    judge_chunk,
)
from codemoe.evaluate.codebleu.record import EQUAL_WEIGHTS, CodeBleu, Weights, checked_weights
from codemoe.evaluate.codebleu.score import no_reference, score_counts
from codemoe.evaluate.parallel import in_processes, worker_count
from codemoe.evaluate.statistics import bootstrap_interval
from codemoe.languages import get_language

CHUNK_PAIRS = 32


@dataclass(frozen=True)
class CorpusScore:
    """Scores of a test set. Every figure is the mean over its samples, each counting the same.

    (`pooled` is the score of the pooled counts: published tables mix the two, and they differ by
    several points.) A component's mean is over the samples whose reference has it; None: none has.
    """

    n: int
    codebleu: float
    ngram_match: float
    weighted_ngram_match: float
    syntax_match: float | None
    dataflow_match: float | None
    empty: int  # predictions without any code
    floor: float | None  # what other problems' answers score; None: no language has two problems
    interval: tuple[float, float]  # bootstrap 95 % of codebleu
    pooled: CodeBleu
    per_sample: tuple[CodeBleu, ...] = field(repr=False)


def score_corpus(
    references: Sequence[str],
    predictions: Sequence[str],
    languages: Sequence[str] | str,
    weights: Weights = EQUAL_WEIGHTS,
    *,
    mode: Mode = "corrected",
    workers: int | None = None,
    with_floor: bool = True,
) -> CorpusScore:
    """Score a test set; `languages` is one for all or one per sample. All cores are used.

    `with_floor=False` leaves the wrong-answer floor out, for who wants each sample's score only.
    Raises UserError for unequal lengths, no samples, an unknown language, a reference without
    code, and in mode compat for a language that the package does not have.
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
    weights = checked_weights(weights)
    pairs = [
        Pair(get_language(language).name, reference, prediction)
        for language, reference, prediction in zip(languages, references, predictions, strict=True)
    ]
    if mode == "compat":
        refuse_unknown(pair.language for pair in pairs)
    count = worker_count(workers) if len(pairs) > CHUNK_PAIRS else 1
    tally = Tally(mode, weights)
    # Answers to one problem go to one process, which reads their reference once.
    first: dict[tuple[str, str], int] = {}
    place = [first.setdefault((pair.language, pair.reference), at) for at, pair in enumerate(pairs)]
    order = sorted(range(len(pairs)), key=place.__getitem__)
    found: dict[int, Judged] = {}
    with in_processes(min(count, math.ceil(len(pairs) / CHUNK_PAIRS))) as mapped:
        ordered = [pairs[at] for at in order]
        judged = judge(
            ordered,
            mapped,
            modes=(mode,),
            weights=weights,
            on_floor=tally.add_floor if with_floor else None,
        )
        for at, one in zip(order, judged, strict=True):
            if getattr(one, mode) is None:
                raise no_reference(pairs[at].reference, pairs[at].language)
            found[at] = one
    for at in range(len(pairs)):
        tally.add(found[at])
    return tally.score()


def refuse_unknown(languages: Iterable[str]) -> None:
    """Raise UserError for a language that the package cannot score."""
    for language in languages:
        if language not in PACKAGE_LANGUAGES:
            raise UserError(
                f"the codebleu package has no {get_language(language).label}: "
                f"it knows {', '.join(sorted(PACKAGE_LANGUAGES))}",
                "score these rows without --compat",
            )


def judge(
    pairs: Iterable[Pair],
    mapped: Callable[..., Iterator[Any]],
    *,
    modes: tuple[Mode, ...] = BOTH,
    weights: Weights = EQUAL_WEIGHTS,
    look: Look | None = None,
    on_floor: Callable[[Judged], None] | None = None,
) -> Iterator[Judged]:
    """Judge pairs in order, with `mapped` from `parallel.in_processes`.

    `on_floor` gets the floors that are known later than their pairs (a language's first ones,
    where their chunk had no other problem): a Judged without counts. None: no floors are wanted.
    """

    def chunks() -> Iterator[Chunk]:
        strangers = Strangers()
        for some in _batches(pairs):
            if on_floor is None:
                yield Chunk(some, [None] * len(some), {}, modes, weights, look)
                continue
            partners = partners_of(some)
            answers = {}
            for at, pair in enumerate(some):
                if partners[at] is None:
                    answer = strangers.answer_for(pair)
                    if answer is None:
                        strangers.wait(pair)
                    else:
                        answers[at] = answer
            yield Chunk(some, partners, answers, modes, weights, look)
            for late, answer in strangers.see(some):
                alone: list[int | None] = [None] * len(late)
                answers = dict.fromkeys(range(len(late)), answer)
                yield Chunk(late, alone, answers, modes, weights, None, floor_only=True)

    for chunk in mapped(judge_chunk, chunks()):
        for one in chunk:
            if not one.is_late_floor:
                yield one
            elif on_floor is not None:
                on_floor(one)


def _batches(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    batch: list[Pair] = []
    for pair in pairs:
        batch.append(pair)
        if len(batch) == CHUNK_PAIRS:
            yield batch
            batch = []
    if batch:
        yield batch


class Tally:
    """Adds up the judged pairs of one mode."""

    def __init__(self, mode: Mode, weights: Weights = EQUAL_WEIGHTS) -> None:
        self.mode = mode
        self.weights = weights
        self.scores: list[CodeBleu] = []
        self.mended: list[float] = []  # compat without the free points
        self.unflowing = 0  # references in which no data flow was found
        self.pooled: PairCounts | None = None
        self.floors: list[float] = []
        self.empty = 0

    def add(self, judged: Judged) -> bool:
        """Add a pair; False where it has no counts in this mode (and is left out)."""
        counts = judged.corrected if self.mode == "corrected" else judged.compat
        if counts is None:
            return False
        score = self._score(counts)
        self.scores.append(score)
        self.unflowing += not (counts.flow and counts.flow[1])
        if self.mode == "compat":
            is_free = not score.dataflow_match
            mended = compat_score(counts, self.weights, mended=True) if is_free else score
            self.mended.append(mended.codebleu)
        self.pooled = counts if self.pooled is None else self.pooled + counts
        self.empty += judged.is_empty
        self.add_floor(judged)
        return True

    def add_floor(self, judged: Judged) -> None:
        floor = judged.floor if self.mode == "corrected" else judged.compat_floor
        if floor is not None:
            self.floors.append(floor)

    def _score(self, counts: PairCounts) -> CodeBleu:
        if self.mode == "corrected":
            return score_counts(counts, self.weights)
        return compat_score(counts, self.weights)

    def score(self) -> CorpusScore:
        assert self.pooled is not None
        scores = self.scores
        totals = [score.codebleu for score in scores]
        return CorpusScore(
            n=len(scores),
            codebleu=_mean(totals),
            ngram_match=_mean([score.ngram_match for score in scores]),
            weighted_ngram_match=_mean([score.weighted_ngram_match for score in scores]),
            syntax_match=_mean_known([score.syntax_match for score in scores]),
            dataflow_match=_mean_known([score.dataflow_match for score in scores]),
            empty=self.empty,
            floor=_mean_known(self.floors),
            interval=bootstrap_interval(totals),
            pooled=self._score(self.pooled),
            per_sample=tuple(scores),
        )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _mean_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None
