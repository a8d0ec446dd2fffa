"""From texts to flat trees.

Several texts at once take less time than one after the other: tree-sitter's tables and Python's
walk then take turns in the processor's caches less often.
"""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from codemoe.evaluate.codebleu.grammar import COMMENT, Grammar, grammar_of
from codemoe.evaluate.codebleu.tree import SyntaxTree, unreadable_bytes
from codemoe.languages import parse_in_steps

if TYPE_CHECKING:
    import tree_sitter

Text = tuple[str, str]  # code, language (canonical name)
Parts = Sequence[tuple[int, "tree_sitter.Tree"]]  # first byte, what was read from there on

# Error recovery takes time quadratic in the text, and some grammars try every reading of `a<a<a<`,
# or never end. Text longer than a part is parsed whole only where each part of it reads well, and
# any text only where that takes few enough steps; else in blocks.
PART_BYTES = 4_096
WHOLE_BYTES = 262_144
BLOCK_BYTES = 512
SHORT_BLOCK_BYTES = 128  # after a block that took this many checks, twice what code takes
SLOW_BLOCK_CHECKS = 20
MAX_UNREADABLE = 0.3  # share of a part, whose ends may be in the middle of a statement
MAX_LESS = 100  # signs in a row with one name at most between two of them
_ONE_NAME = re.compile(rb"\s*+[\w.]*+\s*+")
# Trees are kept while a text may be read for another purpose: the newest one, and others while
# all their texts are no longer than this.
RECENT_CHARACTERS = 131_072
_recent: dict[Text, SyntaxTree] = {}


def parse(code: str, language: str) -> SyntaxTree:
    """Parse any text; never fails on bad code (what cannot be parsed becomes ERROR nodes)."""
    return parse_all([(code, language)])[0]


def parse_all(texts: Sequence[Text]) -> list[SyntaxTree]:
    """Like `parse`, for several texts."""
    found = {text: tree for text in texts if (tree := _recent.get(text)) is not None}
    missing = [text for text in dict.fromkeys(texts) if text not in found]
    parsed = []
    for code, language in missing:
        grammar = grammar_of(language)
        source = code.encode("utf-8", "replace")
        parsed.append((grammar, source, _parts(source, grammar)))
    for text, (grammar, source, parts) in zip(missing, parsed, strict=True):
        found[text] = _recent[text] = _tree(grammar, source, parts)
    characters = sum([len(code) for code, _ in _recent])
    while characters > RECENT_CHARACTERS and len(_recent) > 1:
        oldest = next(iter(_recent))
        characters -= len(oldest[0])
        del _recent[oldest]
    return [found[text] for text in texts]


def known_tree(text: Text) -> SyntaxTree | None:
    """The tree of a text that was parsed a moment ago."""
    return _recent.get(text)


def count_unreadable(code: str, language: str) -> int:
    """`unreadable_bytes` of a text, without making its flat tree where that is not needed."""
    known = _recent.get((code, language))
    if known is None:
        grammar = grammar_of(language)
        source = code.encode("utf-8", "replace")
        parsed = parse_in_steps(grammar.parser, source)[0] if len(source) <= PART_BYTES else None
        if parsed is not None:
            root = parsed.root_node
            return _unreadable_in(root, grammar) if root.has_error else 0
        known = parse(code, language)
    return unreadable_bytes(known)


def _unreadable_in(root: "tree_sitter.Node", grammar: Grammar) -> int:
    total = 0
    pending = [root]
    while pending:
        node = pending.pop()
        children = node.children
        total += node.is_missing
        if node.is_error:
            size = _width(node)
            for child in children:
                if child.child_count or grammar.flags[child.kind_id] & COMMENT:
                    size -= _width(child)
            total += max(1, size)
        # A single character that could not be read has no error inside.
        pending += [child for child in children if child.has_error or child.is_error]
    return total


def _width(node: "tree_sitter.Node") -> int:
    """Bytes from the first leaf to the last."""
    first = last = node
    while first.child_count:
        first = first.children[0]
    while last.child_count:
        last = last.children[-1]
    return last.end_byte - first.start_byte


def _tree(grammar: Grammar, source: bytes, parts: Parts) -> SyntaxTree:
    lists = _Lists()
    for start, parsed in parts:
        lists.add(parsed, start)
    return lists.tree(grammar, source)


def _parts(source: bytes, grammar: Grammar) -> Parts:
    """The text parsed: whole, or in short blocks."""
    if len(source) <= PART_BYTES or _may_be_read_whole(source, grammar):
        whole, _ = parse_in_steps(grammar.parser, source)
        if whole is not None:
            return [(0, whole)]
    return list(_blocks(source, grammar))


def _may_be_read_whole(source: bytes, grammar: Grammar) -> bool:
    if len(source) > WHOLE_BYTES or _is_ambiguous(source):
        return False
    return all(_reads_well(grammar, source[a:b]) for a, b in _cut(source, PART_BYTES))


def _reads_well(grammar: Grammar, part: bytes) -> bool:
    parsed, _ = parse_in_steps(grammar.parser, part)
    if parsed is None:
        return False
    return _unreadable_in(parsed.root_node, grammar) <= MAX_UNREADABLE * len(part)


