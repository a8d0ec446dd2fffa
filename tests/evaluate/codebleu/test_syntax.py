import pytest

from codemoe.evaluate.codebleu.counting import recall
from codemoe.evaluate.codebleu.parsing import parse
from codemoe.evaluate.codebleu.source import source_text
from codemoe.evaluate.codebleu.syntax import subtree_shapes
from codemoe.evaluate.codebleu.tree import without_comments
from tests.evaluate.codebleu.programs import PROGRAMS


def match(reference: str, prediction: str, language: str = "python") -> float | None:
    shapes = [
        subtree_shapes(without_comments(parse(source_text(code, language), language)))
        for code in (reference, prediction)
    ]
    return recall(*shapes)


def test_by_hand() -> None:
    # x = 1: module, statement, assignment. Names and values do not count.
    shapes = subtree_shapes(without_comments(parse("x = 1", "python")))
    assert sorted(shapes.values()) == [1, 1, 1]
    assert match("x = 1", "y = 22") == 1.0
    # x = a: another assignment, so another statement and another module.
    assert match("x = 1", "x = a") == 0.0
    # The module differs; the statement and the assignment are there.
    assert match("x = 1", "x = 1\ny = a") == pytest.approx(2 / 3)


def test_multiplicity_counts() -> None:
    # Four statements of one shape: 4 statements, 4 assignments, 1 module; the answer has one each.
    reference = "a = 1\nb = 2\nc = 3\nd = 4"
    assert match(reference, "a = 1") == pytest.approx(2 / 9)
    assert match(reference, "a = 1\nb = 2") == pytest.approx(4 / 9)


def test_strings_are_leaves() -> None:
    assert match('f("a")', 'f("")') == 1.0
    assert match('f("a")', 'f("a\\n")') == 1.0


@pytest.mark.parametrize("language", list(PROGRAMS))
def test_identity(language: str) -> None:
    assert match(PROGRAMS[language], PROGRAMS[language], language) == 1.0


def test_broken_code_matches_only_what_parses() -> None:
    whole = "int f(int a) { return a + 1; }\nint g() { return 2; }"
    broken = "int f(int a) { return a + 1; }\nint g() { return ) 2 2"
    score = match(whole, broken, "cpp")
    assert score is not None
    assert 0.3 < score < 1.0


@pytest.mark.parametrize("junk", ["", "1 2 3 4 5", ") ) (", "the sum, of two, numbers]"])
@pytest.mark.parametrize("language", list(PROGRAMS))
def test_error_nodes_never_match(junk: str, language: str) -> None:
    assert match(PROGRAMS[language], junk, language) == 0.0
    # ... not even with themselves.
    assert match(") ) (", ") ) (", language) is None
