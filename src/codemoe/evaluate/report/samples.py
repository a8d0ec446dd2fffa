"""Sample answers: chosen by a rule, compared with the reference line by line, lightly coloured."""

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codemoe.evaluate.report.read import Answer, Evaluation
from codemoe.evaluate.report.summary import BASE, main_model
from codemoe.languages import find_language

MAX_LINES = 120
RULE = (
    "Chosen by rule, not by hand: in each language the answer with the lowest CodeBLEU, the middle "
    "one of those that are not exact, and the highest (of equals, that with the longest reference)."
)


@dataclass(frozen=True)
class Span:
    """A piece of a line: `kind` is "", "keyword", "string", "number" or "comment"."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Line:
    """One line of code; `differs`: the other side has no such line at this place."""

    spans: tuple[Span, ...]
    differs: bool = False


@dataclass(frozen=True)
class Sample:
    """One answer beside its reference; `base` is what the base answered to the same prompt."""

    rank: str  # "worst", "middle" or "best"
    answer: Answer
    reference: tuple[Line, ...]
    prediction: tuple[Line, ...]
    base: Answer | None
    base_lines: tuple[Line, ...]


def sample_answers(evaluation: Evaluation) -> tuple[str | None, list[Sample]]:
    """The model whose answers are shown, and its samples, language by language."""
    model, base = main_model(evaluation), evaluation.models.get(BASE)
    if not model.answers:
        return None, []
    samples = []
    for language in model.languages:
        answers = [a for a in model.answers.values() if a.language == language]
        for rank, answer in choose(answers):
            other = base.answers.get(answer.id) if base and base is not model else None
            reference, prediction = side_by_side(answer.reference, answer.prediction, language)
            plain = code_lines(other.prediction, language) if other else ()
            samples.append(Sample(rank, answer, reference, prediction, other, plain))
    return model.name, samples


def choose(answers: Sequence[Answer]) -> list[tuple[str, Answer]]:
    """Worst, middle of the inexact and best by CodeBLEU; no answer twice."""
    if not answers:
        return []
    ordered = sorted(answers, key=lambda a: (a.codebleu, len(a.reference), a.id))
    chosen = [("worst", ordered[0]), ("best", ordered[-1])] if len(ordered) > 1 else []
    between = [answer for answer in ordered[1:-1] if not answer.exact]
    if between:
        chosen.insert(1, ("middle", between[(len(between) - 1) // 2]))
    return chosen or [("worst", ordered[0])]


def side_by_side(
    reference: str, prediction: str, language: str
) -> tuple[tuple[Line, ...], tuple[Line, ...]]:
    """Both texts as lines, marked where they differ; blanks at a line's end do not count."""
    left, right = _lines_of(reference), _lines_of(prediction)
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    same_left: set[int] = set()
    same_right: set[int] = set()
    for block in matcher.get_matching_blocks():
        same_left.update(range(block.a, block.a + block.size))
        same_right.update(range(block.b, block.b + block.size))
    return _marked(left, same_left, language), _marked(right, same_right, language)


def code_lines(code: str, language: str) -> tuple[Line, ...]:
    lines = _lines_of(code)
    return _marked(lines, set(range(len(lines))), language)


def _lines_of(code: str) -> list[str]:
    lines = [line.rstrip().expandtabs(4) for line in code.strip("\n").split("\n")]
    if len(lines) > MAX_LINES:
        return [*lines[:MAX_LINES], f"... {len(lines) - MAX_LINES} more lines"]
    return lines if any(lines) else []


def _marked(lines: list[str], same: set[int], language: str) -> tuple[Line, ...]:
    return tuple(
        Line(tuple(spans_of(line, language)), differs=i not in same) for i, line in enumerate(lines)
    )


def spans_of(line: str, language: str) -> Iterator[Span]:
    """Cut a line into comment, strings, numbers, keywords and the rest; joined they are the line.

    Line by line: a comment or string over several lines is coloured as code, which only looks odd.
    """
    row = find_language(language)
    keywords = row.keywords if row else frozenset()
    comment = re.escape(row.line_comment if row else "#")
    pattern = re.compile(
        rf"(?P<comment>{comment}.*)"
        r"|(?P<string>\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`)"
        r"|(?P<number>\b\d[\w.]*)"
        r"|(?P<word>[A-Za-z_]\w*)"
    )
    start = 0
    for match in pattern.finditer(line):
        kind = match.lastgroup or ""
        if kind == "word":
            if match.group() not in keywords:
                continue
            kind = "keyword"
        if match.start() > start:
            yield Span(line[start : match.start()])
        yield Span(match.group(), kind)
        start = match.end()
    if start < len(line):
        yield Span(line[start:])
