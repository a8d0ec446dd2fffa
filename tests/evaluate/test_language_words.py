import time

import pytest

from codemoe.evaluate.language_words import MARKS, SOFT, evidence_in
from codemoe.languages import LANGUAGES
from tests.evaluate.codebleu.programs import PROGRAMS

NAMES = tuple(LANGUAGES)


@pytest.mark.parametrize("language", NAMES)
def test_a_program_has_words_of_its_language_and_is_no_prose(language: str) -> None:
    found = evidence_in(PROGRAMS[language], NAMES)[language]
    assert found.weight > 0
    assert not found.is_prose


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("x = 1  # elif self None", "python"),
        ('x = "elif self None"', "python"),
        ('"""elif\nself\nNone"""', "python"),
        ("x = 1; // System.out.println", "java"),
        ("/* System * out\n */ x = 1;", "java"),
        ("x = 1; /* System out and what is cut off", "java"),
        ("x = 'console undefined';", "javascript"),
        ("x = `console\nundefined`;", "javascript"),
        ("if (a <'console') {}", "javascript"),
        ("x = /\\'/; y = 'console';", "javascript"),
        ("$x = 1; # echo strlen", "php"),
    ],
)
def test_comments_and_strings_say_nothing(code: str, language: str) -> None:
    assert evidence_in(code, NAMES)[language].own == (language == "php")  # its "$"


def test_lifetimes_are_no_strings() -> None:
    code = "fn f<'a>(x: &'a mut i32) -> &'a i32 { unwrap(x) }"
    assert evidence_in(code, NAMES)["rust"].own == 4  # mut i32 i32 unwrap


def test_a_member_is_no_keyword() -> None:
    """`System.out`: C# has a keyword of this name; Java's mark is the member."""
    plain, member = "a = defer;", "a = b . defer;"
    assert evidence_in(plain, NAMES)["go"].own == 1
    assert evidence_in(member, NAMES)["go"].own == 0
    assert "println" in MARKS["java"]
    assert evidence_in("a . println(b)", NAMES)["java"].own == 1


def test_words_of_several_languages_count_less() -> None:
    both = evidence_in("public void f() { }", ("java", "csharp"))
    assert both["java"].weight == both["csharp"].weight == 1.0  # two words, half each
    alone = evidence_in("public void f() { }", ("java", "python"))
    assert (alone["java"].weight, alone["java"].own) == (2.0, 2)
    assert alone["python"].weight == 0.0


def test_prose_is_prose_and_documented_code_is_not() -> None:
    text = "Write a Python program to find the sum of all the elements of an array. Then print it."
    assert all(one.is_prose for one in evidence_in(text, NAMES).values())
    documented = f"# {text}\n# {text}\ndef f(a):\n    return sum(a)\n"
    assert not evidence_in(documented, NAMES)["python"].is_prose
    assert evidence_in(documented, NAMES)["java"].is_prose  # "#" begins no comment there


def test_soft_words_are_words_of_the_table() -> None:
    keywords = set().union(*(row.keywords for row in LANGUAGES.values()))
    assert keywords >= SOFT
    assert MARKS.keys() == LANGUAGES.keys()


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("public string Name { get; set; }", "go"),
        ("interface User { id: number; name: string; }", "go"),
        ("bool f(string s) { return true; }", "go"),
        ("module Foo\n  VERSION = '1.0'\nend", "javascript"),
        ("for _, x := range xs {}", "python"),
        ("fn main() { println!(); }", "java"),
        ("use std::collections::HashMap; let m: HashMap<u8, u8>;", "java"),
        ("List<?> f(Map<String, ?> m) { return g.append(m); }", "php"),
        ("g.append(m).end(); df.str.len()", "go"),
        ("for (auto i = a.begin(); i != a.end(); ++i) f(std::move(i));", "ruby"),
        ("auto g = std::move(f);", "rust"),
        ("template <typename... T> void f(T... t);", "javascript"),
        ("void f(int... a) {}", "typescript"),
        ("int[] array = next(clone, empty);", "php"),
        ("var q = from x in xs select x;", "go"),
        ("using System; HashSet<int> a; StringBuilder b;", "java"),
    ],
)
def test_a_word_that_others_use_too_is_nobodys_own(code: str, language: str) -> None:
    assert evidence_in(code, NAMES)[language].own == 0


@pytest.mark.parametrize("code", ["$('#a').hide()", "$ . ajax ( x )", 'a = $"{b}";', "f($)"])
def test_a_dollar_sign_without_a_name_is_no_variable_of_php(code: str) -> None:
    assert evidence_in(code, NAMES)["php"].own == 0
    assert evidence_in("$a = $$b + $ c;", NAMES)["php"].own == 4


@pytest.mark.parametrize("quote", ["'", '"', "`", '"""', "'''", "/*", "&'"])
@pytest.mark.parametrize("behind", ["", "\\", " ", "a", "a\n"])
def test_strings_that_do_not_end_take_no_time(quote: str, behind: str) -> None:
    start = time.process_time()
    evidence_in(((quote + behind) * 3_000)[:6_000], NAMES)
    assert time.process_time() - start < 0.4
