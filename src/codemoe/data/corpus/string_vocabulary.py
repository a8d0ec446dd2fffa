"""Classes of characters that the string families share, said in English and in code.

All tests hold for ASCII text, which is what the families' alphabets consist of.
"""

from collections.abc import Callable
from dataclasses import dataclass

VOWELS = "aeiouAEIOU"


@dataclass(frozen=True)
class CharClass:
    """A kind of character; the code is a condition on the character `{c}`.

    `unless` is the negated condition by language. `regex` is what a regular expression matches one
    such character with (JavaScript and Java), `flags` its JavaScript flags. `prelude` is a C++ line
    that the condition relies on. `single` is the character itself where the class is only one.
    """

    key: str
    words: tuple[str, ...]  # plural, in a function's name
    nouns: tuple[str, ...]  # plural, interchangeable
    when: dict[str, str]
    unless: dict[str, str]
    regex: str
    holds: Callable[[str], bool]
    flags: str = ""
    prelude: str = ""
    single: str = ""

    def test(self, language: str, c: str, negated: bool = False) -> str:
        """The condition as source text about the character `c`."""
        return (self.unless if negated else self.when)[language].replace("{c}", c)

    @property
    def js_regex(self) -> str:
        """A global regular expression literal for JavaScript."""
        return f"/{self.regex}/g{self.flags}"

    @property
    def java_regex(self) -> str:
        """The same as the inside of a Java string literal."""
        text = self.regex.replace("\\", "\\\\")
        return f"(?i){text}" if self.flags else text

    @property
    def capture(self) -> str:
        """How a C++ lambda that tests the class begins."""
        return "[&]" if self.prelude else "[]"


def _char_class(
    key: str,
    words: tuple[str, ...],
    nouns: tuple[str, ...],
    tests: tuple[str, str, str],
    negated: tuple[str, str, str],
    regex: str,
    holds: Callable[[str], bool],
    flags: str = "",
    prelude: str = "",
) -> CharClass:
    """`tests` and `negated` stand for Python, Java, C++; JavaScript tests with the regex."""
    literal = f"/{regex}/{flags}"
    names = ("python", "java", "cpp")
    when = dict(zip(names, tests, strict=True)) | {"javascript": f"{literal}.test({{c}})"}
    unless = dict(zip(names, negated, strict=True)) | {"javascript": f"!{literal}.test({{c}})"}
    return CharClass(key, words, nouns, when, unless, regex, holds, flags, prelude)


def _is_kind(key: str, word: str, nouns: tuple[str, ...], python: str, java: str, cpp: str,
             regex: str, holds: Callable[[str], bool]) -> CharClass:  # fmt: skip
    """A class that each language's standard library can test."""
    return _char_class(
        key,
        (*word.split(),),
        nouns,
        (f"{{c}}.{python}()", f"Character.{java}({{c}})", f"{cpp}({{c}})"),
        (f"not {{c}}.{python}()", f"!Character.{java}({{c}})", f"!{cpp}({{c}})"),
        regex,
        holds,
    )


def _is_not(base: CharClass, key: str, word: str, nouns: tuple[str, ...], regex: str) -> CharClass:
    """The characters outside `base`."""

    def holds(c: str) -> bool:
        return not base.holds(c)

    literal = f"/{regex}/{base.flags}.test({{c}})"
    return CharClass(
        key, (*word.split(),), nouns, base.unless | {"javascript": literal},
        base.when,
        regex, holds, base.flags, base.prelude,
    )  # fmt: skip


def _one(key: str, word: str, nouns: tuple[str, ...], char: str) -> CharClass:
    """One given character."""
    double, single = f'"{char}"', f"'{char}'"
    when = {
        "python": f"{{c}} == {double}",
        "java": f"{{c}} == {single}",
        "cpp": f"{{c}} == {single}",
        "javascript": f"{{c}} === {single}",
    }
    unless = {name: text.replace("==", "!=", 1) for name, text in when.items()}
    return CharClass(
        key, (*word.split(),), nouns, when, unless, char, lambda c: c == char, single=char
    )


_VOWELS = _char_class(
    "vowel", ("vowels",), ("vowels", "small and capital vowels", "vowel letters"),
    (f'{{c}} in "{VOWELS}"', f'"{VOWELS}".indexOf({{c}}) >= 0', "vowels.find({c}) != string::npos"),
    (f'{{c}} not in "{VOWELS}"', f'"{VOWELS}".indexOf({{c}}) < 0',
     "vowels.find({c}) == string::npos"),
    "[aeiou]", lambda c: c in VOWELS, "i", f'const string vowels = "{VOWELS}";',
)  # fmt: skip
_DIGITS = _is_kind("digit", "digits", ("digits", "decimal digits", "characters from 0 to 9"),
                   "isdigit", "isDigit", "isdigit", r"\d", str.isdigit)  # fmt: skip
_LETTERS = _is_kind("letter", "letters", ("letters", "alphabetic characters"),
                    "isalpha", "isLetter", "isalpha", "[a-zA-Z]", str.isalpha)  # fmt: skip

CHAR_CLASSES = (
    _VOWELS,
    _char_class(
        "consonant", ("consonants",), ("consonants", "letters other than vowels"),
        (f'{{c}}.isalpha() and {{c}} not in "{VOWELS}"',
         f'Character.isLetter({{c}}) && "{VOWELS}".indexOf({{c}}) < 0',
         "isalpha({c}) && vowels.find({c}) == string::npos"),
        (f'not {{c}}.isalpha() or {{c}} in "{VOWELS}"',
         f'!Character.isLetter({{c}}) || "{VOWELS}".indexOf({{c}}) >= 0',
         "!isalpha({c}) || vowels.find({c}) != string::npos"),
        "[b-df-hj-np-tv-z]", lambda c: c.isalpha() and c not in VOWELS,
        "i", f'const string vowels = "{VOWELS}";',
    ),
    _DIGITS,
    _is_kind("upper", "capitals", ("capital letters", "upper case letters"),
             "isupper", "isUpperCase", "isupper", "[A-Z]", str.isupper),
    _is_kind("lower", "small letters", ("small letters", "lower case letters"),
             "islower", "isLowerCase", "islower", "[a-z]", str.islower),
    _LETTERS,
    _is_kind("alnum", "letters and digits", ("letters and digits", "alphanumeric characters"),
             "isalnum", "isLetterOrDigit", "isalnum", "[a-zA-Z0-9]", str.isalnum),
    _is_not(_LETTERS, "nonletter", "non letters",
            ("characters that are not letters", "characters other than letters"), "[^a-zA-Z]"),
    _is_not(_DIGITS, "nondigit", "non digits",
            ("characters that are not digits", "characters other than digits"), r"\D"),
    _is_not(_VOWELS, "nonvowel", "non vowels",
            ("characters that are not vowels", "characters other than vowels"), "[^aeiou]"),
    _char_class(
        "evendigit", ("even", "digits"), ("even digits", "digits 0 2 4 6 8"),
        ('{c} in "02468"', '"02468".indexOf({c}) >= 0', "evens.find({c}) != string::npos"),
        ('{c} not in "02468"', '"02468".indexOf({c}) < 0', "evens.find({c}) == string::npos"),
        "[02468]", lambda c: c in "02468", prelude='const string evens = "02468";',
    ),
    _one("a", "letter a", ("letters a", "characters equal to a"), "a"),
    _one("x", "letter x", ("letters x", "characters equal to x"), "x"),
    _one("space", "spaces", ("spaces", "blanks", "space characters"), " "),
)  # fmt: skip

MIXED_ALPHABET = "aaeiuxxbctzAEXTN02357  -"
