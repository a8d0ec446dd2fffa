"""The records of the built-in corpus: one Task is one semantics, written natively four times."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CORPUS_LANGUAGES = ("python", "java", "javascript", "cpp")

# Types of parameters and results. "ints" and "strs" are arrays (Java: int[], String[]); "intlist"
# and "strlist" are the growable lists that a result is collected in (Java: List<Integer>); both
# are the same thing in the other languages.
TYPES = ("int", "bool", "str", "ints", "strs", "intlist", "strlist", "grid")


@dataclass(frozen=True)
class Param:
    """One parameter and the domain its test inputs are drawn from.

    Scalars use `low..high`. Arrays hold `min_size..max_size` items of `low..high`. Strings are
    `min_size..max_size` letters of `alphabet`; arrays of strings hold 0 to 5 such strings. Grids
    are rectangular, `min_size..max_size` rows and columns (at least 1), square when `square`.
    `ascending` sorts an array.
    """

    name: str
    type: str
    low: int = -9
    high: int = 20
    min_size: int = 0
    max_size: int = 7
    alphabet: str = "abcdeABxyz"
    square: bool = False
    ascending: bool = False


@dataclass(frozen=True)
class Task:
    """One semantics.

    `bodies` maps each corpus language to the function's body (zero indentation, 4-space steps,
    `return` included); `helpers` to complete helper functions that stand before it (for Java as
    `static` methods). Imports and includes are inferred from what the text uses.
    `texts` are phrasings, each a title and its comments, in the style "title | comment ; comment".
    `solve` is the oracle that the tests are computed with; it never sees the programs.
    """

    family: str
    slug: str  # unique within the family: "even.square.sum"
    words: tuple[str, ...]  # the function's name: ("sum", "even", "squares")
    params: tuple[Param, ...]
    returns: str
    texts: tuple[tuple[str, tuple[str, ...]], ...]
    bodies: Mapping[str, str]
    solve: Callable[..., Any]
    helpers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def group(self) -> str:
        return f"{self.family}/{self.slug}"


@dataclass(frozen=True)
class Program:
    """A task in one language: what the prompt shows, the reference solution, and its tests."""

    language: str
    signature: str
    entry_point: str
    code: str
    tests: str
