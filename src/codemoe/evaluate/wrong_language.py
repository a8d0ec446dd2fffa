"""Which language a piece of code is in, to count answers in another language than the one asked.

Words that few languages use speak for those; the grammars of the likeliest then read the code,
and what one could not read counts against its language. Code that fits two languages alike
(`x = 1`), prose and number strings are nobody's: None. Deterministic; a few milliseconds per
answer.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

from codemoe.evaluate.codebleu.grammar import STRING
from codemoe.evaluate.codebleu.parsing import count_unreadable, parse
from codemoe.evaluate.codebleu.program import Program
from codemoe.evaluate.codebleu.source import source_text
from codemoe.evaluate.codebleu.tokens import leaves_and_literals, split_text
from codemoe.evaluate.codebleu.tree import without_comments
from codemoe.languages import LANGUAGES, PROSE, get_language

CANDIDATES = tuple(LANGUAGES)

# Names and operators that say which language this is, beside its keywords.
_MARKS = {
    "python": "self __init__ __name__ elif None True False len",
    "java": "String System Integer ArrayList HashMap HashSet List StringBuilder Arrays "
    "Collections boolean Long Character Override Math",
    "javascript": "=== !== => ... console undefined prototype document module exports require Math",
    "cpp": "std :: #include #define vector cout cin endl size_t push_back "
    "unordered_map unordered_set uint32_t uint64_t int64_t",
    "c": "#include #define printf scanf malloc calloc free strlen size_t NULL FILE uint32_t "
    "uint64_t int64_t uint8_t ->",
    "csharp": "Console WriteLine Dictionary List IList IEnumerable Length Count Math Add "
    "ContainsKey =>",
    "go": ":= func fmt len append make err nil string",
    "php": "$ <?php echo array count strlen -> => .= <? ?>",
    "typescript": "=== !== => ... console undefined number string boolean any void length Math",
    "rust": "fn mut impl :: -> => Vec Some None Ok Err usize i32 u32 i64 u64 u8 unwrap println "
    "assert_eq vec str String",
    "ruby": "end puts nil elsif each @ attr_reader attr_accessor length do",
}
MARKS = {language: frozenset(words.split()) for language, words in _MARKS.items()}
# A language that others contain: what it reads as well as they do is theirs only by their words.
CONTAINED = {"javascript": "typescript", "c": "cpp"}

MARK_WEIGHT = 3.0  # a share of 10 % marks outweighs 30 % of unreadable text
MAX_SHARED = 4  # a word of more languages than this says nothing
UNCLEAN = 0.15  # cost of not reading all of the code
CUT_OFF = 0.05  # ... of reading all but a broken last statement
MARGIN = 0.03  # a smaller lead over the next language is no decision
BENEFIT = 0.08  # ... nor is one over the language that was asked for
SURE = 1.25  # this many times another's words are enough without reading the code
ENOUGH = 0.6  # share of another's words that lets code be in the asked language, which reads it
MAX_COST = 0.25  # above it only marks can speak for a language
MIN_MARKS = 3  # ... and how many must
MIN_KEPT = 0.8  # share of an answer that must remain when its last, broken statement is dropped
MIN_TOKENS = 4  # shorter text says nothing
LIKELY = 0.4  # share of the likeliest language's words below which none is considered
MAX_READ = 5  # candidates whose grammars read the code
MAX_READ_BESIDE = 3  # ... beside the language that was asked for
MAX_BYTES = 6_000  # of a longer answer the first part is looked at
CLOSERS = {"(": ")", "[": "]", "{": "}"}


def language_of(
    code: str,
    candidates: Sequence[str] = CANDIDATES,
    *,
    asked: str | None = None,
    asked_program: Program | None = None,
) -> str | None:
    """The language of a program or snippet, or None when it is unsure.

    With the language that was asked for, that one has the benefit of the doubt: another must be
    clearly likelier, and what it contains (C in C++, JavaScript in TypeScript) is it. Where prose
    was asked for, nothing is told: words are read as some language's too easily.
    `asked_program` is the code read as that language, where the caller has it.
    Raises UserError for an unknown candidate or one without its grammar installed.
    """
    if asked is not None and get_language(asked) is PROSE:
        return None
    named = candidates if asked is None else (*candidates, asked)
    names = tuple(dict.fromkeys(get_language(name).name for name in named))
    asked = None if asked is None else get_language(asked).name
    code = code[:MAX_BYTES]
    weights = _weights(names, asked is not None or len(names) > MAX_READ)
    rough = _rough_marks(code, weights)
    if asked is not None:
        others = max((rough[name] for name in names if name != asked), default=0.0)
        if rough[asked] >= max(SURE * others, MIN_MARKS):
            return asked
        is_read = asked_program is not None and not asked_program.unreadable
        if is_read and rough[asked] >= ENOUGH * others > 0 and _is_long(asked_program):
            return asked
    chosen = list(names)
    if len(names) > MAX_READ:
        most = max(rough.values())
        if not most:
            return None
        likely = [name for name in names if rough[name] >= LIKELY * most]
        most_read = MAX_READ if asked is None else MAX_READ_BESIDE
        chosen = sorted(likely, key=lambda name: -rough[name])[:most_read]
    if asked is not None and asked not in chosen:
        chosen.append(asked)
    marked = {}  # language -> (evidence of its words, how many no other candidate has)
    for name in chosen:
        marks, count, tokens = _count_marks(code, name, weights[name])
        if tokens >= MIN_TOKENS:
            marked[name] = MARK_WEIGHT * marks / tokens, count
    scored, is_read = _scored(code, marked, asked)
    if not scored:
        return None
    scored.sort(reverse=True)
    if is_read and not marked[scored[0][1]][1]:
        return asked  # nothing in it belongs to another language alone
    evidence, best, is_trusted = scored[0]
    for value, name, trusted in scored:
        if name == asked and trusted and value >= evidence - BENEFIT:
            return asked
    rivals = [entry for entry in scored[1:] if not _is_relative(entry[1], best)]
    is_clear = not rivals or evidence - rivals[0][0] >= MARGIN
    if not is_trusted or not is_clear:
        return None
    found = _simplest(best, scored)
    return asked if asked is not None and CONTAINED.get(found) == asked else found


def _scored(
    code: str, marked: Mapping[str, tuple[float, int]], asked: str | None
) -> tuple[list[tuple[float, str, bool]], bool]:
    """(evidence, language, whether that is to be trusted) of languages that may be it, and whether
    the asked one's grammar reads all.

    Reading code in every way that a language allows takes long. Left out is what loses to another
    however well it reads; and nothing more is read once the asked one has it for certain.
    """
    source = code.strip()
    least, most = {}, {}  # evidence
    for name, (evidence, _) in marked.items():
        unreadable = _unreadable(source, name)
        highest = UNCLEAN + _share_of(unreadable, source) if unreadable else 0.0
        lowest = CUT_OFF if unreadable and not _has_classes(name) else 0.0
        least[name], most[name] = evidence - highest, evidence - lowest
    scored = []
    is_read = False
    for name in sorted(marked, key=lambda name: (name != asked, -most[name])):
        if name != asked and most[name] < max(least.values()) - MARGIN:
            continue
        evidence, count = marked[name]
        cost = _reading_cost(code, name)
        is_trusted = cost <= MAX_COST or count >= MIN_MARKS
        least[name] = most[name] = evidence - cost
        scored.append((least[name], name, is_trusted))
        if name == asked:
            is_read = cost == 0
            if is_trusted and least[name] >= max(most.values()) - BENEFIT:
                break
    return scored, is_read


def _share_of(unreadable: int, source: str) -> float:
    return min(1.0, unreadable / len(source.encode("utf-8", "replace")))


def _is_long(program: Program | None) -> bool:
    return program is not None and len(program.tokens) >= MIN_TOKENS


def is_wrong_language(code: str, asked: str, candidates: Sequence[str] = CANDIDATES) -> bool:
    """Whether code is clearly in another language than the one asked for.

    Empty, unreadable and ambiguous answers are not: other figures count those.
    """
    return language_of(code, candidates, asked=asked) not in (None, get_language(asked).name)


def _is_relative(one: str, other: str) -> bool:
    return CONTAINED.get(one) == other or CONTAINED.get(other) == one


def _simplest(best: str, scored: Sequence[tuple[float, str, bool]]) -> str:
    """Of a language and one that it contains the contained one, where the lead is no decision."""
    evidence = {name: value for value, name, _ in scored}
    for small, large in CONTAINED.items():
        if large == best and evidence.get(small, -1.0) >= evidence[large] - MARGIN:
            return small
    return best


def _reading_cost(code: str, language: str) -> float:
    """How badly the grammar reads the code: 0 for perfectly, else the share of bytes it cannot
    read plus a fixed cost, a smaller one where only the end is missing.

    Tried: as it is, as members of a class, and without its last statement but with the open
    brackets closed (answers are cut off at a token limit).
    """
    source = code.strip()
    unreadable = _unreadable(source, language)
    if unreadable and _has_classes(language):
        unreadable = min(unreadable, _unreadable(_as_members(source, language), language))
    if not unreadable:
        return 0.0
    fixed = UNCLEAN
    by_lines = language in ("python", "ruby", "go")
    kept = source[: max(source.rfind(mark) for mark in ("\n" if by_lines else ";{}")) + 1]
    if len(kept) >= MIN_KEPT * len(source):
        closed = kept if language in ("python", "ruby") else kept + _closers(kept)
        texts = [closed]
        if _has_classes(language):
            texts.append(_as_members(closed, language))
        for text in texts:
            unreadable = min(unreadable, _unreadable(text, language) if unreadable else 0)
        fixed = UNCLEAN if unreadable else CUT_OFF
    return fixed + _share_of(unreadable, source)


def _has_classes(language: str) -> bool:
    return language in ("java", "javascript", "typescript", "cpp", "csharp", "php")


def _as_members(source: str, language: str) -> str:
    return "class C {\n" + source + "\n}" + ";" * (language == "cpp")


def _closers(source: str) -> str:
    """The closing brackets of all that are open at the end of the text."""
    open_brackets: list[str] = []
    for token in split_text(source):
        if token in CLOSERS:
            open_brackets.append(CLOSERS[token])
        elif open_brackets and token == open_brackets[-1]:
            open_brackets.pop()
    return "\n" + "".join(reversed(open_brackets))


def _unreadable(source: str, language: str) -> int:
    return count_unreadable(source_text(source, language), language)


@lru_cache(maxsize=64)
def _weights(names: tuple[str, ...], with_shared: bool) -> Mapping[str, Mapping[str, float]]:
    """language -> word -> what the word says for it.

    A mark or a keyword that no other candidate has says 1. One of k candidates' says 1/k where few
    words belong to one alone: among many candidates, and beside the language asked for.
    """
    words = {name: LANGUAGES[name].keywords | MARKS.get(name, frozenset()) for name in names}
    # Who contains a language does not take its words from it.
    shared = Counter(
        word
        for name in names
        for word in words[name]
        if not any(small in words and word in words[small] for small in _contained_in(name))
    )

    def weight(word: str, name: str) -> float:
        if shared[word] == 1 or (word in MARKS.get(name, ()) and not with_shared):
            return 1.0
        return 1 / shared[word] if with_shared and shared[word] <= MAX_SHARED else 0.0

    return {
        name: {word: value for word in words[name] if (value := weight(word, name))}
        for name in names
    }


def _contained_in(name: str) -> list[str]:
    return [small for small, large in CONTAINED.items() if large == name]


def _rough_marks(code: str, weights: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Evidence of the words alone, wherever they stand."""
    tokens = Counter(split_text(code))
    return {
        name: math.fsum(words[token] * tokens[token] for token in words.keys() & tokens.keys())
        for name, words in weights.items()
    }


def _count_marks(code: str, language: str, weights: Mapping[str, float]) -> tuple[float, int, int]:
    """(weight of marks, marks, tokens): keywords where they are keywords, and MARKS."""
    tree = without_comments(parse(source_text(code, language), language))
    names = MARKS.get(language, frozenset())
    keywords = LANGUAGES[language].keywords
    flags, words, cut = tree.grammar.flags, tree.grammar.words, tree.slice
    weight = 0.0
    count = tokens = 0
    for start, end, kind in leaves_and_literals(tree):
        if flags[kind] & STRING:
            tokens += 1
        elif start < end:
            tokens += 1
            word = words.get(kind)
            text = word or cut(start, end)
            found = weights.get(text)
            if found and (text in names or (word is not None and text in keywords)):
                weight += found
                count += found == 1
    return weight, count, tokens
