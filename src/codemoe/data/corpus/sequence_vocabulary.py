"""What the families about pairs, simulations and ranges share: adjectives, statements."""

from collections.abc import Iterable

from codemoe.data.corpus.vocabulary import INT_PREDICATES, IntPredicate

# Said after "is" or "are"; interchangeable.
ADJECTIVES = {
    "even": ("even", "an even number", "even"),
    "odd": ("odd", "an odd number", "odd"),
    "multiple3": ("divisible by 3", "a multiple of 3", "divisible by 3"),
    "multiple5": ("divisible by 5", "a multiple of 5", "divisible by 5"),
    "above10": ("greater than 10", "above 10", "more than 10"),
    "below5": ("less than 5", "below 5", "less than 5"),
    "positive": ("positive", "above zero", "greater than 0"),
}

# From 1 to the parameter n.
COUNTING_LOOP = {
    "python": "for i in range(1, n + 1)",
    "javascript": "for (let i = 1; i <= n; i++)",
    "java": "for (int i = 1; i <= n; i++)",
    "cpp": "for (int i = 1; i <= n; i++)",
}


def predicate(key: str) -> IntPredicate:
    return next(p for p in INT_PREDICATES if p.key == key)


def block(language: str, head: str, lines: Iterable[str]) -> list[str]:
    """`head` with `lines` inside: a colon and an indent, or braces."""
    inside = ["    " + line for line in lines]
    if language == "python":
        return [f"{head}:", *inside]
    return [f"{head} {{", *inside, "}"]


def branch(
    language: str, condition: str, then: Iterable[str], otherwise: Iterable[str] = ()
) -> list[str]:
    """An if statement, with an else part where there is one."""
    python = language == "python"
    lines = block(language, f"if {condition}" if python else f"if ({condition})", then)
    rest = list(otherwise)
    if not rest:
        return lines
    if python:
        return lines + block(language, "else", rest)
    return lines[:-1] + block(language, "} else", rest)


def declare(language: str, name: str, value: str) -> str:
    """An integer variable with its first value."""
    if language == "python":
        return f"{name} = {value}"
    return f"{'let' if language == 'javascript' else 'int'} {name} = {value};"


def new_list(language: str, name: str, kind: str = "int") -> str:
    """An empty growable list of integers (`kind` "int") or strings ("str")."""
    java, cpp = ("Integer", "int") if kind == "int" else ("String", "string")
    return {
        "python": f"{name} = []",
        "javascript": f"const {name} = [];",
        "java": f"List<{java}> {name} = new ArrayList<>();",
        "cpp": f"vector<{cpp}> {name};",
    }[language]


def append(language: str, name: str, value: str) -> str:
    method = {"python": "append", "javascript": "push", "java": "add", "cpp": "push_back"}[language]
    return f"{name}.{method}({value})" + ("" if language == "python" else ";")


def statement(language: str, text: str) -> str:
    """A statement that differs only in its semicolon."""
    return text if language == "python" else f"{text};"


def plus_one(language: str, name: str) -> str:
    return f"{name} += 1" if language == "python" else f"{name}++;"
