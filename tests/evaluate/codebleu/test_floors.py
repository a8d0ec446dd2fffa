import random
from collections import Counter
from dataclasses import replace

import pytest

from codemoe.evaluate.codebleu import score_corpus
from codemoe.evaluate.codebleu.floors import MOST_WAITING, Pair, Strangers, partners_of
from tests.evaluate.codebleu.programs import PROGRAMS


def pairs_of(problems: list[str], language: str = "python") -> list[Pair]:
    return [Pair(language, name, f"{name} {at}") for at, name in enumerate(problems)]


def check(pairs: list[Pair]) -> Counter[int]:
    """Every partner answers another problem in the same language; how often each is used."""
    partners = partners_of(pairs)
    assert partners == partners_of(pairs)
    for pair, other in zip(pairs, partners, strict=True):
        if other is not None:
            assert pairs[other].language == pair.language
            assert pairs[other].reference != pair.reference
    return Counter(other for other in partners if other is not None)


def test_partners_stay_in_the_language_and_everyone_is_one() -> None:
    languages = [*random.Random(1).choices(["python", "java", "cpp"], k=50), "javascript"]
    pairs = [Pair(language, f"r{at}", "") for at, language in enumerate(languages)]
    assert check(pairs) == Counter(range(50))
    assert partners_of(pairs)[-1] is None


@pytest.mark.parametrize("seed", range(20))
def test_answers_to_one_problem_are_no_partners(seed: int) -> None:
    chance = random.Random(seed)
    problems = [f"p{at}" for at in range(chance.randint(1, 6)) for _ in range(chance.randint(1, 9))]
    used = check(pairs_of(problems))
    largest, n = max(Counter(problems).values()), len(problems)
    if largest == n:
        assert not used
    elif 2 * largest <= n:
        assert used == Counter(range(n))
    else:  # the few others stand in several times, alike
        assert used.total() == n
        few = [used[at] for at, name in enumerate(problems) if problems.count(name) < largest]
        assert max(few) - min(few) <= 1


def test_strangers_answer_another_problem() -> None:
    strangers = Strangers()
    first, second = pairs_of(["p", "q"])
    assert strangers.answer_for(first) is None
    assert list(strangers.see([first])) == []
    assert strangers.answer_for(first) is None
    assert strangers.answer_for(second) == first.prediction
    strangers.wait(first)
    assert list(strangers.see([second])) == [([first], second.prediction)]
    assert list(strangers.see([second] * 50)) == []  # told once
    assert strangers.answer_for(second) == first.prediction  # however long ago
    assert strangers.answer_for(Pair("java", "x", "y")) is None


def test_few_pairs_wait() -> None:
    strangers = Strangers()
    for pair in pairs_of(["p"] * 100):
        strangers.wait(pair)
        assert list(strangers.see([pair])) == []
    ((late, answer),) = strangers.see(pairs_of(["q"]))
    assert (len(late), answer) == (MOST_WAITING, "q 0")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_score_of_many_answers_to_each_problem_has_the_floor_of_one(workers: int) -> None:
    """Right answers to the same problem say nothing of wrong ones."""
    names = ["python", "python", "java", "java"]
    codes = [PROGRAMS["python"], "def f(a):\n    return a", PROGRAMS["java"], "class A { int a; }"]
    one = score_corpus(codes, codes, names, workers=workers)
    many_codes = [code for code in codes for _ in range(40)]
    many_names = [name for name in names for _ in range(40)]
    many = score_corpus(many_codes, many_codes, many_names, workers=workers)
    assert one.codebleu == many.codebleu == pytest.approx(1.0)
    assert one.floor is not None
    assert one.floor < 0.3
    assert many.floor == pytest.approx(one.floor, abs=0.05)
    single = score_corpus(many_codes[:40], many_codes[:40], many_names[:40], workers=workers)
    assert single.floor is None  # there is no other problem


def test_scores_do_not_hang_on_the_order_of_the_rows() -> None:
    codes = [PROGRAMS["python"], "def f(a):\n    return a", "x = [1]\nprint(x)"] * 20
    answers = [code.replace("a", "b" * (at % 3 + 1)) for at, code in enumerate(codes)]
    order = list(range(len(codes)))
    random.Random(0).shuffle(order)
    score = score_corpus(codes, answers, "python", workers=1)
    shuffled = score_corpus(
        [codes[at] for at in order], [answers[at] for at in order], "python", workers=2
    )
    assert [score.per_sample[at] for at in order] == list(shuffled.per_sample)


@pytest.mark.parametrize("mode", ["corrected", "compat"])
def test_scores_are_the_same_without_a_floor(mode: str) -> None:
    codes = [PROGRAMS["python"], "def f(a):\n    return a", "x = [1]"]
    answers = [codes[0], codes[0], "x = [2]"]
    score = score_corpus(codes, answers, "python", mode=mode)  # type: ignore[arg-type]
    without = score_corpus(codes, answers, "python", mode=mode, with_floor=False)  # type: ignore[arg-type]
    assert score.floor is not None
    assert without == replace(score, floor=None)
