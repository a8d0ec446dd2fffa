"""The record that every suite format is read into, and how a completion becomes a program."""

from collections.abc import Callable
from dataclasses import dataclass

from codemoe.evaluate.suites.braces import count_open, find_closer

# Languages whose blocks are braces, so that the end of a function can be seen.
BRACED = frozenset({"java", "javascript", "typescript", "cpp", "c", "csharp", "go", "php", "rust"})


def continue_prompt(problem: "Problem", completion: str) -> str:
    """The program of most formats."""
    return problem.prompt + cut_before_tests(problem, completion)


def cut_before_tests(problem: "Problem", completion: str) -> str:
    """A completion without the closing brace that the tests bring along, and what follows it."""
    if not problem.tests_close:
        return completion
    closer = find_closer(completion, problem.language)
    return completion if closer is None else completion[:closer]


@dataclass(frozen=True)
class Problem:
    """One problem of a suite; `language` is a canonical name.

    `prompt` is code that a completion continues (empty where a whole program is asked for), `tests`
    are run after the program, `solution` is a completion that should pass.
    """

    id: str
    language: str
    prompt: str
    tests: str
    solution: str | None
    entry_point: str | None
    task: str = ""  # the task in words, where the format gives it apart from the prompt
    stop: tuple[str, ...] = ()  # text that ends a completion; it is not part of it
    suite_format: str = "native"
    assemble: "Callable[[Problem, str], str]" = continue_prompt

    def program(self, completion: str) -> str:
        """What is run, with `tests` after it."""
        return self.assemble(self, completion)

    @property
    def tests_close(self) -> bool:
        """Whether the tests begin with the brace that ends the function (as MultiPL-E's do)."""
        return self.language in BRACED and self.tests.lstrip().startswith("}")

    @property
    def open_braces(self) -> int:
        """Blocks that the prompt opens and leaves open: 1 for a function, 2 inside of a class."""
        return count_open(self.prompt, self.language) if self.language in BRACED else 0
