"""A syntax tree as flat lists, made in one walk: what Python can go through quickly.

Node i of a tree has kind `kinds[i]` (a number of its grammar) and field `fields[i]` (its role in
its parent, None for none). Nodes stand in source order, parents before children: the inside of
node i is `range(i + 1, after[i])`, its first child is i + 1, and the sibling after child c is
`after[c]`. Leaves have `after[i] == i + 1` and their bytes `starts[i]` to `ends[i]`; inner nodes
begin with their first leaf and end with their last.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from codemoe.evaluate.codebleu.grammar import COMMENT, ERROR, STRING, Grammar, grammar_of

# Error recovery takes time quadratic in the text, and some grammars try every reading of `a<a<a<`.
# Longer text is parsed whole only where its first part reads well; the rest of it in blocks.
PROBE_BYTES = 16_384
WHOLE_BYTES = 262_144
BLOCK_BYTES = 4_096
MAX_UNREADABLE = 0.25
_AMBIGUOUS = re.compile(rb"(?:[\w.]*\s*<\s*){100}")


@dataclass(frozen=True, slots=True, eq=False)
class SyntaxTree:
    """The lists of the module's docstring. Never changed after they are made."""

    grammar: Grammar
    source: bytes
    text: str | None  # the same, where a byte is a character; else None
    kinds: list[int]
    fields: list[int | None]
    starts: list[int]
    ends: list[int]
    after: list[int]
    parents: list[int]  # of the root: 0
    leaves: list[int]
    has_error: bool
    missing: frozenset[int]  # leaves of no width that the parser made up

    def slice(self, start: int, end: int) -> str:
        if self.text is not None:
            return self.text[start:end]
        return self.source[start:end].decode("utf-8", "replace")

    def text_of(self, node: int) -> str:
        """The source of a node, from its first leaf to its last."""
        first = node
        while self.after[first] > first + 1:
            first += 1
        return self.slice(self.starts[first], self.ends[self.after[node] - 1])


@lru_cache(maxsize=4)  # one text is often read for two purposes, one right after the other
def parse(code: str, language: str) -> SyntaxTree:
    """Parse any text; never fails on bad code (what cannot be parsed becomes ERROR nodes)."""
    return parse_bytes(code.encode("utf-8", "replace"), language)


def parse_bytes(source: bytes, language: str) -> SyntaxTree:
    """Like `parse`, for text that is encoded already."""
    grammar = grammar_of(language)
    lists = _Lists()
    for start, end in _blocks(source, grammar):
        lists.add(source[start:end], start, grammar)
    return lists.tree(grammar, source)


def _blocks(source: bytes, grammar: Grammar) -> list[tuple[int, int]]:
    """Where to cut the text: nowhere, or at line ends every few kilobytes."""
    if len(source) <= PROBE_BYTES // 8:
        return [(0, len(source))]
    reads_well = len(source) <= WHOLE_BYTES and not _AMBIGUOUS.search(source)
    if reads_well and len(source) > PROBE_BYTES:
        lists = _Lists()
        lists.add(source[:PROBE_BYTES], 0, grammar)
        probe = lists.tree(grammar, source)
        reads_well = unreadable_bytes(probe) <= MAX_UNREADABLE * PROBE_BYTES
    if reads_well:
        return [(0, len(source))]
    blocks = []
    start = 0
    while start < len(source):
        end = start + BLOCK_BYTES
        if end < len(source):
            cut = max(source.rfind(b"\n", start, end), source.rfind(b" ", start, end))
            end = cut + 1 if cut > start else end
        blocks.append((start, min(end, len(source))))
        start = end
    return blocks