def _blocks(source: bytes, grammar: Grammar) -> Iterator[tuple[int, "tree_sitter.Tree"]]:
    """Short parts, shorter ones where the grammar gets lost in them."""
    start, size = 0, BLOCK_BYTES
    # An answer that loops until its token limit repeats its blocks, too.
    known: dict[bytes, tuple[tree_sitter.Tree | None, int]] = {}
    while start < len(source):
        end = _end_of_part(source, start, size)
        block = source[start:end]
        if block not in known:
            known[block] = parse_in_steps(grammar.parser, block)
        parsed, checks = known[block]
        if parsed is None and end - start > 1:
            size = (end - start) // 2
            continue
        assert parsed is not None, "one byte takes a few steps"
        yield start, parsed
        is_slow = checks * BLOCK_BYTES > SLOW_BLOCK_CHECKS * (end - start)
        size = SHORT_BLOCK_BYTES if is_slow else BLOCK_BYTES
        start = end


def _cut(source: bytes, size: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(source):
        end = _end_of_part(source, start, size)
        yield start, end
        start = end


def _end_of_part(source: bytes, start: int, size: int) -> int:
    """At most that many bytes on, behind a line or a word where there is one."""
    end = start + size
    if end >= len(source):
        return len(source)
    cut = max(source.rfind(b"\n", start, end), source.rfind(b" ", start, end))
    return cut + 1 if cut > start else end


def _is_ambiguous(source: bytes) -> bool:
    """Whether a text reads on and on like `a<b<c<`; in time linear in its length."""
    if source.count(b"<") < MAX_LESS:
        return False
    row = 1
    for between in source.split(b"<")[1:-1]:
        row = row + 1 if _ONE_NAME.fullmatch(between) else 1
        if row == MAX_LESS:
            return True
    return False


class _Lists:
    """The lists of a tree while they grow."""

    def __init__(self) -> None:
        self.kinds: list[int] = []
        self.fields = bytearray()
        self.after: list[int] = []
        self.parents: list[int] = []
        self.leaf_at: list[int] = []
        self.leaves: list[int] = []
        self.leaf_kinds: list[int] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.inner: list[int] = []
        self.empty: list[int] = []
        self.has_error = False
        self.missing: set[int] = set()

    def add(self, parsed: "tree_sitter.Tree", offset: int) -> None:
        """Append the nodes of one parsed text that begins `offset` bytes into the whole."""
        has_error = parsed.root_node.has_error
        self.has_error |= has_error
        cursor = parsed.walk()
        down, right, up = cursor.goto_first_child, cursor.goto_next_sibling, cursor.goto_parent
        add_kind, add_field, add_parent = self.kinds.append, self.fields.append, self.parents.append
        add_start, add_end, add_after = self.starts.append, self.ends.append, self.after.append
        add_leaf, add_inner, add_leaf_at = (
            self.leaves.append,
            self.inner.append,
            self.leaf_at.append,
        )
        add_leaf_kind = self.leaf_kinds.append
        after = self.after
        opened: list[int] = []
        parent = 0
        at, leaf = len(self.kinds), len(self.leaves)
        while True:
            node = cursor.node
            assert node is not None
            kind = node.kind_id
            add_kind(kind)
            add_field(cursor.field_id or 0)
            add_parent(parent)
            add_leaf_at(leaf)
            if down():
                opened.append(at)
                add_inner(at)
                add_after(0)
                parent = at
                at += 1
                continue
            start, end = node.start_byte, node.end_byte
            if start == end:
                self.empty.append(leaf)
                if has_error and node.is_missing:
                    self.missing.add(at)
            add_leaf(at)
            add_leaf_kind(kind)
            if offset:
                start += offset
                end += offset
            add_start(start)
            add_end(end)
            leaf += 1
            at += 1
            add_after(at)
            while not right():
                if not up():
                    return
                after[opened.pop()] = at
                parent = opened[-1] if opened else 0

    def tree(self, grammar: Grammar, source: bytes) -> SyntaxTree:
        self.after[0] = len(self.kinds)  # the first text's root holds all
        if len(self.kinds) > 1 and self.leaves[0] == 0:  # ... even where it had nothing inside
            self.inner.insert(0, 0)
            for row in (self.leaves, self.leaf_kinds, self.starts, self.ends):
                del row[0]
            self.leaf_at[1:] = [leaf - 1 for leaf in self.leaf_at[1:]]
            self.empty = [leaf - 1 for leaf in self.empty if leaf]
        self.leaf_at.append(len(self.leaves))
        return SyntaxTree(
            grammar,
            source,
            source.decode("ascii") if source.isascii() else None,
            self.kinds,
            np.fromiter(self.kinds, np.uint16, len(self.kinds)),
            self.fields,
            self.after,
            self.parents,
            self.leaf_at,
            self.leaves,
            self.leaf_kinds,
            self.starts,
            self.ends,
            self.inner,
            self.empty,
            self.has_error,
            frozenset(self.missing),
        )
