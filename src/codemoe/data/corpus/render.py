"""Turn a Task into a whole program of one language: signature, layout, imports."""

import re
from textwrap import indent

from codemoe.data.corpus.task import Program, Task
from codemoe.data.corpus.unit_tests import render_tests

_PYTHON_TYPES = {
    "int": "int",
    "bool": "bool",
    "str": "str",
    "ints": "list[int]",
    "strs": "list[str]",
    "intlist": "list[int]",
    "strlist": "list[str]",
    "grid": "list[list[int]]",
}
_JAVA_TYPES = {
    "int": "int",
    "bool": "boolean",
    "str": "String",
    "ints": "int[]",
    "strs": "String[]",
    "intlist": "List<Integer>",
    "strlist": "List<String>",
    "grid": "int[][]",
}
_CPP_TYPES = {
    "int": "int",
    "bool": "bool",
    "str": "string",
    "ints": "vector<int>",
    "strs": "vector<string>",
    "intlist": "vector<int>",
    "strlist": "vector<string>",
    "grid": "vector<vector<int>>",
}

# What a text must contain (as a regular expression) for an import to be written above it.
_PYTHON_IMPORTS = (
    (r"\bCounter\(", "from collections import Counter"),
    (r"\bdefaultdict\(", "from collections import defaultdict"),
    (r"\bdeque\(", "from collections import deque"),
    (r"\breduce\(", "from functools import reduce"),
    (r"\bpairwise\(", "from itertools import pairwise"),
    (r"\baccumulate\(", "from itertools import accumulate"),
    (r"\bgroupby\(", "from itertools import groupby"),
    (r"\bbisect_left\(", "from bisect import bisect_left"),
    (r"\bbisect_right\(", "from bisect import bisect_right"),
    (r"\bmath\.", "import math"),
)
_JAVA_UTIL = (
    "ArrayDeque",
    "ArrayList",
    "Arrays",
    "Collections",
    "Comparator",
    "Deque",
    "HashMap",
    "HashSet",
    "LinkedHashMap",
    "LinkedHashSet",
    "List",
    "Map",
    "Set",
    "TreeMap",
    "TreeSet",
)
_JAVA_STREAM = ("Collectors", "IntStream", "Stream")
_CPP_INCLUDES = (
    ("algorithm", r"(?<![.>])\b(sort|stable_sort|reverse|max|min|count_if|count|find_if|find|any_of"
                  r"|all_of|none_of|max_element|min_element|unique|swap|rotate|lower_bound"
                  r"|upper_bound|adjacent_find|equal_range|partition_point|remove_if|transform"
                  r"|copy_if|replace|is_sorted|binary_search|fill)\("),
    ("cctype", r"\b(isdigit|isalpha|isupper|islower|isspace|isalnum|toupper|tolower)\("),
    ("cmath", r"\b(sqrt|pow|floor|ceil)\("),
    ("cstdlib", r"\babs\("),
    ("functional", r"\b(function<|greater<|plus<|multiplies<)"),
    ("iterator", r"\b(back_inserter|prev|next)\("),
    ("map", r"\bmap<"),
    ("numeric", r"\b(accumulate|gcd|lcm|iota|inner_product|partial_sum|adjacent_difference)\("),
    ("set", r"\bset<"),
    ("sstream", r"\b(istringstream|ostringstream|stringstream)\b"),
    ("string", r"\b(string|to_string)\b"),
    ("unordered_map", r"\bunordered_map<"),
    ("unordered_set", r"\bunordered_set<"),
    ("utility", r"\bpair<"),
    ("vector", r"\bvector<"),
)  # fmt: skip


def snake_case(words: tuple[str, ...]) -> str:
    return "_".join(words)


def camel_case(words: tuple[str, ...]) -> str:
    return words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])


def _cpp_param(name: str, kind: str) -> str:
    return f"{_CPP_TYPES[kind]} {name}" if kind in ("int", "bool") else (
        f"const {_CPP_TYPES[kind]}& {name}"
    )  # fmt: skip


def signature_of(task: Task, language: str) -> str:
    """The function's head without its opening brace or colon."""
    name = snake_case(task.words) if language == "python" else camel_case(task.words)
    if language == "python":
        params = ", ".join(f"{p.name}: {_PYTHON_TYPES[p.type]}" for p in task.params)
        return f"def {name}({params}) -> {_PYTHON_TYPES[task.returns]}"
    if language == "javascript":
        return f"function {name}({', '.join(p.name for p in task.params)})"
    if language == "java":
        params = ", ".join(f"{_JAVA_TYPES[p.type]} {p.name}" for p in task.params)
        return f"static {_JAVA_TYPES[task.returns]} {name}({params})"
    params = ", ".join(_cpp_param(p.name, p.type) for p in task.params)
    return f"{_CPP_TYPES[task.returns]} {name}({params})"


def _imports(language: str, text: str) -> list[str]:
    if language == "python":
        return [line for pattern, line in _PYTHON_IMPORTS if re.search(pattern, text)]
    if language == "java":
        used = [f"java.util.{n}" for n in _JAVA_UTIL if re.search(rf"\b{n}\b", text)]
        used += [f"java.util.stream.{n}" for n in _JAVA_STREAM if re.search(rf"\b{n}\b", text)]
        return [f"import {name};" for name in used]
    if language == "cpp":
        used = [f"#include <{name}>" for name, pattern in _CPP_INCLUDES if re.search(pattern, text)]
        return [*used, "using namespace std;"] if used else []
    return []


def code_of(task: Task, language: str) -> str:
    """The whole program as a programmer of that language would lay it out."""
    head = signature_of(task, language)
    body = task.bodies[language].strip("\n")
    helpers = [text.strip("\n") for text in task.helpers.get(language, ())]
    gap = "\n\n\n" if language == "python" else "\n\n"
    if language == "python":
        functions = [*helpers, f"{head}:\n{indent(body, '    ')}"]
    else:
        functions = [*helpers, f"{head} {{\n{indent(body, '    ')}\n}}"]
    text = gap.join(functions)
    imports = _imports(language, text)
    if language == "java":
        text = f"class Solution {{\n{indent(text, '    ')}\n}}"
    elif language == "cpp" and imports:
        return "\n".join(imports) + "\n\n" + text
    return "\n".join(imports) + (gap if imports else "") + text


def program_of(task: Task, language: str, cases: list[tuple[tuple, object]]) -> Program:
    """Render one language; `cases` are (arguments, expected result) pairs for its tests."""
    name = snake_case(task.words) if language == "python" else camel_case(task.words)
    return Program(
        language=language,
        signature=signature_of(task, language),
        entry_point=name,
        code=code_of(task, language),
        tests=render_tests(task, language, name, cases),
    )
