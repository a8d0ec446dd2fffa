"""The rules and questions that the family simulation composes, in English and in code."""

from collections.abc import Callable
from dataclasses import dataclass

from codemoe.data.corpus.sequence_vocabulary import predicate

QUESTIONS = ("final", "highest", "count", "list")


@dataclass(frozen=True)
class Step:
    key: str
    words: tuple[str, ...]
    verbs: tuple[str, str]  # "While n is above limit {}"
    python: str  # an assignment
    java: str
    value: str  # the new value in Java and C++
    apply: Callable[[int], int]

    def new_value(self, language: str, exact: bool = False) -> str:
        """The new value; `exact` says that a division leaves no remainder."""
        if language == "javascript" and "/" in self.value and not exact:
            return f"Math.floor({self.value})"
        return self.value.replace("/", "//") if language == "python" else self.value

    def assign(self, language: str) -> str:
        return self.python if language == "python" else self.java


DOWN = (
    Step("half", ("half",), ("halve n", "divide n by 2 rounding down"), "n //= 2", "n /= 2;",
         "n / 2", lambda n: n // 2),
    Step("third", ("third",), ("divide n by 3 rounding down", "take n / 3 rounded down"),
         "n //= 3", "n /= 3;", "n / 3", lambda n: n // 3),
    Step("minus3", ("minus", "three"), ("subtract 3 from n", "decrease n by 3"),
         "n -= 3", "n -= 3;", "n - 3", lambda n: n - 3),
)  # fmt: skip

OTHER = (
    Step("minus1", ("minus", "one"), ("subtract 1 from n", "decrease n by 1"),
         "n -= 1", "n--;", "n - 1", lambda n: n - 1),
    Step("plus1", ("plus", "one"), ("add 1 to n", "increase n by 1"),
         "n += 1", "n++;", "n + 1", lambda n: n + 1),
    Step("minus2", ("minus", "two"), ("subtract 2 from n", "decrease n by 2"),
         "n -= 2", "n -= 2;", "n - 2", lambda n: n - 2),
    Step("plus3", ("plus", "three"), ("add 3 to n", "increase n by 3"),
         "n += 3", "n += 3;", "n + 3", lambda n: n + 3),
)  # fmt: skip

WHEN = tuple(predicate(key) for key in ("even", "odd", "multiple3", "above10"))

WHEN_WORDS = {"even": ("even",), "odd": ("odd",), "multiple3": ("threefold",),
               "above10": ("above", "ten")}  # fmt: skip

EXACT = {("even", "half"), ("multiple3", "third")}

SHRINK_TITLES = {
    "final": ("First value of n that is not above limit", "Value of n once it is at most limit",
              "Final value of n when it has come down to limit"),
    "highest": ("Highest value of n including its start",
                "Largest value that n has including its start",
                "Maximum of n and all its later values"),
    "count": ("Count of steps until n is at most limit",
              "Number of steps before n is at most limit", "Count the steps of n down to limit"),
    "list": ("List of values of n after each step until it is at most limit",
             "Collect n after each step until it is at most limit",
             "All values of n after each step down to limit"),
}  # fmt: skip


@dataclass(frozen=True)
class Moves:
    letters: str  # up and down
    up: int
    down: int


MOVES = (Moves("RL", 1, 1), Moves("UD", 2, 1), Moves("FB", 1, 2), Moves("IO", 3, 2))

BORDERS = {
    "free": (("free",), ("The position may be any number", "There is no bound")),
    "floor": (("floor", "zero"), ("The position never falls below 0", "A move below 0 stops at 0")),
    "cap": (("cap", "two"),
            ("The position never rises above 2", "A move above 2 stops at 2")),
    "circle": (("circle", "five"),
               ("The positions are a circle from 0 to 4", "After 4 comes 0 and before 0 comes 4")),
}  # fmt: skip

WALK_TITLES = {
    "final": ("Final position of a walk from 0", "Position after a walk that starts at 0",
              "Where a walk from 0 ends"),
    "highest": ("Highest position including the start of a walk from 0",
                "Largest position including the start of a walk from 0",
                "Maximum of 0 and the positions of a walk from 0"),
    "count": ("Count of commands after which a walk from 0 is at 0",
              "Number of returns to 0 in a walk that starts at 0",
              "Count the commands that leave a walk from 0 at 0"),
    "list": ("List of positions after each command of a walk from 0",
             "Collect the positions after each command of a walk that starts at 0",
             "All positions after each command of a walk from 0"),
}  # fmt: skip

WALK_HEADS = {
    "python": "for command in commands",
    "javascript": "for (const command of commands)",
    "java": "for (char command : commands.toCharArray())",
    "cpp": "for (char command : commands)",
}


@dataclass(frozen=True)
class Change:
    key: str
    words: tuple[str, ...]
    phrases: tuple[str, str]
    code: str
    apply: Callable[[int], int]


CHANGES = (
    Change("plain", (), ("each change", "every change"), "change", lambda c: c),
    Change("fee", ("after", "fee"), ("each change minus 1", "every change less a fee of 1"),
           "change - 1", lambda c: c - 1),
    Change("bonus", ("after", "bonus"), ("each change plus 2", "every change and a bonus of 2"),
           "change + 2", lambda c: c + 2),
    Change("double", ("doubled",), ("twice each change", "every change doubled"),
           "2 * change", lambda c: 2 * c),
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """`if condition: balance = value`, or no change at all where `value` is "skip"."""

    key: str
    words: tuple[str, ...]
    notes: tuple[str, str]
    condition: str
    value: str
    short: str  # the same as one expression of the new balance {b}, empty where there is none
    breaks: Callable[[int], bool]


RULES = (
    Rule("floor", ("floor", "zero"),
         ("If the balance is below 0 set it to 0", "The balance is never below 0"),
         "balance < 0", "0", "max(0, {b})", lambda b: b < 0),
    Rule("cap", ("cap", "twenty"),
         ("If the balance is above 20 set it to 20", "The balance is never above 20"),
         "balance > 20", "20", "min(20, {b})", lambda b: b > 20),
    Rule("reset", ("reset", "above", "fifteen"),
         ("If the balance is above 15 set it to 0", "Reset a balance above 15 to 0"),
         "balance > 15", "0", "", lambda b: b > 15),
    Rule("refill", ("refill", "negative"),
         ("If the balance is below 0 set it to 10", "Refill a balance below 0 to 10"),
         "balance < 0", "10", "", lambda b: b < 0),
    Rule("skip", ("skip", "above", "twenty"),
         ("Skip a change that would bring the balance above 20",
          "Leave the balance as it is where it would be above 20"),
         "balance > 20", "skip", "", lambda b: b > 20),
)  # fmt: skip

BALANCE_TITLES = {
    "final": ("Final balance from 0", "Balance after all changes from 0",
              "Last balance of an account that starts at 0"),
    "highest": ("Highest balance including the start at 0", "Largest balance of 0 and all after it",
                "Maximum of 0 and the balance of an account from 0"),
    "count": ("Count how often the rule applies to a balance from 0",
              "Number of changes where the rule applies to a balance from 0",
              "Count the uses of the rule for a balance that starts at 0"),
    "list": ("List of balances from 0 after each change",
             "Collect the balance from 0 after each change",
             "All balances after each change of an account that starts at 0"),
}  # fmt: skip

BALANCE_HEADS = {
    "python": "for change in changes",
    "javascript": "for (const change of changes)",
    "java": "for (int change : changes)",
    "cpp": "for (int change : changes)",
}
