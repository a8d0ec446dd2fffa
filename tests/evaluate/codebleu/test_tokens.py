import pytest

from codemoe.evaluate.codebleu.parsing import parse
from codemoe.evaluate.codebleu.tokens import split_text, tokens_of
from codemoe.evaluate.codebleu.tree import without_comments


def tokens(code: str, language: str) -> list[str]:
    whole = parse(code, language)
    return tokens_of(without_comments(whole), whole)


@pytest.mark.parametrize(
    ("language", "spaced", "unspaced"),
    [
        ("python", "x = a [ i ] + 1", "x=a[i]+1"),
        ("java", "int x = a [ i ] + 1 ;", "int x=a[i]+1;"),
        ("javascript", "let x = ( a , b ) => a + b ;", "let x=(a,b)=>a+b;"),
        ("cpp", "vector < int > v ( n , 0 ) ;", "vector<int>v(n,0);"),
    ],
)
def test_white_space_does_not_matter(language: str, spaced: str, unspaced: str) -> None:
    assert tokens(unspaced, language) == tokens(spaced, language) == spaced.split()


@pytest.mark.parametrize(
    ("language", "code", "expected"),
    [
        ("python", 'x = "a b" # note', ["x", "=", '"a b"']),
        ("python", "x = f'a {b + 1} c'", ["x", "=", "f'a {b + 1} c'"]),
        ("java", 'f("a \\" b"); // note', ["f", "(", '"a \\" b"', ")", ";"]),
        ("javascript", "f(`a ${b} c`) /* x */", ["f", "(", "`a ${b} c`", ")"]),
        ("cpp", "char c = ' '; /* x */", ["char", "c", "=", "' '", ";"]),
    ],
)
def test_strings_are_one_token_and_comments_none(
    language: str, code: str, expected: list[str]
) -> None:
    assert tokens(code, language) == expected


def test_docstrings_are_comments() -> None:
    assert tokens('def f():\n    """Say it."""\n    return 1\n', "python") == tokens(
        "def f():\n    return 1\n", "python"
    )


def test_macro_bodies_are_split() -> None:
    expected = ["#define", "MAX", "(", "1", "+", "2", ")"]
    assert tokens("#define MAX (1+2)\n", "cpp") == expected


@pytest.mark.parametrize("language", ["python", "java", "javascript", "cpp"])
@pytest.mark.parametrize(
    "code", ["", " \n\t", "1 2 3 4", "}{)(", "def (", "\x00", "\ud800", "é = ß § ¤", "(" * 3000]
)
def test_any_text_is_read(language: str, code: str) -> None:
    # Nothing but white space may escape: what the parser skips is split by the regex.
    joined = "".join(tokens(code, language)).encode("utf-8", "replace")
    assert joined == "".join(code.split()).encode("utf-8", "replace")


def test_split_text() -> None:
    assert split_text('a1+=b["x y"]->c') == ["a1", "+=", "b", "[", '"x y"', "]", "->", "c"]
