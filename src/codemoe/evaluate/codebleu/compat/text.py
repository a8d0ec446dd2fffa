"""How the package cuts a token out of a text."""

from bisect import bisect_right
from collections.abc import Callable

from codemoe.evaluate.codebleu.tree import SyntaxTree


def package_texts(tree: SyntaxTree) -> Callable[[int, int], str]:
    """A function (start, end) -> token: cut by lines, without line ends, and with the
    columns of bytes used as columns of characters, so that text behind an `é` is shifted."""
    text = tree.text
    if text is not None:
        if "\n" not in text:
            return lambda start, end: text[start:end]
        return lambda start, end: text[start:end].replace("\n", "")
    source = tree.source
    lines = source.decode("utf-8", "replace").split("\n")
    if len(lines) == 1:
        (only,) = lines
        return lambda start, end: only[start:end]
    begins = [0]
    for line in source.split(b"\n"):
        begins.append(begins[-1] + len(line) + 1)

    def cut(start: int, end: int) -> str:
        first, last = _line_of(begins, start), _line_of(begins, end)
        if first == last:
            return lines[first][start - begins[first] : end - begins[first]]
        inner = lines[first + 1 : last]
        tail = lines[last][: end - begins[last]]
        return "".join([lines[first][start - begins[first] :], *inner, tail])

    return cut


def _line_of(begins: list[int], place: int) -> int:
    return bisect_right(begins, place, 0, len(begins) - 1) - 1
