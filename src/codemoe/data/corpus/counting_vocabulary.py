"""Questions about a table of counts, with their bodies before the keys are filled in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Question:
    """What is asked about the counts.

    Bodies use: `COUNTS` (lines that fill the table `counts`), `KEYS` (Python generator of keys),
    `ITEMS` (JavaScript array of keys), `LOOP(...)` (a Java or C++ loop with the key in `key`),
    `T` (the key's type), `BOX` (the boxed type), `NONE` (0 or the empty text), `SORT`.
    """

    key: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    returns: str  # "key" and "keys" take the key's type
    titles: tuple[str, ...]
    steps: tuple[str, ...]
    bodies: dict[str, str]
    solve: Callable[..., Any]
    counted: bool = True  # whether the steps begin with counting
    k: bool = False  # whether there is a second parameter k


_JS_COUNTS = "const counts = new Map();\nfor (const key of ITEMS) {\n" \
             "    counts.set(key, (counts.get(key) || 0) + 1);\n}\n"  # fmt: skip
_JAVA_COUNTS = "Map<BOX, Integer> counts = new TreeMap<>();\nLOOP(counts.merge(KEY, 1, " \
               "Integer::sum);)\n"  # fmt: skip
_CPP_COUNTS = "map<T, int> counts;\nLOOP(counts[KEY]++;)\n"


def _listing(condition: str) -> dict[str, str]:
    """Bodies that list the keys whose count satisfies a condition, in ascending order."""
    strict = condition.replace("==", "===")
    return {
        "python": f"return sorted(key for key, n in Counter(KEYS).items() if n {condition})",
        "javascript": f"{_JS_COUNTS}return [...counts.keys()]\n"
                      f"    .filter((key) => counts.get(key) {strict})\n    .SORT;",
        "java": f"{_JAVA_COUNTS}List<BOX> result = new ArrayList<>();\n"
                "for (T key : counts.keySet()) {\n"
                f"    if (counts.get(key) {condition}) {{\n        result.add(key);\n    }}\n}}\n"
                "return result;",
        "cpp": f"{_CPP_COUNTS}vector<T> result;\nfor (const auto& [key, n] : counts) {{\n"
               f"    if (n {condition}) {{\n        result.push_back(key);\n    }}\n}}\n"
               "return result;",
    }  # fmt: skip


def _tally(condition: str) -> dict[str, str]:
    """Bodies that say how many keys have a count that satisfies a condition."""
    strict = condition.replace("==", "===")
    return {
        "python": f"return sum(1 for n in Counter(KEYS).values() if n {condition})",
        "javascript": f"{_JS_COUNTS}return [...counts.values()].filter((n) => n {strict}).length;",
        "java": f"{_JAVA_COUNTS}return (int) counts.values().stream().filter(n -> n {condition})"
                ".count();",
        "cpp": f"{_CPP_COUNTS}int total = 0;\nfor (const auto& [key, n] : counts) {{\n"
               f"    if (n {condition}) total++;\n}}\nreturn total;",
    }  # fmt: skip


def _extreme(comparison: str) -> dict[str, str]:
    """Bodies for the key of the greatest (">") or smallest ("<") count, the smallest of several."""
    sign = "-" if comparison == ">" else ""
    # The count 0 stands for "none yet", which any count is greater than.
    first = "" if comparison == ">" else "count == 0 || "
    return {
        "python": "counts = Counter(KEYS)\n"
                  f"return min(counts, key=lambda key: ({sign}counts[key], key), default=NONE)",
        "javascript": f"{_JS_COUNTS}const keys = [...counts.keys()].SORT;\n"
                      "if (keys.length === 0) return NONE;\n"
                      f"return keys.reduce((best, key) => (counts.get(key) {comparison} "
                      "counts.get(best) ? key : best));",
        "java": f"{_JAVA_COUNTS}T best = NONE;\nint count = 0;\nfor (T key : counts.keySet()) {{\n"
                f"    if ({first}counts.get(key) {comparison} count) {{\n        best = key;\n"
                "        count = counts.get(key);\n    }\n}\nreturn best;",
        "cpp": f"{_CPP_COUNTS}T best{{}};\nint count = 0;\n"
               "for (const auto& [key, n] : counts) {\n"
               f"    if ({first}n {comparison} count) {{\n"
               "        best = key;\n        count = n;\n    }\n}\nreturn best;",
    }  # fmt: skip


def _keys_where(keep: Callable[[int], bool]) -> Callable[[list[Any]], list[Any]]:
    return lambda keys: [key for key in sorted(set(keys)) if keep(keys.count(key))]


def _first_seen_again(keys: list[Any], none: Any) -> Any:
    return next((key for i, key in enumerate(keys) if key in keys[:i]), none)


QUESTIONS = (
    Question("distinct", ("count", "distinct"), (), "int",
              ("Number of distinct {}", "Count the different {}", "How many different {} occur"),
              ("Collect the {} in a set and return its size",
               "Put the {} into a set , return how many it holds",
               "Make a set of the {} and count its items"),
              {"python": "return len(SET)", "javascript": "return new Set(ITEMS).size;",
               "java": "Set<BOX> seen = new HashSet<>();\nLOOP(seen.add(KEY);)\n"
                       "return seen.size();",
               "cpp": "set<T> seen;\nLOOP(seen.insert(KEY);)\nreturn seen.size();"},
              lambda keys: len(set(keys)), counted=False),
    Question("mode", ("most", "common", "of"), (), "key",
              ("Most common of the {}", "Most frequent of the {}", "Mode of the {}"),
              ("Return the one with the largest count , the smallest of several , {none} if none",
               "Take the one that occurs most often , of equal ones the smallest , {none} for none",
               "Return the one of greatest count , ties go to the smallest , {none} if none"),
              _extreme(">"),
              lambda keys, none: min(sorted(set(keys)), key=lambda k: -keys.count(k),
                                     default=none)),
    Question("rarest", ("least", "common", "of"), (), "key",
              ("Least common of the {}", "Least frequent of the {}", "Rarest of the {}"),
              ("Return the one with the smallest count , the smallest of several , {none} if none",
               "Take the one that occurs least often , of equal ones the smallest , {none} for "
               "none",
               "Return the one of lowest count , ties go to the smallest , {none} if none"),
              _extreme("<"),
              lambda keys, none: min(sorted(set(keys)), key=keys.count, default=none)),
    Question("peak", ("largest", "count", "of"), (), "int",
              ("Largest count of the {}", "Greatest frequency among the {}",
               "How often the most common of the {} occurs"),
              ("Return the largest count , 0 if there are none",
               "Return the maximum of the counts or 0 for none",
               "Take the highest count , 0 if there are none"),
              {"python": "return max(Counter(KEYS).values(), default=0)",
               "javascript": f"{_JS_COUNTS}return Math.max(0, ...counts.values());",
               "java": f"{_JAVA_COUNTS}return counts.isEmpty() ? 0 : "
                       "Collections.max(counts.values());",
               "cpp": f"{_CPP_COUNTS}int best = 0;\nfor (const auto& [key, n] : counts) {{\n"
                      "    best = max(best, n);\n}\nreturn best;"},
              lambda keys: max([0, *map(keys.count, keys)])),
    Question("once", ("unique",), (), "keys",
              ("List the {} that occur once", "Unique ones of the {}", "All {} without a repeat"),
              ("Return those with count 1 in ascending order",
               "Keep those that occur exactly once , sorted",
               "Collect those of count 1 from the smallest to the largest"),
              _listing("== 1"), _keys_where(lambda n: n == 1)),
    Question("repeated", ("repeated",), (), "keys",
              ("List the {} that occur more than once", "Repeated ones of the {}",
               "All {} with a repeat"),
              ("Return those with count 2 or more in ascending order",
               "Keep those that occur at least twice , sorted",
               "Collect those of count above 1 from the smallest to the largest"),
              _listing("> 1"), _keys_where(lambda n: n > 1)),
    Question("exactly", (), ("occurring", "exactly", "k", "times"), "keys",
              ("List the {} that occur exactly k times", "Those of the {} with frequency k",
               "All {} that appear just k times"),
              ("Return those with count k in ascending order",
               "Keep those whose count equals k , sorted",
               "Collect those of count k from the smallest to the largest"),
              _listing("== k"),
              lambda keys, k: [key for key in sorted(set(keys)) if keys.count(key) == k], k=True),
    Question("atleast", (), ("occurring", "at", "least", "k", "times"), "keys",
              ("List the {} that occur at least k times",
               "Those of the {} with frequency k or more",
               "All {} that appear k times or more often"),
              ("Return those with count k or more in ascending order",
               "Keep those whose count is not below k , sorted",
               "Collect those of count at least k from the smallest to the largest"),
              _listing(">= k"),
              lambda keys, k: [key for key in sorted(set(keys)) if keys.count(key) >= k], k=True),
    Question("numonce", ("count", "unique"), (), "int",
              ("Number of {} that occur once", "Count the unique ones of the {}",
               "How many of the {} have no repeat"),
              ("Return how many have count 1", "Count those that occur exactly once",
               "Add one for each of count 1"),
              _tally("== 1"), lambda keys: sum(1 for key in keys if keys.count(key) == 1)),
    Question("numrepeated", ("count", "repeated"), (), "int",
              ("Number of different {} that occur more than once",
               "Count the repeated ones of the {}", "How many different {} have a repeat"),
              ("Return how many have count 2 or more", "Count those that occur at least twice",
               "Add one for each of count above 1"),
              _tally("> 1"), lambda keys: sum(keys.count(key) > 1 for key in set(keys))),
    Question("duplicate", ("has", "duplicate"), (), "bool",
              ("Whether any of the {} repeat", "Check the {} for duplicates",
               "Do two equal {} occur"),
              ("Remember the {} in a set , return true at the first one that is there already",
               "Return true if the set of the {} is smaller than their number",
               "Return true if some of the {} are equal and false if all differ"),
              {"python": "LET\nreturn len(set(keys)) < len(keys)",
               "javascript": "JSLET\nreturn new Set(keys).size < keys.length;",
               "java": "Set<BOX> seen = new HashSet<>();\n"
                       "LOOP(if (!seen.add(KEY)) {\n    return true;\n})\nreturn false;",
               "cpp": "set<T> seen;\nLOOP(if (!seen.insert(KEY).second) {\n    return true;\n})\n"
                      "return false;"},
              lambda keys: any(keys.count(key) > 1 for key in keys), counted=False),
    Question("again", ("first", "duplicate", "of"), (), "key",
              ("First of the {} that occurs again", "First duplicate of the {}",
               "Earliest repeat among the {}"),
              ("Remember the {} in a set and return the first one that is there already , {none} "
               "if none",
               "Go from left to right and return the first of the {} seen before , {none} for none",
               "Return the first of the {} that stands in the set of earlier ones , else {none}"),
              {"python": "seen = set()\nfor key in KEYS:\n    if key in seen:\n"
                         "        return key\n    seen.add(key)\nreturn NONE",
               "javascript": "const seen = new Set();\nfor (const key of ITEMS) {\n"
                             "    if (seen.has(key)) return key;\n    seen.add(key);\n}\n"
                             "return NONE;",
               "java": "Set<BOX> seen = new HashSet<>();\n"
                       "LOOP(T key = KEY;\nif (!seen.add(key)) {\n    return key;\n})\n"
                       "return NONE;",
               "cpp": "set<T> seen;\n"
                      "LOOP(T key = KEY;\nif (!seen.insert(key).second) {\n    return key;\n})\n"
                      "return NONE;"},
              _first_seen_again, counted=False),
    Question("counts", ("counts", "of"), (), "intlist",
              ("Counts of the {}", "List how often each of the {} occurs",
               "Frequencies of the {}"),
              ("Return the counts in ascending order of what is counted",
               "List the counts , that of the smallest first",
               "Go from the smallest to the largest and collect the counts"),
              {"python": "counts = Counter(KEYS)\nreturn [counts[key] for key in sorted(counts)]",
               "javascript": f"{_JS_COUNTS}return [...counts.keys()].SORT"
                             ".map((key) => counts.get(key));",
               "java": f"{_JAVA_COUNTS}return new ArrayList<>(counts.values());",
               "cpp": f"{_CPP_COUNTS}vector<int> result;\nfor (const auto& [key, n] : counts) {{\n"
                      "    result.push_back(n);\n}\nreturn result;"},
              lambda keys: [keys.count(key) for key in sorted(set(keys))]),
    Question("pairs", ("count", "pairs", "of", "equal"), (), "int",
              ("Number of pairs of equal {}", "Count the pairs of the {} that are equal",
               "How many pairs have equal {}"),
              ("Add n * ( n - 1 ) / 2 for each count n",
               "Each count n gives n * ( n - 1 ) / 2 pairs , return their sum",
               "Sum n times n - 1 divided by 2 over the counts n"),
              {"python": "return sum(n * (n - 1) // 2 for n in Counter(KEYS).values())",
               "javascript": f"{_JS_COUNTS}return [...counts.values()]"
                             ".reduce((total, n) => total + n * (n - 1) / 2, 0);",
               "java": f"{_JAVA_COUNTS}int total = 0;\nfor (int n : counts.values()) {{\n"
                       "    total += n * (n - 1) / 2;\n}\nreturn total;",
               "cpp": f"{_CPP_COUNTS}int total = 0;\nfor (const auto& [key, n] : counts) {{\n"
                      "    total += n * (n - 1) / 2;\n}\nreturn total;"},
              lambda keys: sum(a == b for i, a in enumerate(keys) for b in keys[:i])),
)  # fmt: skip
