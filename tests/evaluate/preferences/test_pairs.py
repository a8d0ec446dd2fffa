"""Which answers make pairs: hand-made cases, then any answers at all."""

import random

import pytest

from codemoe.evaluate.preferences.judge import reward
from codemoe.evaluate.preferences.pairs import (
    ALL_PASS,
    ALL_SAME,
    CAUSES,
    NONE_PASSES,
    NOT_JUDGED,
    PASS_OVER_FAIL,
    RIGHT_LANGUAGE,
    SHORTER,
    Candidate,
    make_pairs,
)
from codemoe.evaluate.sandbox.records import STATUSES


def good(text: str, length: int = 10, finished: bool = True) -> Candidate:
    return Candidate(text, "pass", "python", length, finished)


def bad(text: str, status: str = "fail", language: str | None = "python") -> Candidate:
    return Candidate(text, status, language, 10)


def told(
    answers: list[Candidate], most: int = 9, shorter_by: float | None = 0.2
) -> list[tuple[str, str, str]]:
    pairs, why = make_pairs(answers, "python", most, shorter_by)
    assert (why is None) == bool(pairs)
    return [(pair.chosen.text, pair.rejected.text, pair.cause) for pair in pairs]


def test_pass_over_fail() -> None:
    assert told([bad("b"), good("g")]) == [("g", "b", PASS_OVER_FAIL)]
    assert told([bad("b", "timeout"), good("g")]) == [("g", "b", PASS_OVER_FAIL)]


def test_every_failure_is_told_of_and_the_most_frequent_first() -> None:
    answers = [bad("rare"), good("g1"), bad("often"), good("g2"), bad("often"), good("g2")]
    assert told(answers) == [("g2", "often", PASS_OVER_FAIL), ("g1", "rare", PASS_OVER_FAIL)]
    assert told(answers, most=1) == [("g2", "often", PASS_OVER_FAIL)]


def test_right_language_over_wrong() -> None:
    java = bad("class A {}", "error", "java")
    assert told([java, good("g")]) == [("g", "class A {}", RIGHT_LANGUAGE)]
    # One that fails is better than one in another language, but only if its language is sure.
    assert told([java, bad("b")]) == [("b", "class A {}", RIGHT_LANGUAGE)]
    assert make_pairs([java, bad("x", language=None)], "python", 9, 0.2) == ([], NONE_PASSES)
    # What passes is in the right language, whatever its words look like.
    assert told([Candidate("g", "pass", "java", 10), bad("b")]) == [("g", "b", PASS_OVER_FAIL)]


def test_shorter_of_equals() -> None:
    assert told([good("long", 10), good("short", 8)]) == [("short", "long", SHORTER)]
    assert make_pairs([good("long", 10), good("short", 9)], "python", 9, 0.2) == ([], ALL_PASS)
    assert make_pairs([good("long", 10), good("short", 1)], "python", 9, None) == ([], ALL_PASS)


def test_causes_take_turns() -> None:
    answers = [
        good("g", 5),
        good("longer", 9),
        bad("b1"),
        bad("b2"),
        bad("class A {}", "error", "java"),
    ]
    assert [cause for _, _, cause in told(answers)] == [
        PASS_OVER_FAIL,
        RIGHT_LANGUAGE,
        SHORTER,
        PASS_OVER_FAIL,
        RIGHT_LANGUAGE,
    ]
    assert [cause for _, _, cause in told(answers, most=2)] == [PASS_OVER_FAIL, RIGHT_LANGUAGE]


def test_an_answer_that_was_cut_off_is_never_preferred() -> None:
    cut = good("cut", 30, finished=False)
    assert make_pairs([cut, bad("b")], "python", 9, 0.2) == ([], ALL_PASS)
    assert told([cut, good("g", 10)]) == [("g", "cut", SHORTER)]


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([good("g"), good("g2")], ALL_PASS),
        ([bad("b"), bad("b2", "error")], NONE_PASSES),
        ([good("g"), good("g \n")], ALL_SAME),
        ([bad("b"), bad("b")], ALL_SAME),
        ([bad("b", "sandbox_error"), bad("c", "missing_toolchain")], NOT_JUDGED),
        ([], NOT_JUDGED),
    ],
)
def test_tasks_without_contrast_say_why(answers: list[Candidate], why: str) -> None:
    assert make_pairs(answers, "python", 2, 0.2) == ([], why)


def test_what_was_not_judged_takes_no_part() -> None:
    assert told([good("g"), bad("?", "sandbox_error"), bad("b")]) == [("g", "b", PASS_OVER_FAIL)]


def test_any_answers_make_sound_pairs() -> None:
    draw = random.Random(0)
    seen = set()
    for _ in range(400):
        answers = [
            Candidate(
                draw.choice("abcdef"),
                draw.choice(STATUSES[:4]),
                draw.choice([None, "python", "java"]),
                draw.randrange(1, 20),
                draw.random() < 0.8,
            )
            for _ in range(draw.randrange(9))
        ]
        most = draw.randrange(1, 4)
        pairs, why = make_pairs(answers, "python", most, 0.2)
        assert len(pairs) <= most
        assert (why is None) == bool(pairs)
        assert len(set(pairs)) == len(pairs)
        for pair in pairs:
            seen.add(pair.cause)
            assert pair.chosen.finished
            assert pair.chosen.text != pair.rejected.text
            if pair.cause == PASS_OVER_FAIL:
                assert pair.chosen.passes
                assert not pair.rejected.passes
            elif pair.cause == RIGHT_LANGUAGE:
                assert pair.chosen.passes or pair.chosen.language == "python"
                assert pair.rejected.language == "java"
            else:
                assert pair.chosen.passes
                assert pair.rejected.passes
                assert pair.chosen.length <= 0.8 * pair.rejected.length
    assert seen == set(CAUSES)


def test_reward() -> None:
    assert reward("pass", "java", "python") == 1.0
    assert reward("fail", "python", "python") == 0.0
    assert reward("error", None, "python") == 0.0
    assert reward("compile_error", "java", "python") == -1.0
