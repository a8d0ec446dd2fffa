import time
from collections.abc import Sequence

import pytest

from codemoe.evaluate.codebleu.parsing import Text, count_unreadable, parse, parse_all
from codemoe.evaluate.codebleu.program import has_code, read_program, read_programs
from codemoe.evaluate.codebleu.remembered import Remembered
from codemoe.evaluate.codebleu.source import source_text
from codemoe.evaluate.codebleu.tree import unreadable_bytes
from codemoe.languages import LANGUAGES
from tests.evaluate.codebleu.programs import PROGRAMS

ODD = (
    "", " \n", "\ufeff", "x", "_", "__END__", "# a", "// a", "/* a */", "/* a", "/", "<!-- a", "<",
    "--> a", "-", "- 1", "=begin\na\n=end", "=", '"a"', "'a'", 'r"a"', "rb'''a'''", "r 'a'", "\\",
    "\\\n", "\\n", "NEW_LINE INDENT", "NEW_LINE x", "NEW_LINE # a", "\u2581INDENT\u2581x",
    "STRNEWLINE NEW_LINE", "\u0301", "\u0435", "<?php", "<?php // a", "<p>", "#!/bin/sh", "; ;",
)  # fmt: skip


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_whether_there_is_code_is_seen_without_reading_it(language: str) -> None:
    for code in (*ODD, PROGRAMS[language]):
        assert has_code(code, language) is not read_program(code, language).is_empty, code


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_unreadable_bytes_are_counted_without_a_flat_tree(language: str) -> None:
    code = PROGRAMS[language]
    parts = [*ODD, code, code[: len(code) // 2], code[len(code) // 3 :], code.replace("(", "# ")]
    texts = [source_text(part, language) + " " for part in parts]  # none was parsed before
    counted = [count_unreadable(text, language) for text in texts]
    assert counted == [unreadable_bytes(parse(text, language)) for text in texts]
    assert any(counted)


def test_programs_read_together_are_like_programs_read_alone() -> None:
    texts = [(code, language) for language, code in PROGRAMS.items()] + [("", "python")]
    for together, (code, language) in zip(read_programs(texts), texts, strict=True):
        alone = read_program(code, language)
        assert together.tokens == alone.tokens
        assert together.ngrams.sequences.tolist() == alone.ngrams.sequences.tolist()
        assert (together.subtrees, together.dataflow) == (alone.subtrees, alone.dataflow)


def test_equal_texts_are_parsed_once() -> None:
    first, other, again = parse_all([("a", "java"), ("a", "cpp"), ("a", "java")])
    assert first is again is parse("a", "java")
    assert other.grammar.language == "cpp"


def test_what_was_read_is_remembered_up_to_a_number_of_characters() -> None:
    read: list[Text] = []

    def note(texts: Sequence[Text]) -> list[str]:
        read.extend(texts)
        return [code.upper() for code, _ in texts]

    remembered = Remembered(note, characters=2)
    a, b, c = ("a", "c"), ("b", "c"), ("c", "c")
    assert remembered([a, b, a]) == ["A", "B", "A"]
    assert remembered([a]) == ["A"]
    assert read == [a, b]
    assert remembered([c]) == ["C"]  # b goes: it was not used for longest
    assert remembered([a, b]) == ["A", "B"]
    assert read == [a, b, c, b]
    remembered.forget()
    long = ("long", "c")
    assert remembered([long, long]) == ["LONG", "LONG"]  # longer than all that may be kept
    assert remembered([long]) == ["LONG"]
    assert read == [a, b, c, b, long, long]


@pytest.mark.parametrize("unit", ["a", "a.b"])
def test_one_long_line_is_read_in_time_linear_in_it(unit: str) -> None:
    """60 kB take minutes where time grows with the square of a name's length."""
    started = time.process_time()
    assert read_program(unit * (60_000 // len(unit)), "java").size > 50_000
    assert time.process_time() - started < 10
    # Signs that some grammars read in every way: not parsed whole, so not for ever either.
    assert read_program("a < b." * 2_000, "cpp").tokens[:2] == ("a", "<")
