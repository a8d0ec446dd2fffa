"""Reading the same texts again and again."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from codemoe.evaluate.codebleu.parsing import Text

Program = TypeVar("Program")


class Remembered(Generic[Program]):
    """A function of texts that keeps what the latest ones gave: models are compared, and problems
    answered many times, on the same references."""

    def __init__(self, read: Callable[[Sequence[Text]], list[Program]], most: int = 1024) -> None:
        self.read = read
        self.most = most
        self.known: dict[Text, Program] = {}  # the longest unused one first

    def __call__(self, texts: Sequence[Text]) -> list[Program]:
        known = self.known
        found = {text: known.pop(text) for text in dict.fromkeys(texts) if text in known}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        found.update(zip(missing, self.read(missing), strict=True))
        known.update(found)
        while len(known) > self.most:
            del known[next(iter(known))]
        return [found[text] for text in texts]
