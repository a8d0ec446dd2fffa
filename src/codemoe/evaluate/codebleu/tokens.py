"""Code tokens: what the n-gram parts count, whatever the spacing."""

import re
from bisect import bisect_left

from codemoe.evaluate.codebleu.grammar import COMMENT, STRING, UNPARSED
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
    words, kinds, leaves = tree.grammar.words, tree.kinds, tree.leaves
    starts, ends, cut = tree.starts, tree.ends, tree.slice
    if tree.text is None:
        tokens = [words.get(kinds[i]) or cut(starts[i], ends[i]) for i in leaves]
    else:
        text = tree.text
        tokens = [words.get(kinds[i]) or text[starts[i] : ends[i]] for i in leaves]
    tokens = _joined(tree, tokens)
    blank = {token for token in set(tokens) if not token or token.isspace()}
    return [token for token in tokens if token not in blank] if blank else tokens


def _joined(tree: SyntaxTree, tokens: list[str]) -> list[str]:
    """Leaves' tokens with those of each string literal in one, and unparsed text split."""
    special, kinds, leaves, after = tree.grammar.special, tree.kinds, tree.leaves, tree.after
    joined: list[str] = []
    done = 0  # leaves
    skip_to = 0
    for node in [node for node, kind in enumerate(kinds) if kind in special]:
        if node < skip_to:
            continue
        skip_to = after[node]
        low, high = bisect_left(leaves, node, done), bisect_left(leaves, skip_to, done)
        joined += tokens[done:low]
        text = tree.text_of(node)
        joined += split_text(text) if tree.grammar.flags[kinds[node]] & UNPARSED else [text]
        done = high
    joined += tokens[done:]
    return joined


def _with_skipped(tree: SyntaxTree, whole: SyntaxTree) -> list[str]:
    """Like `tokens_of` for code with errors: also what lies between the leaves."""
    flags, words = tree.grammar.flags, tree.grammar.words
    spans = [  # (start, end, kind) of tokens and of what is no code
        (whole.starts[node], whole.ends[node], -1)
        for node, kind in enumerate(whole.kinds)
        if flags[kind] & COMMENT and whole.after[node] == node + 1
    ]
    if whole is not tree and tree.grammar.language == "python":
        for node in docstrings(whole):
            spans.append((whole.starts[node + 2], whole.ends[whole.after[node] - 1], -1))
    skip_to = 0
    for node, kind in enumerate(tree.kinds):
        if node < skip_to:
            continue
        if flags[kind] & STRING or tree.after[node] == node + 1:
            skip_to = tree.after[node]
            first = node
            while tree.after[first] > first + 1:
                first += 1
            spans.append((tree.starts[first], tree.ends[skip_to - 1], kind))
    tokens: list[str] = []
    cut = tree.slice
    read_to = 0  # every byte before this one is a token, a comment or white space
    for start, end, kind in sorted(spans):
        if start < read_to:
            continue
        if start > read_to:
            gap = cut(read_to, start)
            if not gap.isspace():
                tokens += split_text(gap)
        read_to = end
        if kind < 0 or start == end:
            continue
        if flags[kind] & UNPARSED:
            tokens += split_text(tree.slice(start, end))
        else:
            tokens.append(words.get(kind) or cut(start, end))
    tokens += split_text(tree.slice(read_to, len(tree.source)))
    return [token for token in tokens if not token.isspace()]
