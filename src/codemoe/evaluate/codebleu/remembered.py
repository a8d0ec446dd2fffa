"""Reading the same texts again and again."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from codemoe.evaluate.codebleu.parsing import Text

Program = TypeVar("Program")
MOST_CHARACTERS = 1 << 20  # of all texts that are kept


class Remembered(Generic[Program]):
    """A function of texts that keeps what the latest ones gave: models are compared, and problems
    answered many times, on the same references; and models that loop give many problems one
    answer."""

    def __init__(
        self, read: Callable[[Sequence[Text]], list[Program]], characters: int = MOST_CHARACTERS
    ) -> None:
        self.read = read
        self.most = characters
        self.characters = 0
        self.known: dict[Text, Program] = {}  # first the one that was asked for longest ago

    def __call__(self, texts: Sequence[Text]) -> list[Program]:
        known = self.known
        found = {text: known.pop(text) for text in dict.fromkeys(texts) if text in known}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found.update(zip(missing, self.read(missing), strict=True))
            self.characters += sum([len(code) for code, _ in missing])
        known.update(found)
        while self.characters > self.most:
            oldest = next(iter(known))
            self.characters -= len(oldest[0])
            del known[oldest]
        return [found[text] for text in texts]

    def forget(self) -> None:
        """Drop all that is kept."""
        self.known.clear()
        self.characters = 0
