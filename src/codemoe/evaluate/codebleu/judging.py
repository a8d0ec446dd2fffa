"""Judges pairs: reads both texts, counts what they share, and forgets them."""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from codemoe.evaluate.codebleu.compat import (
    PACKAGE_LANGUAGES,
    CompatProgram,
    compat_score,
    count_pair,
    read_compat_predictions,
    read_compat_references,
)
from codemoe.evaluate.codebleu.counts import PairCounts
from codemoe.evaluate.codebleu.floors import Pair
from codemoe.evaluate.codebleu.program import Program, has_code, read_predictions, read_references
from codemoe.evaluate.codebleu.record import Weights
from codemoe.evaluate.codebleu.score import count_programs, score_counts

# Texts that are read together: their trees are in memory at once.
BATCH_PAIRS = 32
BATCH_CHARACTERS = 65_536
Mode = Literal["corrected", "compat"]
BOTH: tuple[Mode, ...] = ("corrected", "compat")


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
class Chunk:
    """Pairs to be judged together, and how."""

    pairs: list[Pair]
    partners: list[int | None]  # for each the pair whose prediction gives its floor
    strangers: dict[int, str]  # pair -> a prediction for that from elsewhere
    modes: tuple[Mode, ...]
    weights: Weights
    look: Look | None
    floor_only: bool = False


@dataclass(slots=True)
class _Read:
    """A pair's programs, as far as the chunk needs them."""

    has_reference: bool  # with code
    is_empty: bool
    corrected: tuple[Program, Program] | None = None
    compat: tuple[CompatProgram, CompatProgram] | None = None
    seen: Any = None


def judge_chunk(chunk: Chunk) -> list[Judged]:
    """Judge the pairs of a chunk, in order."""
    # Thousands of short-lived lists and tuples, and no cycles: collecting them would take longer
    # than all the rest.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        pairs = [one for some in _batches(chunk.pairs) for one in _read(some, chunk)]
        return [_judged(chunk, pairs, at, other) for at, other in enumerate(chunk.partners)]
    finally:
        if was_enabled:
            # Into the oldest generation, unread: the next collection would go through all of it.
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def _batches(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    batch: list[Pair] = []
    characters = 0
    for pair in pairs:
        size = len(pair.reference) + len(pair.prediction)
        if batch and (len(batch) == BATCH_PAIRS or characters + size > BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(pair)
        characters += size
    if batch:
        yield batch


def _read(pairs: list[Pair], chunk: Chunk) -> list[_Read]:
    references = [(pair.reference, pair.language) for pair in pairs]
    predictions = [(pair.prediction, pair.language) for pair in pairs]
    if "corrected" in chunk.modes or chunk.look:
        both = zip(read_references(references), read_predictions(predictions), strict=True)
        read = [
            _Read(not wanted.is_empty, found.is_empty, (wanted, found)) for wanted, found in both
        ]
    else:
        read = [
            _Read(has_code(*reference), not has_code(*prediction))
            for reference, prediction in zip(references, predictions, strict=True)
        ]
    if "compat" in chunk.modes:
        known = [at for at, pair in enumerate(pairs) if pair.language in PACKAGE_LANGUAGES]
        package = zip(
            read_compat_references([references[at] for at in known]),
            read_compat_predictions([predictions[at] for at in known]),
            strict=True,
        )
        for at, programs in zip(known, package, strict=True):
            read[at].compat = programs
    if chunk.look:
        for pair, one in zip(pairs, read, strict=True):
            assert one.corrected is not None
            one.seen = chunk.look(pair.prediction, one.corrected[1])
    return read


def _judged(chunk: Chunk, pairs: Sequence[_Read], at: int, other: int | None) -> Judged:
    """Judge one pair; `other` is the one whose prediction gives the floor."""
    pair, language = pairs[at], chunk.pairs[at].language
    partner = None if other is None else pairs[other]
    # An answer from elsewhere, where the chunk has none to another problem.
    strange = [(chunk.strangers[at], language)] if at in chunk.strangers else []
    counts = package_counts = floor = package_floor = None
    if pair.has_reference and pair.corrected and "corrected" in chunk.modes:
        wanted, found = pair.corrected
        counts = count_programs(wanted, found)
        answers = read_predictions(strange)
        if partner and partner.corrected:
            answers.append(partner.corrected[1])
        if answers:
            floor = score_counts(count_programs(wanted, answers[0]), chunk.weights).codebleu
    if pair.has_reference and pair.compat:
        package_wanted, package_found = pair.compat
        package_counts = count_pair(package_wanted, package_found)
        package_answers = read_compat_predictions(strange)
        if partner and partner.compat:
            package_answers.append(partner.compat[1])
        if package_answers:
            shared = count_pair(package_wanted, package_answers[0])
            package_floor = compat_score(shared, chunk.weights).codebleu
    if chunk.floor_only:
        return Judged(
            corrected=None,
            compat=None,
            floor=floor,
            compat_floor=package_floor,
            language=language,
            is_empty=False,
            is_late_floor=True,
        )
    return Judged(counts, package_counts, floor, package_floor, language, pair.is_empty, pair.seen)
