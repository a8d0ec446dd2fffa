import pytest

from codemoe.evaluate.answer_facts import AnswerFacts, facts_of, is_looping
from codemoe.evaluate.codebleu import read_program
from codemoe.languages import LANGUAGES
from tests.evaluate.codebleu.programs import PROGRAMS


def facts(answer: str, language: str) -> AnswerFacts:
    return facts_of(answer, read_program(answer, language))


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_nothing_is_odd_about_a_good_answer(language: str) -> None:
    assert facts(PROGRAMS[language], language) == AnswerFacts(
        empty=False,
        unparsable=False,
        looping=False,
        language=language,
        wrong_language=False,
        raw_tokens=False,
        template=False,
        fenced=False,
    )


@pytest.mark.parametrize("answer", ["", "\n \t", "// to do", "/* nothing */"])
def test_empty(answer: str) -> None:
    found = facts(answer, "java")
    assert found.empty
    assert not found.unparsable


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (") } ; ( ] else { ) ) = = + + if ( (", "unparsable"),
        ("x = x + 1\n" * 60, "looping"),
        (" ".join(f"v{i} = f{i}(w{i})" for i in range(60)) + " 1 2" * 60, "looping"),
        (PROGRAMS["python"], "wrong_language"),
        ("def f ( a ) : NEW_LINE INDENT return a NEW_LINE DEDENT", "raw_tokens"),
        ("[/INST] class A { }", "template"),
        ("class A { }</s>", "template"),
        ("Here:\n```java\nclass A { }\n```\nDone.", "fenced"),
        ("```\r\nclass A { }", "fenced"),
    ],
)
def test_what_is_odd_is_seen(answer: str, name: str) -> None:
    assert getattr(facts(answer, "java"), name)


@pytest.mark.parametrize("language", ["java", "python", "cpp", "csharp", "go", "ruby"])
@pytest.mark.parametrize("before", ["Here is the code:\n\n```\n", ""], ids=["chat", "from a fence"])
def test_the_language_is_that_of_what_is_fenced(language: str, before: str) -> None:
    answer = before + PROGRAMS[language] + "\n```\n\nThis counts the words of a text `s`.\n"
    found = facts(answer, language)
    assert (found.language, found.wrong_language, found.fenced) == (language, False, True)
    asked = "php" if language == "go" else "go"
    assert facts(answer, asked).wrong_language


def test_no_loop() -> None:
    assert not is_looping(["a", "b", "c", "d"] * 9)  # too short to tell
    assert not is_looping([f"t{i}" for i in range(500)])
    assert is_looping(["a", "b", "c", "d"] * 30)
    # Different at first, the same at the end.
    assert is_looping([f"t{i}" for i in range(500)] + ["x", "y"] * 50)


def test_markers_inside_words_are_none() -> None:
    assert not facts("int NEW_LINES = 1;", "java").raw_tokens
    assert not facts('String s = "```java";', "java").fenced
    assert facts("if (a <s> b) ### no", "java").language != "python"
