import pytest

from codemoe.evaluate import reading_cost, wrong_language
from codemoe.evaluate.codebleu.program import read_program
from codemoe.evaluate.reading_cost import CUT_OFF, UNCLEAN, Reading
from codemoe.evaluate.wrong_language import language_of
from codemoe.languages import LANGUAGES
from tests.evaluate.codebleu.programs import PROGRAMS

CUTS = (1.0, 0.9, 0.6)
TEXTS = [code[: int(len(code) * cut)] for code in PROGRAMS.values() for cut in CUTS]
TEXTS += [code + " 1 2 3 ; return" for code in PROGRAMS.values()]


def cost(code: str, language: str) -> float:
    reading = Reading(code, language)
    while not reading.is_done:
        reading.go_on()
    return reading.highest


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_sound_code_costs_nothing(language: str) -> None:
    assert cost(PROGRAMS[language], language) == 0.0


def test_members_without_their_class_cost_nothing() -> None:
    assert cost("private int f(int a) { return a; }\n@Override\npublic void g() { }", "java") == 0


def test_what_is_cut_off_costs_little() -> None:
    code = PROGRAMS["java"].strip()
    assert cost(code[: int(len(code) * 0.85)], "java") == CUT_OFF
    assert cost("if (a", "java") > UNCLEAN


def test_other_languages_cost_more() -> None:
    assert cost(PROGRAMS["ruby"], "java") > UNCLEAN + 0.1


@pytest.mark.parametrize("language", ["python", "java", "go", "php"])
def test_the_bounds_only_close_in(language: str) -> None:
    for text in TEXTS:
        reading = Reading(text, language)
        seen = [(reading.lowest, reading.highest)]
        while not reading.is_done:
            reading.go_on()
            seen.append((reading.lowest, reading.highest))
        lows, highs = zip(*seen, strict=True)
        assert list(lows) == sorted(lows)
        assert list(highs) == sorted(highs, reverse=True)


def test_what_is_known_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    count = reading_cost.count_unreadable
    monkeypatch.setattr(
        reading_cost, "count_unreadable", lambda code, name: texts.append(code) or count(code, name)
    )
    code = PROGRAMS["java"] + "\n)"
    known = read_program(code, "java").unreadable
    assert known
    assert cost(code, "java") > 0
    assert len(texts) > 1
    texts.clear()
    reading = Reading(code, "java", known)
    reading.go_on()
    assert not texts


@pytest.mark.parametrize("text", TEXTS)
def test_no_answer_hangs_on_what_was_left_unread(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the language that reading everything in every way gives."""
    asked = (None, "python", "java", "cpp", "typescript")
    quick = [language_of(text, asked=name) for name in asked]

    class Whole(Reading):
        def __init__(self, *args: object, **named: object) -> None:
            super().__init__(*args, **named)
            while not self.is_done:
                self.go_on()

    monkeypatch.setattr(wrong_language, "Reading", Whole)
    assert [language_of(text, asked=name) for name in asked] == quick