class _Lists:
    """The lists of a tree while they grow."""

    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.fields: list[int | None] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.after: list[int] = []
        self.parents: list[int] = []
        self.leaves: list[int] = []
        self.has_error = False
        self.missing: set[int] = set()

    def add(self, source: bytes, offset: int, grammar: Grammar) -> None:
        """Append the nodes of one parsed text that begins `offset` bytes into the whole."""
        parsed = grammar.parser.parse(source)
        assert parsed is not None
        self.has_error |= parsed.root_node.has_error
        cursor = parsed.walk()
        kinds, fields, after, parents = self.kinds, self.fields, self.after, self.parents
        starts, ends, leaves = self.starts, self.ends, self.leaves
        down, right, up = cursor.goto_first_child, cursor.goto_next_sibling, cursor.goto_parent
        opened: list[int] = []
        parent = 0
        count = len(kinds)
        while True:
            node = cursor.node
            assert node is not None
            kinds.append(node.kind_id)
            fields.append(cursor.field_id)
            parents.append(parent)
            if down():
                opened.append(count)
                parent = count
                count += 1
                starts.append(0)
                ends.append(0)
                after.append(0)
                continue
            start = node.start_byte + offset
            end = node.end_byte + offset
            if start == end and node.is_missing:
                self.missing.add(count)
            leaves.append(count)
            count += 1
            starts.append(start)
            ends.append(end)
            after.append(count)
            while not right():
                if not up():
                    return
                after[opened.pop()] = count
                parent = opened[-1] if opened else 0

    def tree(self, grammar: Grammar, source: bytes) -> SyntaxTree:
        self.after[0] = len(self.kinds)  # the first text's root holds all
        return SyntaxTree(
            grammar,
            source,
            source.decode("ascii") if source.isascii() else None,
            self.kinds,
            self.fields,
            self.starts,
            self.ends,
            self.after,
            self.parents,
            self.leaves,
            self.has_error,
            frozenset(self.missing),
        )


def without_comments(tree: SyntaxTree) -> SyntaxTree:
    """The tree without comments and documentation strings; itself where it has none."""
    flags, kinds, after = tree.grammar.flags, tree.kinds, tree.after
    dropped = [node for node, kind in enumerate(kinds) if flags[kind] & COMMENT]
    if tree.grammar.language == "python":
        dropped = sorted({*dropped, *docstrings(tree)})
    if not dropped:
        return tree
    kept: list[int] = []
    at = 0
    for node in dropped:
        if node >= at:
            kept.extend(range(at, node))
            at = after[node]
    kept.extend(range(at, len(kinds)))
    place = {old: new for new, old in enumerate(kept)}
    # The node after a subtree is the first one kept from there on.
    place[len(kinds)] = following = len(kept)
    next_kept = [0] * (len(kinds) + 1)
    for node in range(len(kinds), -1, -1):
        following = place.get(node, following)
        next_kept[node] = following
    return SyntaxTree(
        tree.grammar,
        tree.source,
        tree.text,
        [kinds[node] for node in kept],
        [tree.fields[node] for node in kept],
        [tree.starts[node] for node in kept],
        [tree.ends[node] for node in kept],
        [next_kept[after[node]] for node in kept],
        [place[tree.parents[node]] for node in kept],
        [place[node] for node in tree.leaves if node in place],
        tree.has_error,
        frozenset(place[node] for node in tree.missing if node in place),
    )


def docstrings(tree: SyntaxTree) -> list[int]:
    """Statements that are nothing but a string literal."""
    (statement,) = tree.grammar.kinds(["expression_statement"])
    after, kinds, flags = tree.after, tree.kinds, tree.grammar.flags
    return [
        node
        for node, kind in enumerate(kinds)
        if kind == statement
        and after[node] > node + 1
        and flags[kinds[node + 1]] & STRING
        and after[node + 1] == after[node]
    ]


def unreadable_bytes(tree: SyntaxTree) -> int:
    """Bytes directly in ERROR nodes, one at least for each; a token the parser made up is one.

    What parses inside an ERROR (all of a program whose last brace is missing) is readable.
    """
    if ERROR not in tree.kinds:
        return len(tree.missing)
    flags, after, starts, ends = tree.grammar.flags, tree.after, tree.starts, tree.ends
    total = len(tree.missing)
    for node, kind in enumerate(tree.kinds):
        if kind != ERROR:
            continue
        first = node
        while after[first] > first + 1:
            first += 1
        size = ends[after[node] - 1] - starts[first]
        child = node + 1
        while child < after[node]:
            if after[child] > child + 1 or flags[tree.kinds[child]] & COMMENT:
                first = child
                while after[first] > first + 1:
                    first += 1
                size -= ends[after[child] - 1] - starts[first]
            child = after[child]
        total += max(1, size)
    return total
