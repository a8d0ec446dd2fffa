"""What the words of a text say about its language, whatever a grammar makes of it.

Comments and strings are left out as each family of languages writes them.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from codemoe.languages import LANGUAGES

# Names and operators that say which language this is, beside its keywords.
_MARKS = {
    "python": "self __init__ __name__ elif None True False len range print str int",
    "java": "String System Integer ArrayList HashMap HashSet List StringBuilder Arrays "
    "Collections boolean Long Character Override Math println Object out args java",
    "javascript": "=== !== => console undefined prototype document module exports require Math "
    "let function",
    "cpp": "std :: #include #define vector string cout cin endl size_t push_back move "
    "unordered_map unordered_set uint32_t uint64_t int64_t",
    "c": "#include #define printf scanf malloc calloc free strlen size_t NULL FILE uint32_t "
    "uint64_t int64_t uint8_t ->",
    "csharp": "Console WriteLine Dictionary HashSet List IList IEnumerable StringBuilder System "
    "Length Count Math Add ContainsKey select =>",
    "go": ":= func fmt append make err nil string len",
    "php": "$ <?php <?= echo strlen -> => .= === !== function",
    "typescript": "=== !== => console undefined boolean Math let function",
    "rust": "fn mut impl std :: -> => Vec HashMap HashSet Some None Ok Err usize i32 u32 i64 "
    "u64 u8 unwrap push_back assert_eq! format! panic! println! vec! str String let",
    "ruby": "end puts nil elsif each attr_reader attr_accessor do ===",
}
MARKS = {language: frozenset(words.split()) for language, words in _MARKS.items()}
# Marks that are no members' names: `x.append(1)`, `a.end()` and `df.str` are others'.
_NO_MEMBERS = "append args end err int len make move print range str string System"
NO_MEMBERS = frozenset(_NO_MEMBERS.split())
# Keywords in some places only: elsewhere they are names, and words of English.
_SOFT = (
    "and any array as asserts base checked clone declare default empty event fixed from get "
    "global in infer is list lock map match mod module never next not number object of "
    "operator or out override params range record ref register set string symbol then type "
    "union unique unknown until use var when with"
)
SOFT = frozenset(_SOFT.split())
# A language that others contain: what it reads as well as they do is theirs only by their words.
CONTAINED = {"javascript": "typescript", "c": "cpp"}
MAX_SHARED = 4  # a word of more languages than this says nothing

_SLASHES = r"//[^\n]*|/\*(?:[^*]|\*(?!/))*+(?:\*/)?"  # an answer may be cut off in a comment
_HASH = r"\#[^\n]*"
_LONG = r'(")""(?:[^"\\]|\\.|"(?!""))*"""|' + r"(')''(?:[^'\\]|\\.|'(?!''))*'''"
_SHORT = r'(")(?:[^"\\\n]|\\.)*"|' + r"(')(?:[^'\\\n]|\\.)*'"
_RAW = r"(`)(?!``)(?:[^`\\]|\\.)*`"  # no Markdown fence
_ESCAPED = r"\\[\"'`]"  # begins no string: in a regular expression, or a row of them that none ends
_LIFETIME = r"(?<=[&<])'\w++(?!')"


def _family(*patterns: str) -> re.Pattern[str]:
    """Comments; and strings, whose quotes are groups."""
    return re.compile("|".join(patterns), re.DOTALL)


_SLASHED = _family(_ESCAPED, _SLASHES, _LIFETIME, _SHORT, _RAW)
_HASHED = _family(_ESCAPED, _HASH, _LONG, _SHORT)
_PHP = _family(_ESCAPED, _HASH, _SLASHES, _SHORT)
_QUOTES = {
    family: "".join(rf"\{at}" for at in range(1, family.groups + 1))
    for family in (_SLASHED, _HASHED, _PHP)
}
_TOKEN = re.compile(
    r"(?:\.[ ]?)?[^\W\d]\w*(?:!(?=[(\[{]))?"  # a name, or that of a member or a macro
    r"|\$[ ]?[^\w\s$]"  # jQuery's name, or before a string in C#: no variable of PHP
    r"|\d[\w.]*|\#\w+|<\?(?:php|=)"
    r"|===|!==|\.\.\.|\*\*=|//=|<<=|>>=|[-+*/%&|^=!<>:.]=|\+\+|--|&&|\|\||->|=>|::|<<|>>|\*\*|//"
    r"|\S"
)


# Code has a sign between most of its words.
_SENTENCE = re.compile(r"[A-Za-z]+(?:[ ,.:]{1,2}[a-z]{2,}){4,}")
PROSE_SHARE = 0.45


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of a language's words in a text."""

    weight: float
    own: int  # words that no other candidate has
    tokens: int  # of the text
    is_prose: bool  # for the most part, comments and strings left out
    found: Mapping[str, int]  # which words, how often
    known: Set[str]  # all words of the language

    def beside(self, other: "Evidence") -> int:
        """How many of the words the other language does not have."""
        return sum([count for word, count in self.found.items() if word not in other.known])

    @property
    def share(self) -> float:
        """Weight of a token."""
        return self.weight / self.tokens if self.tokens else 0.0


def evidence_in(code: str, names: tuple[str, ...]) -> dict[str, Evidence]:
    """What the words of a text say for each language."""
    weights = _weights(names)
    # Of a string one quote remains, of a comment nothing.
    families = {name: _family_of(name) for name in names}
    texts = {family: family.sub(_QUOTES[family], code) for family in set(families.values())}
    counted = {text: Counter(_TOKEN.findall(text)) for text in set(texts.values())}
    are_prose = {text: _is_prose(text) for text in counted}
    found = {}
    for name, words in weights.items():
        text = texts[families[name]]
        tokens = counted[text]
        marks = {word: tokens[word] for word in words.keys() & tokens.keys()}
        weight = math.fsum([words[word] * count for word, count in marks.items()])
        own = sum([count for word, count in marks.items() if words[word] == 1])
        is_prose = are_prose[text]
        found[name] = Evidence(weight, own, tokens.total(), is_prose, marks, words.keys())
    return found


def _is_prose(text: str) -> bool:
    return sum(map(len, _SENTENCE.findall(text))) > PROSE_SHARE * len(text)


def _family_of(name: str) -> re.Pattern[str]:
    if name == "php":
        return _PHP
    return _HASHED if LANGUAGES[name].line_comment == "#" else _SLASHED


@lru_cache(maxsize=64)
def _weights(names: tuple[str, ...]) -> Mapping[str, Mapping[str, float]]:
    """language -> word -> what that says for it."""
    # A soft keyword that is another's mark (`string`, `module`) is not that one's alone.
    soft = SOFT.difference(*MARKS.values())
    marks = {name: MARKS.get(name, frozenset()) for name in names}
    keywords = {name: LANGUAGES[name].keywords for name in names}
    words = _shares({name: (keywords[name] - soft) | marks[name] for name in names})
    # The name of a member is nobody's keyword.
    members = _shares({name: marks[name] - NO_MEMBERS - keywords[name] for name in names})
    return {
        name: words[name]
        | {dot + word: share for word, share in members[name].items() for dot in (".", ". ")}
        for name in names
    }


def _shares(words: Mapping[str, Set[str]]) -> dict[str, dict[str, float]]:
    """language -> word -> 1/k for one that k candidates have, where those are few."""
    # Who contains a language does not take its words from it.
    shared = Counter(
        word
        for name in words
        for word in words[name]
        if not any(small in words and word in words[small] for small in _contained_in(name))
    )
    return {
        name: {word: 1 / shared[word] for word in some if shared[word] <= MAX_SHARED}
        for name, some in words.items()
    }


def _contained_in(name: str) -> list[str]:
    return [small for small, large in CONTAINED.items() if large == name]
