from pathlib import Path

import pytest

from codemoe.evaluate.report.read import Answer, read_evaluation
from codemoe.evaluate.report.samples import (
    MAX_LINES,
    choose,
    code_lines,
    sample_answers,
    side_by_side,
    spans_of,
)


def _answer(key: str, codebleu: float, exact: bool = False, reference: str = "x") -> Answer:
    return Answer(key, "python", "text", reference, "y", codebleu, exact)


def test_worst_middle_of_the_inexact_and_best() -> None:
    answers = [_answer(f"a{i}", 1.0, True) for i in range(10)]
    answers += [_answer("low", 0.1), _answer("mid", 0.5), _answer("high", 0.7)]
    answers.append(_answer("long", 1.0, True, "a longer reference"))
    assert [(rank, a.id) for rank, a in choose(answers)] == [
        ("worst", "low"),
        ("middle", "mid"),
        ("best", "long"),
    ]


def test_no_answer_is_shown_twice() -> None:
    assert choose([]) == []
    assert [rank for rank, _ in choose([_answer("a", 0.2)])] == ["worst"]
    assert [a.id for _, a in choose([_answer("b", 0.9), _answer("a", 0.2)])] == ["a", "b"]
    assert [r for r, _ in choose([_answer(str(i), 1.0, True) for i in range(5)])] == [
        "worst",
        "best",
    ]


def test_lines_that_differ_are_marked_on_both_sides() -> None:
    reference, prediction = side_by_side("a = 1\nb = 2\nc = 3", "a = 1  \nb = 9\nc = 3", "python")
    assert [line.differs for line in reference] == [False, True, False]
    assert [line.differs for line in prediction] == [False, True, False]
    reference, prediction = side_by_side("a = 1", "", "python")
    assert [line.differs for line in reference] == [True]
    assert prediction == ()


def test_long_answers_say_how_much_is_left_out() -> None:
    lines = code_lines("\n".join(f"x{i} = {i}" for i in range(MAX_LINES + 7)), "python")
    assert len(lines) == MAX_LINES + 1
    assert lines[-1].spans[0].text.startswith("... ")


@pytest.mark.parametrize(
    ("line", "language", "kinds"),
    [
        ("    return total  # for all", "python", {"return": "keyword", "# for all": "comment"}),
        ('s = "if // not"; // end', "java", {'"if // not"': "string", "// end": "comment"}),
        ("const n = 0x1f + variable;", "javascript", {"const": "keyword", "0x1f": "number"}),
        ("x = 'a\\'b' + `c`", "javascript", {"'a\\'b'": "string", "`c`": "string"}),
        ("strange $ text \N{SNOWMAN}", "no such language", {}),
    ],
)
def test_spans_colour_a_line_and_keep_its_text(
    line: str, language: str, kinds: dict[str, str]
) -> None:
    spans = list(spans_of(line, language))
    assert "".join(span.text for span in spans) == line
    assert {span.text: span.kind for span in spans if span.kind} == kinds


def test_samples_show_the_mixture_beside_the_base(full_run: Path) -> None:
    evaluation = read_evaluation(full_run)
    name, samples = sample_answers(evaluation)
    assert name == "moe-sequence"
    assert {sample.answer.language for sample in samples} == set(evaluation.languages)
    for sample in samples:
        assert sample.base is not None
        assert sample.base.id == sample.answer.id
        assert any(line.differs for line in sample.prediction) or sample.answer.exact
