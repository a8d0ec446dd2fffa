"""Code tokens: what the n-gram parts count, whatever the spacing."""

import re

from codemoe.evaluate.codebleu.grammar import UNPARSED
from codemoe.evaluate.codebleu.tree import SyntaxTree, docstrings

_TOKEN = re.compile(
    r"""[^\W\d]\w*                                  # a name
    |\d[\w.]*                                       # a number
    |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'        # a string
    |>>>=|===|!==|\*\*=|//=|<<=|>>=|>>>|\.\.\.
    |[-+*/%&|^=!<>]=|\+\+|--|&&|\|\||->|=>|::|<<|>>|\*\*|//
    |\S""",
    re.VERBOSE,
)


def split_text(text: str) -> list[str]:
    """Tokens of text that no grammar has read, by one regular expression."""
    return _TOKEN.findall(text)


def tokens_of(tree: SyntaxTree, whole: SyntaxTree) -> list[str]:
    """The code tokens of a tree without comments: its leaves, a string literal being one.

    So `a=b+1` and `a = b + 1` are the same five tokens. `whole` is the tree with its comments.
    Text that tree-sitter skipped is split by `split_text`, so no byte of an answer escapes.
    """
    if tree.has_error:
        return _with_skipped(tree, whole)
    words, cut, text = tree.grammar.words, tree.slice, tree.text
    leaves = zip(tree.starts, tree.ends, tree.leaf_kinds, strict=True)
    if text is None:
        tokens = [words.get(kind) or cut(start, end) for start, end, kind in leaves]
    else:
        tokens = [words.get(kind) or text[start:end] for start, end, kind in leaves]
    return _without_blanks(_joined(tree, tokens))


def _without_blanks(tokens: list[str]) -> list[str]:
    blank = {token for token in set(tokens) if not token or token.isspace()}
    return [token for token in tokens if token not in blank] if blank else tokens


def _joined(tree: SyntaxTree, tokens: list[str]) -> list[str]:
    """Leaves' tokens with those of each string literal in one, and unparsed text split."""
    leaf_at, after = tree.leaf_at, tree.after
    joined: list[str] = []
    done = 0  # leaves
    skip_to = 0
    for node in tree.nodes_of(tree.grammar.is_special):
        if node < skip_to:
            continue
        skip_to = after[node]
        joined += tokens[done : leaf_at[node]]
        done = leaf_at[skip_to]
        text = tree.text_of(node)
        is_unparsed = tree.grammar.flags[tree.kinds[node]] & UNPARSED
        joined += split_text(text) if is_unparsed else [text]
    joined += tokens[done:]
    return joined


def _with_skipped(tree: SyntaxTree, whole: SyntaxTree) -> list[str]:
    """Like `tokens_of` for code with errors: also what lies between the leaves."""
    flags, word_of, cut = tree.grammar.flags, tree.grammar.words.get, tree.slice
    text = tree.text
    tokens: list[str] = []
    add = tokens.append
    read_to = 0  # every byte before this one is a token, a comment or white space
    for start, end, kind in _spans(tree, whole):
        if start != read_to:
            if start < read_to:
                continue
            gap = cut(read_to, start) if text is None else text[read_to:start]
            if not gap.isspace():
                tokens += split_text(gap)
        if start == end:
            read_to = end
            continue
        read_to = end
        token = word_of(kind)
        if not token:
            if kind < 0:
                continue
            token = cut(start, end) if text is None else text[start:end]
            if flags[kind] & UNPARSED:
                tokens += split_text(token)
                continue
        add(token)
    tokens += split_text(cut(read_to, len(tree.source)))
    return _without_blanks(tokens)


def leaves_and_literals(tree: SyntaxTree) -> list[tuple[int, int, int]]:
    """(start, end, kind) of all leaves, in order; those of a string literal are one."""
    leaf_at, after = tree.leaf_at, tree.after
    spans = list(zip(tree.starts, tree.ends, tree.leaf_kinds, strict=True))
    literals = [node for node in tree.nodes_of(tree.grammar.is_string) if after[node] > node + 1]
    if not literals:
        return spans
    leaves, spans = spans, []
    done = 0  # leaves
    skip_to = 0
    for node in literals:
        if node >= skip_to:
            skip_to = after[node]
            spans += leaves[done : leaf_at[node]]
            spans.append((*tree.span(node), tree.kinds[node]))
            done = leaf_at[skip_to]
    return spans + leaves[done:]


def _spans(tree: SyntaxTree, whole: SyntaxTree) -> list[tuple[int, int, int]]:
    """`leaves_and_literals`, and (kind -1) what is no code."""
    spans = leaves_and_literals(tree)
    if whole is not tree:
        comments = [
            node
            for node in whole.nodes_of(whole.grammar.is_comment)
            if whole.after[node] == node + 1
        ]
        if tree.grammar.language == "python":
            comments += docstrings(whole)
        spans += [(*whole.span(node), -1) for node in comments]
        spans.sort()
    return spans
