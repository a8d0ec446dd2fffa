"""How badly a grammar reads a text, found out in as few readings as the question takes."""

from collections.abc import Iterator

from codemoe.evaluate.codebleu.parsing import count_unreadable
from codemoe.evaluate.codebleu.source import source_text
from codemoe.evaluate.codebleu.tokens import split_text

UNCLEAN = 0.15  # cost of not reading all of the code
CUT_OFF = 0.05  # ... of reading all but a broken last statement
MIN_KEPT = 0.8  # share of an answer that must remain when its last, broken statement is dropped
CLOSERS = {"(": ")", "[": "]", "{": "}"}
_HAVE_CLASSES = ("java", "javascript", "typescript", "cpp", "csharp", "php")
_BY_LINES = ("python", "ruby", "go")


class Reading:
    """The cost is 0 for code that is read perfectly; else the share of bytes that cannot be read
    plus a fixed cost, a smaller one where only the end is missing.

    Tried: the text as it is, as members of a class, and without its last statement but with the
    open brackets closed (answers are cut off at a token limit). `lowest` and `highest` bound what
    all of that will give; `go_on` tries the next.
    """

    def __init__(
        self, code: str, language: str, unreadable: int | None = None, give_up: float = 1.0
    ) -> None:
        """`unreadable`: bytes that the grammar is known not to read in the text as it is. Where
        that is more than the share `give_up`, nothing else is tried."""
        self.source = code.strip()
        self.language = language
        self.give_up = give_up
        self.lowest, self.highest = 0.0, UNCLEAN + 1.0
        self._steps = self._readings(unreadable)

    @property
    def is_done(self) -> bool:
        return self.lowest == self.highest

    def go_on(self) -> None:
        """Read once more, where the cost is open."""
        self.lowest, self.highest = next(self._steps)

    def _readings(self, unreadable: int | None) -> Iterator[tuple[float, float]]:
        """Bounds after each reading."""
        if unreadable is None:
            unreadable = self._unreadable(self.source)
        lowest = 0.0
        if self._share_of(unreadable) <= self.give_up:
            for lowest, text in self._variants() if unreadable else ():
                yield lowest, UNCLEAN + self._share_of(unreadable)
                unreadable = min(unreadable, self._unreadable(text))
                if not unreadable:
                    break
        cost = UNCLEAN + self._share_of(unreadable) if unreadable else lowest
        yield cost, cost

    def _variants(self) -> Iterator[tuple[float, str]]:
        """Other texts to read, and the cost where one is read perfectly."""
        source, language = self.source, self.language
        has_classes = language in _HAVE_CLASSES
        if has_classes:
            yield 0.0, _as_members(source, language)
        marks = "\n" if language in _BY_LINES else ";{}"
        kept = source[: max(source.rfind(mark) for mark in marks) + 1]
        if len(kept) >= MIN_KEPT * len(source):
            closed = kept if language in ("python", "ruby") else kept + _closers(kept)
            yield CUT_OFF, closed
            if has_classes:
                yield CUT_OFF, _as_members(closed, language)

    def _unreadable(self, text: str) -> int:
        return count_unreadable(source_text(text, self.language), self.language)

    def _share_of(self, unreadable: int) -> float:
        return min(1.0, unreadable / len(self.source.encode("utf-8", "replace")))


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
