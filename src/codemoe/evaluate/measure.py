"""Everything that `codemoe score` and `codemoe audit` tell of a set of predictions."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.answer_facts import AnswerFacts, facts_of
from codemoe.evaluate.codebleu.corpus import CorpusScore, Tally, judge
from codemoe.evaluate.codebleu.floors import Pair
from codemoe.evaluate.codebleu.judging import Judged
from codemoe.evaluate.codebleu.record import EQUAL_WEIGHTS, Weights
from codemoe.evaluate.parallel import in_processes, worker_count

ODD = ("empty", "unparsable", "wrong_language", "looping", "raw_tokens", "template", "fenced")


@dataclass
class Measured:
    """A growing sum; never holds more of a row than its scores."""

    weights: Weights = EQUAL_WEIGHTS
    n: int = 0
    skipped: int = 0  # rows whose reference holds no code
    corrected: Tally = field(init=False)
    compat: Tally = field(init=False)
    odd: Counter[str] = field(default_factory=Counter)  # answers that are ..., by ODD
    answered_in: Counter[str] = field(default_factory=Counter)  # language; "unsure"

    def __post_init__(self) -> None:
        self.corrected = Tally("corrected", self.weights)
        self.compat = Tally("compat", self.weights)

    def add(self, judged: Judged) -> bool:
        """Add a row; False where its reference holds no code, so that nothing can be scored."""
        facts: AnswerFacts = judged.seen
        if not self.corrected.add(judged):
            self.skipped += 1
            return False
        self.n += 1
        self.compat.add(judged)
        for name in ODD:
            self.odd[name] += getattr(facts, name)
        self.answered_in[facts.language or "unsure"] += 1
        return True

    def add_floor(self, judged: Judged) -> None:
        self.corrected.add_floor(judged)
        self.compat.add_floor(judged)

    def figures(self) -> dict[str, Any]:
        """Both modes and the counts, as JSON has them. Raises UserError for no rows."""
        if not self.n:
            raise UserError("nothing to score: no row has a reference with code")
        known = len(self.compat.scores)
        return {
            "n": self.n,
            "corrected": score_figures(self.corrected.score()),
            "compat": compat_figures(self.compat) if known else None,
            **{name: self.odd[name] for name in ODD},
            "answered_in": dict(self.answered_in.most_common()),
        }


def score_figures(score: CorpusScore) -> dict[str, Any]:
    return {
        "codebleu": score.codebleu,
        "ngram_match": score.ngram_match,
        "weighted_ngram_match": score.weighted_ngram_match,
        "syntax_match": score.syntax_match,
        "dataflow_match": score.dataflow_match,
        "floor": score.floor,
        "interval": list(score.interval),
        "pooled": score.pooled.codebleu,
    }


def compat_figures(tally: Tally) -> dict[str, Any]:
    """The package's figures, and its score without what it gives for no data flow at all."""
    score = tally.score()
    free = sum(1 for one in tally.scores if not one.dataflow_match)
    return {
        **score_figures(score),
        "n": score.n,
        "without_free_points": sum(tally.mended) / len(tally.mended),
        "free_points": free,
        "free_without_reference_flow": tally.unflowing,
    }


def measure(
    rows: Iterable[Pair],
    *,
    weights: Weights = EQUAL_WEIGHTS,
    workers: int | None = None,
    on_row: Callable[[Pair, Judged], None] = lambda pair, judged: None,
    on_start: Callable[[], None] = lambda: None,
) -> tuple[Measured, dict[str, Measured]]:
    """Score rows in both modes and look at the answers: (all, by language).

    Rows are read as they are needed and forgotten: memory does not grow with their number, but
    for the scores. `on_start` is called once the processes run, `on_row` for each row in order.
    """
    total = Measured(weights)
    by_language: dict[str, Measured] = {}
    taken: deque[Pair] = deque()  # given out, not judged yet

    def noting() -> Iterable[Pair]:
        for pair in rows:
            taken.append(pair)
            yield pair

    def add_floor(judged: Judged) -> None:
        total.add_floor(judged)
        by_language.setdefault(judged.language, Measured(weights)).add_floor(judged)

    with in_processes(worker_count(workers)) as mapped:
        on_start()
        judged_rows = judge(noting(), mapped, weights=weights, look=facts_of, on_floor=add_floor)
        for judged in judged_rows:
            pair = taken.popleft()
            on_row(pair, judged)
            if total.add(judged):
                by_language.setdefault(pair.language, Measured(weights)).add(judged)
    # A language whose references all lack code may have floors of its own and no row.
    return total, {name: part for name, part in by_language.items() if part.n}
