"""What the family two_arrays composes: pair operations, conditions, aggregates, set kinds."""

from collections.abc import Callable
from dataclasses import dataclass

from codemoe.data.corpus.sequence_vocabulary import predicate
from codemoe.data.corpus.vocabulary import c_like


@dataclass(frozen=True)
class Op:
    """What a pair of items {x} and {y} gives."""

    key: str
    nouns: tuple[str, str]  # singular and plural, in texts
    plural: str  # in names
    code: str
    verbs: tuple[str, str]  # the comment's beginning
    apply: Callable[[int, int], int]

    def text(self, language: str, x: str, y: str) -> str:
        return c_like(self.code.replace("{x}", x).replace("{y}", y), language)


OPS = (
    Op("sum", ("sum", "sums"), "sums", "{x} + {y}",
       ("Add the items", "Take the sum of the items"), lambda x, y: x + y),
    Op("product", ("product", "products"), "products", "{x} * {y}",
       ("Multiply the items", "Take the product of the items"), lambda x, y: x * y),
    Op("difference", ("difference", "differences"), "differences", "{x} - {y}",
       ("Subtract the item of b from that of a", "Take the item of a minus that of b"),
       lambda x, y: x - y),
    Op("larger", ("maximum", "maxima"), "maxima", "max({x}, {y})",
       ("Take the larger item", "Take the maximum of the items"), max),
    Op("smaller", ("minimum", "minima"), "minima", "min({x}, {y})",
       ("Take the smaller item", "Take the minimum of the items"), min),
    Op("distance", ("distance", "distances"), "distances", "abs({x} - {y})",
       ("Take the distance of the items", "Take the absolute difference of the items"),
       lambda x, y: abs(x - y)),
)  # fmt: skip

INDEX = ("at each shared index", "up to the shorter length", "at each index in both")


@dataclass(frozen=True)
class PairPredicate:
    """A condition on the pair itself, before anything is computed from it."""

    key: str
    words: tuple[str, ...]
    clauses: tuple[str, str]  # after "each product"
    python: str
    c_like: str
    holds: Callable[[int, int], bool]


PAIR_PREDICATES = (
    PairPredicate("firstlarger", ("where", "first", "larger"),
                  ("whose item of a is larger", "where a has the larger item"),
                  "x > y", "a[i] > b[i]", lambda x, y: x > y),
    PairPredicate("secondlarger", ("where", "second", "larger"),
                  ("whose item of b is larger", "where b has the larger item"),
                  "x < y", "a[i] < b[i]", lambda x, y: x < y),
    PairPredicate("bothpositive", ("where", "both", "positive"),
                  ("whose items are both positive", "where both items are above zero"),
                  "x > 0 and y > 0", "a[i] > 0 && b[i] > 0", lambda x, y: x > 0 and y > 0),
    PairPredicate("bothodd", ("where", "both", "odd"),
                  ("whose items are both odd", "where both items are odd"),
                  "x % 2 == 1 and y % 2 == 1", "a[i] % 2 != 0 && b[i] % 2 != 0",
                  lambda x, y: x % 2 == 1 and y % 2 == 1),
)  # fmt: skip

ITEM_PREDICATES = tuple(
    predicate(key) for key in ("even", "odd", "multiple3", "above10", "below5", "positive")
)


@dataclass(frozen=True)
class Aggregate:
    key: str
    returns: str
    titles: tuple[str, str, str]  # {} is plural: "pairwise products"
    steps: tuple[str, str]  # {} is singular with its clause: "product that is even"
    python: str  # {v} the item, {loop} the comprehension's rest
    javascript: str  # the chain's end
    java: str  # the stream's end, empty where a loop is the natural form
    reduce: Callable[[list[int]], int | list[int]]


AGGREGATES = (
    Aggregate("sum", "int", ("Sum of the {}", "Add up the {}", "Total of the {}"),
              ("Add each {} to the total", "Keep a running total of each {}"),
              "sum({v} {loop})", ".reduce((total, v) => total + v, 0)", ".sum()", sum),
    Aggregate("count", "int", ("Count of the {}", "Count the {}", "Number of the {}"),
              ("Count each {}", "Add one to the count for each {}"),
              "sum(1 {loop})", ".length", ".count()", len),
    Aggregate("list", "intlist", ("List of the {}", "Collect the {}", "All of the {}"),
              ("Append each {} to the result", "Add each {} to the list in order"),
              "[{v} {loop}]", "", "", list),
    Aggregate("largest", "int", ("Largest of the {}", "Maximum of the {}", "Greatest of the {}"),
              ("Start from 0 and keep the largest {}", "Keep the maximum of 0 and each {}"),
              "max([0] + [{v} {loop}])", ".reduce((best, v) => Math.max(best, v), 0)", "",
              lambda items: max([0, *items])),
)  # fmt: skip


@dataclass(frozen=True)
class SetKind:
    """Which items of the two arrays are meant."""

    key: str
    words: tuple[str, ...]
    titles: tuple[str, str]
    steps: tuple[str, str]
    source: str  # which items are looked at: "a" or "both"
    python_set: str
    python: str  # the condition on x, empty for all
    javascript: str
    java: str
    cpp: str
    holds: Callable[[bool, bool], bool]  # whether it is in a, in b


SETS = (
    SetKind("common", ("common",), ("Common items of two arrays", "Items in both arrays"),
            ("Take the items of a that are also in b", "Look for the items of a in b"),
            "a", "set(a) & set(b)", "x in others", "others.has(x)", "others.contains(x)",
            "others.count(x)", lambda a, b: a and b),
    SetKind("onlyfirst", ("only", "first"),
            ("Items only in the first array", "Items of a missing in b"),
            ("Take the items of a that are not in b", "Leave out the items of a found in b"),
            "a", "set(a) - set(b)", "x not in others", "!others.has(x)", "!others.contains(x)",
            "!others.count(x)", lambda a, b: a and not b),
    SetKind("merged", ("merged",), ("Merged items of two arrays", "Items in any of two arrays"),
            ("Take the items of a and then of b", "Join the items of a and b"),
            "both", "set(a) | set(b)", "", "", "", "", lambda a, b: a or b),
    SetKind("unshared", ("unshared",),
            ("Unshared items of two arrays", "Items in only one of two arrays"),
            ("Take the items of a and then of b that the other array lacks",
             "Join the items of a not in b and of b not in a"),
            "both", "set(a) ^ set(b)", "(x in a) != (x in b)", "a.includes(x) !== b.includes(x)",
            "", "inFirst.count(x) != inSecond.count(x)", lambda a, b: a != b),
)  # fmt: skip
