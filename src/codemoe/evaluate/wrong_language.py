"""Which language a piece of code is in, to count answers in another language than the one asked.

Every candidate grammar parses the code; what it could not read counts against the language, words
that only this language uses count for it. Code that fits two languages alike (`x = 1`), prose and
number strings are nobody's: None. Deterministic; a few milliseconds per answer.
"""

from collections.abc import Sequence

from codemoe.evaluate.codebleu.tree import Node, read_tree, split_text
from codemoe.languages import LANGUAGES, get_language, get_parser

CANDIDATES = ("python", "java", "javascript", "cpp")

# Names and operators that say which language this is, beside the keywords that only one has.
_MARKS = {
    "python": "self __init__ __name__ elif None True False len",
    "java": "String System Integer ArrayList HashMap HashSet List StringBuilder Arrays "
    "Collections boolean Long Character Override",
    "javascript": "=== !== => console undefined prototype document module exports require",
    "cpp": "std :: #include #define vector cout cin endl size_t push_back "
    "unordered_map unordered_set uint32_t uint64_t int64_t",
}
MARKS = {language: frozenset(words.split()) for language, words in _MARKS.items()}

MARK_WEIGHT = 3.0  # a share of 10 % marks outweighs 30 % of unreadable text
UNCLEAN = 0.15  # cost of not reading all of the code
CUT_OFF = 0.05  # ... of reading all but a broken last statement
MARGIN = 0.03  # a smaller lead over the next language is no decision
MAX_COST = 0.25  # above it only marks can speak for a language
MIN_MARKS = 3  # ... and how many must
MIN_KEPT = 0.8  # share of an answer that must remain when its last, broken statement is dropped
MIN_TOKENS = 4  # shorter text says nothing
CLOSERS = {"(": ")", "[": "]", "{": "}"}


def language_of(code: str, candidates: Sequence[str] = CANDIDATES) -> str | None:
    """The language of a program or snippet, or None when it is unsure.

    Raises UserError for an unknown candidate or one without its grammar installed.
    """
    names = [get_language(name).name for name in candidates]
    scored = []
    for name in names:
        marks, tokens = _count_marks(code, name, names)
        if tokens < MIN_TOKENS:
            continue
        cost = _reading_cost(code, name)
        is_trusted = cost <= MAX_COST or marks >= MIN_MARKS
        scored.append((MARK_WEIGHT * marks / tokens - cost, name, is_trusted))
    if not scored:
        return None
    scored.sort(reverse=True)
    evidence, best, is_trusted = scored[0]
    is_clear = len(scored) == 1 or evidence - scored[1][0] >= MARGIN
    return best if is_trusted and is_clear else None


def is_wrong_language(code: str, asked: str, candidates: Sequence[str] = CANDIDATES) -> bool:
    """Whether code is clearly in another language than the one asked for.

    Empty, unreadable and ambiguous answers are not: other figures count those.
    """
    asked = get_language(asked).name
    found = language_of(code, tuple(dict.fromkeys((*candidates, asked))))
    return found is not None and found != asked


def _reading_cost(code: str, language: str) -> float:
    """How badly the grammar reads the code: 0 for perfectly, else the share of bytes it cannot
    read plus a fixed cost, a smaller one where only the end is missing.

    Tried: as it is, as members of a class, and without its last statement but with the open
    brackets closed (answers are cut off at a token limit).
    """
    source = code.strip()
    is_python = language == "python"
    texts = [source] if is_python else [source, _as_members(source, language)]
    unreadable = min(_unreadable_bytes(text, language) for text in texts)
    if not unreadable:
        return 0.0
    fixed = UNCLEAN
    kept = source[: max(source.rfind(mark) for mark in ("\n" if is_python else ";{}")) + 1]
    if len(kept) >= MIN_KEPT * len(source):
        closed = kept if is_python else kept + _closers(kept)
        texts = [closed] if is_python else [closed, _as_members(closed, language)]
        unreadable = min(unreadable, *(_unreadable_bytes(text, language) for text in texts))
        fixed = UNCLEAN if unreadable else CUT_OFF
    return fixed + min(1.0, unreadable / len(source.encode("utf-8", "replace")))


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


def _unreadable_bytes(source: str, language: str) -> int:
    """Bytes directly in ERROR nodes, one at least for each; a token the parser made up is one.

    What parses inside an ERROR (all of a program whose last brace is missing) is readable.
    """
    total = 0
    pending = [get_parser(language).parse(source.encode("utf-8", "replace")).root_node]
    while pending:
        node = pending.pop()
        if node.is_missing:
            total += 1
        elif node.type == "ERROR":
            read = 0
            for child in node.children:
                if child.child_count or "comment" in child.type:
                    read += child.end_byte - child.start_byte
                    if child.has_error:
                        pending.append(child)
            total += max(1, node.end_byte - node.start_byte - read)
        elif node.has_error:
            pending.extend(node.children)
    return total


def _count_marks(code: str, language: str, among: Sequence[str]) -> tuple[int, int]:
    """(marks, tokens): keywords no other candidate has, where they are keywords, and MARKS."""
    tree = read_tree(code, language)
    others = [LANGUAGES[name].keywords for name in among if name != language]
    own = LANGUAGES[language].keywords.difference(*others)
    words = MARKS.get(language, frozenset())

    def is_mark(node: Node) -> bool:
        return not node.children and (node.text in words or (not node.named and node.text in own))

    return sum(map(is_mark, tree.nodes)), len(tree.tokens)
