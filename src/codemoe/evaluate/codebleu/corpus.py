"""CodeBLEU of a test set: pairs are counted in chunks, in several processes, and forgotten.

A chunk depends on nothing but its pairs, so results do not depend on the number of processes. The
wrong-answer floor is what the answers to other problems score: within a chunk every prediction is
also compared with another pair's reference of its language.
"""

import gc
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from codemoe.errors import UserError
from codemoe.evaluate.codebleu.compat import (
    PACKAGE_LANGUAGES,
    CompatProgram,
    compat_score,
    count_pair,
    read_compat,
    read_compat_reference,
)
from codemoe.evaluate.codebleu.counts import PairCounts
from codemoe.evaluate.codebleu.program import Program, read_program, read_reference
from codemoe.evaluate.codebleu.record import EQUAL_WEIGHTS, CodeBleu, Weights, checked_weights
from codemoe.evaluate.codebleu.score import count_programs, no_reference, score_counts
from codemoe.evaluate.parallel import in_processes, worker_count
from codemoe.evaluate.statistics import bootstrap_interval
from codemoe.languages import get_language

CHUNK_PAIRS = 32
Mode = Literal["corrected", "compat"]
BOTH: tuple[Mode, ...] = ("corrected", "compat")


@dataclass(frozen=True, slots=True)
class Pair:
    """One row; `language` is a canonical name."""

    language: str
    reference: str
    prediction: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What one pair gave. None: not asked for, no such thing, or a reference without code."""

    corrected: PairCounts | None
    compat: PairCounts | None
    floor: float | None  # of the reference with another's prediction
    compat_floor: float | None
    language: str
    is_empty: bool  # no code in the prediction
    seen: Any = None  # what the caller's `look` made of the prediction
    is_late_floor: bool = False  # no row of its own: see `judge`


Look = Callable[[str, Program], Any]  # (prediction, as a program) -> anything that pickles


@dataclass(frozen=True, slots=True)
class _Chunk:
    pairs: list[Pair]
    strangers: dict[
        int, str
    ]  # pair -> another prediction, where the chunk has none in its language
    modes: tuple[Mode, ...]
    weights: Weights
    look: Look | None
    floor_only: bool = False


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
    floor: float | None  # what other problems' answers score; None: no language has two samples
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
) -> CorpusScore:
    """Score a test set; `languages` is one for all or one per sample. All cores are used.

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
    with in_processes(min(count, math.ceil(len(pairs) / CHUNK_PAIRS))) as mapped:
        judged = judge(pairs, mapped, modes=(mode,), weights=weights, on_floor=tally.add_floor)
        for pair, one in zip(pairs, judged, strict=True):
            if not tally.add(one):
                raise no_reference(pair.reference, pair.language)
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
    on_floor: Callable[[Judged], None] = lambda judged: None,
) -> Iterator[Judged]:
    """Judge pairs in order, with `mapped` from `parallel.in_processes`.

    `on_floor` gets the floors that are known only at the end (a language's first pair, where its
    chunk had no other): a Judged without counts.
    """

    def chunks() -> Iterator[_Chunk]:
        first: dict[str, Pair] = {}  # had nobody to be compared with yet
        last: dict[str, str] = {}  # the newest prediction of a language
        for some in _batches(pairs):
            languages = [pair.language for pair in some]
            strangers = {}
            for at, pair in enumerate(some):
                if languages.count(pair.language) == 1:
                    if pair.language in last:
                        strangers[at] = last[pair.language]
                    else:
                        first[pair.language] = pair
                elif pair.language in first:
                    late = first.pop(pair.language)
                    yield _Chunk([late], {0: pair.prediction}, modes, weights, None, True)
            last.update((pair.language, pair.prediction) for pair in some)
            yield _Chunk(some, strangers, modes, weights, look)
            for language in [name for name, pair in first.items() if pair not in some]:
                if last[language] is not first[language].prediction:
                    late = first.pop(language)
                    yield _Chunk([late], {0: last[language]}, modes, weights, None, True)

    for chunk in mapped(_judge_chunk, chunks()):
        for one in chunk:
            if one.is_late_floor:
                on_floor(one)
            else:
                yield one


def _batches(pairs: Iterable[Pair]) -> Iterator[list[Pair]]:
    batch: list[Pair] = []
    for pair in pairs:
        batch.append(pair)
        if len(batch) == CHUNK_PAIRS:
            yield batch
            batch = []
    if batch:
        yield batch


def _judge_chunk(chunk: _Chunk) -> list[Judged]:
    # Thousands of short-lived lists and tuples, and no cycles: collecting them would take longer
    # than all the rest.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return _judged(chunk)
    finally:
        if was_enabled:
            gc.enable()


def _judged(chunk: _Chunk) -> list[Judged]:
    pairs = chunk.pairs
    partners = _derangement([pair.language for pair in pairs])
    corrected: list[tuple[Program, Program]] = []
    compat: list[tuple[CompatProgram, CompatProgram] | None] = []
    seen: list[Any] = []
    for pair in pairs:
        name = pair.language
        corrected.append(
            (read_reference(pair.reference, name), read_program(pair.prediction, name))
        )
        if "compat" in chunk.modes and name in PACKAGE_LANGUAGES:
            compat.append(
                (read_compat_reference(pair.reference, name), read_compat(pair.prediction, name))
            )
        else:
            compat.append(None)
        found = corrected[-1][1]
        seen.append(chunk.look(pair.prediction, found) if chunk.look else None)
    results = []
    for at, pair in enumerate(pairs):
        wanted, found = corrected[at]
        package = compat[at]
        other = partners[at]
        floor = compat_floor = counts = package_counts = None
        if not wanted.is_empty:
            stranger = None if other is None else corrected[other][1]
            package_stranger = None
            if package is not None and other is not None:
                both = compat[other]
                package_stranger = None if both is None else both[1]
            if at in chunk.strangers:
                text = chunk.strangers[at]
                stranger = read_program(text, pair.language)
                if package is not None:
                    package_stranger = read_compat(text, pair.language)
            if "corrected" in chunk.modes:
                counts = count_programs(wanted, found)
                if stranger is not None:
                    floor = score_counts(count_programs(wanted, stranger), chunk.weights).codebleu
            if package is not None:
                package_counts = count_pair(*package)
                if package_stranger is not None:
                    strange = count_pair(package[0], package_stranger)
                    compat_floor = compat_score(strange, chunk.weights).codebleu
        if chunk.floor_only:
            results.append(
                Judged(None, None, floor, compat_floor, pair.language, False, None, True)
            )
        else:
            results.append(
                Judged(
                    counts,
                    package_counts,
                    floor,
                    compat_floor,
                    pair.language,
                    found.is_empty,
                    seen[at],
                )
            )
    return results


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


class Tally:
    """Adds up the judged pairs of one mode."""

    def __init__(self, mode: Mode, weights: Weights = EQUAL_WEIGHTS) -> None:
        self.mode = mode
        self.weights = weights
        self.scores: list[CodeBleu] = []
        self.mended: list[float] = []  # compat without the free points
        self.pooled: PairCounts | None = None
        self.floors: list[float] = []
        self.empty = 0

    def add(self, judged: Judged) -> bool:
        """Add a pair; False where it has no counts in this mode (and is left out)."""
        counts = judged.corrected if self.mode == "corrected" else judged.compat
        if counts is None:
            return False
        self.scores.append(self._score(counts))
        if self.mode == "compat":
            self.mended.append(compat_score(counts, self.weights, mended=True).codebleu)
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
