"""Conditions on one word and changes of one word, said in English and in code."""

from collections.abc import Callable
from dataclasses import dataclass

from codemoe.data.corpus.string_vocabulary import VOWELS

_VOWELS_LINE = f'const string vowels = "{VOWELS}";'


@dataclass(frozen=True)
class WordPredicate:
    """A condition on a word that is not empty, in the code named `word`.

    `guarded` says that the Java condition must not see the empty texts that `split` may give.
    """

    key: str
    before: tuple[str, ...]  # the function's name, around "words"
    after: tuple[str, ...]
    nouns: tuple[str, ...]
    python: str
    java: str
    javascript: str
    cpp: str
    holds: Callable[[str], bool]
    guarded: bool = True
    prelude: str = ""  # a C++ line that the condition relies on

    @property
    def name(self) -> tuple[str, ...]:
        return (*self.before, "words", *self.after)

    @property
    def java_guarded(self) -> str:
        if not self.guarded:
            return self.java
        return f"!word.isEmpty() && {self.java}" if self.java else "!word.isEmpty()"


@dataclass(frozen=True)
class WordMap:
    """A change of a word; in C++ perhaps a statement on `word` before the expression."""

    key: str
    words: tuple[str, ...]  # in a function's name: an adjective of "words"
    phrases: tuple[str, ...]  # "join them {}"
    python: str
    java: str
    javascript: str
    cpp: str
    apply: Callable[[str], str]
    cpp_statement: str = ""


WORD_PREDICATES = (
    WordPredicate("every", (), (), ("words",), "", "", "", "", lambda w: True),
    WordPredicate("long", ("long",), (), ("words of more than 4 letters", "words longer than 4"),
                  "len(word) > 4", "word.length() > 4", "word.length > 4", "word.size() > 4",
                  lambda w: len(w) > 4, guarded=False),
    WordPredicate("short", ("short",), (), ("words of less than 4 letters", "words shorter than 4"),
                  "len(word) < 4", "word.length() < 4", "word.length < 4", "word.size() < 4",
                  lambda w: len(w) < 4),
    WordPredicate("evenlength", (), ("of", "even", "length"),
                  ("words of even length", "words with an even number of letters"),
                  "len(word) % 2 == 0", "word.length() % 2 == 0", "word.length % 2 === 0",
                  "word.size() % 2 == 0", lambda w: len(w) % 2 == 0),
    WordPredicate("oddlength", (), ("of", "odd", "length"),
                  ("words of odd length", "words with an odd number of letters"),
                  "len(word) % 2 == 1", "word.length() % 2 == 1", "word.length % 2 === 1",
                  "word.size() % 2 == 1", lambda w: len(w) % 2 == 1, guarded=False),
    WordPredicate("startsvowel", (), ("starting", "with", "vowel"),
                  ("words that start with a vowel", "words whose first letter is a vowel"),
                  f'word[0] in "{VOWELS}"', f'"{VOWELS}".indexOf(word.charAt(0)) >= 0',
                  "/^[aeiou]/i.test(word)", "vowels.find(word[0]) != string::npos",
                  lambda w: w[0] in VOWELS, prelude=_VOWELS_LINE),
    WordPredicate("endsvowel", (), ("ending", "with", "vowel"),
                  ("words that end with a vowel", "words whose last letter is a vowel"),
                  f'word[-1] in "{VOWELS}"',
                  f'"{VOWELS}".indexOf(word.charAt(word.length() - 1)) >= 0',
                  "/[aeiou]$/i.test(word)", "vowels.find(word.back()) != string::npos",
                  lambda w: w[-1] in VOWELS, prelude=_VOWELS_LINE),
    WordPredicate("capital", ("capitalized",), (),
                  ("words that start with a capital letter", "words whose first letter is upper "
                   "case"),
                  "word[0].isupper()", "Character.isUpperCase(word.charAt(0))",
                  "/^[A-Z]/.test(word)", "isupper(word[0])", lambda w: w[0].isupper()),
    WordPredicate("startsa", (), ("starting", "with", "a"),
                  ("words that start with a", "words that begin with the letter a"),
                  'word.startswith("a")', 'word.startsWith("a")', "word.startsWith('a')",
                  "word[0] == 'a'", lambda w: w[0] == "a", guarded=False),
    WordPredicate("endss", (), ("ending", "with", "s"),
                  ("words that end with s", "words whose last letter is s"),
                  'word.endswith("s")', 'word.endsWith("s")', "word.endsWith('s')",
                  "word.back() == 's'", lambda w: w[-1] == "s", guarded=False),
    WordPredicate("withe", (), ("with", "e"),
                  ("words with the letter e", "words that contain e"),
                  '"e" in word', 'word.contains("e")', "word.includes('e')",
                  "word.find('e') != string::npos", lambda w: "e" in w, guarded=False),
    WordPredicate("withoute", (), ("without", "e"),
                  ("words without the letter e", "words that do not contain e"),
                  '"e" not in word', '!word.contains("e")', "!word.includes('e')",
                  "word.find('e') == string::npos", lambda w: "e" not in w),
    WordPredicate("sameends", (), ("with", "equal", "ends"),
                  ("words whose first and last letter are equal", "words that end with their "
                   "first letter"),
                  "word[0] == word[-1]", "word.charAt(0) == word.charAt(word.length() - 1)",
                  "word[0] === word[word.length - 1]", "word.front() == word.back()",
                  lambda w: w[0] == w[-1]),
)  # fmt: skip

WORD_MAPS = (
    WordMap("same", (), ("as they are", "unchanged"), "word", "word", "word", "word", lambda w: w),
    WordMap("upper", ("upper",), ("in upper case", "in capital letters"),
            "word.upper()", "word.toUpperCase()", "word.toUpperCase()", "word", str.upper,
            "for (char& c : word) c = toupper(c);"),
    WordMap("capital", ("titled",),
            ("with the first letter in upper case", "with a capital first letter"),
            "word[0].upper() + word[1:]", "Character.toUpperCase(word.charAt(0)) "
            "+ word.substring(1)", "word[0].toUpperCase() + word.slice(1)", "word",
            lambda w: w[:1].upper() + w[1:], "word[0] = toupper(word[0]);"),
    WordMap("reversed", ("reversed",), ("with their letters reversed", "spelled backwards"),
            "word[::-1]", "new StringBuilder(word).reverse().toString()",
            "[...word].reverse().join('')", "word", lambda w: w[::-1],
            "reverse(word.begin(), word.end());"),
    WordMap("doubled", ("doubled",), ("written twice without a gap", "doubled"),
            "word * 2", "word.repeat(2)", "word.repeat(2)", "word + word", lambda w: w + w),
    WordMap("initial", ("initials", "of"), ("cut to the first letter", "reduced to the first "
            "letter"),
            "word[0]", "word.substring(0, 1)", "word[0]", "word.substr(0, 1)", lambda w: w[0]),
    WordMap("three", ("cut",),
            ("cut to at most three letters", "reduced to the first three letters"),
            "word[:3]", "word.substring(0, Math.min(3, word.length()))", "word.slice(0, 3)",
            "word.substr(0, 3)", lambda w: w[:3]),
    WordMap("measured", ("measured",), ("followed by their length", "with their length behind"),
            'f"{word}{len(word)}"', "word + word.length()", "`${word}${word.length}`",
            "word + to_string(word.size())", lambda w: w + str(len(w))),
)  # fmt: skip
