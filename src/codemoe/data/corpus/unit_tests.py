"""Write a task's (arguments, expected) cases as tests in each language's own terms."""

import json

from codemoe.data.corpus.task import Task


def _literal(value: object, kind: str, language: str) -> str:
    """`value` of type `kind` as source text."""
    if kind == "bool":
        return str(value) if language == "python" else str(value).lower()
    if kind == "int":
        return str(value)
    if kind == "str":
        return repr(value) if language == "python" else json.dumps(value)
    inner = {"ints": "int", "intlist": "int", "strs": "str", "strlist": "str", "grid": "ints"}[kind]
    assert isinstance(value, list)
    if language == "java":
        items = ", ".join(
            "{" + ", ".join(map(str, item)) + "}"
            if kind == "grid"
            else _literal(item, inner, "java")
            for item in value
        )
        arrays = {"ints": "new int[]", "strs": "new String[]", "grid": "new int[][]"}
        return f"{arrays[kind]}{{{items}}}" if kind in arrays else f"List.of({items})"
    items = ", ".join(_literal(item, inner, language) for item in value)
    return f"{{{items}}}" if language == "cpp" else f"[{items}]"


def _call(task: Task, name: str, arguments: tuple, language: str) -> str:
    pairs = zip(arguments, task.params, strict=True)
    return f"{name}({', '.join(_literal(a, p.type, language) for a, p in pairs)})"


def _cpp_call(task: Task, name: str, arguments: tuple) -> str:
    """Braced lists need their type where a macro argument or an overload could misread them."""
    types = {"ints": "vector<int>", "strs": "vector<string>", "grid": "vector<vector<int>>",
             "str": "string"}  # fmt: skip
    texts = []
    for value, param in zip(arguments, task.params, strict=True):
        text = _literal(value, param.type, "cpp")
        kind = types.get(param.type)
        texts.append(text if kind is None else f"{kind}({text})")
    return f"{name}({', '.join(texts)})"


def _java_condition(kind: str, call: str, expected: str) -> str:
    if kind in ("int", "bool"):
        return f"{call} == {expected}"
    if kind in ("ints", "strs"):
        return f"Arrays.equals({call}, {expected})"
    if kind == "grid":
        return f"Arrays.deepEquals({call}, {expected})"
    return f"{call}.equals({expected})"


def render_tests(task: Task, language: str, name: str, cases: list[tuple[tuple, object]]) -> str:
    """Source text to be appended to a program; it fails with an assertion on a wrong result."""
    lines = []
    for arguments, expected in cases:
        want = _literal(expected, task.returns, language)
        if language == "python":
            lines.append(f"assert {_call(task, name, arguments, language)} == {want}")
        elif language == "javascript":
            call = _call(task, name, arguments, language)
            if task.returns in ("int", "bool", "str"):
                # deepStrictEqual tells -0 from 0, which the other languages do not.
                lines.append(f"assert.ok({call} === {want});")
            else:
                lines.append(f"assert.deepStrictEqual({call}, {want});")
        elif language == "java":
            call = "Solution." + _call(task, name, arguments, language)
            condition = _java_condition(task.returns, call, want)
            lines.append(f"        if (!({condition})) throw new AssertionError();")
        else:
            kind = {"intlist": "vector<int>", "ints": "vector<int>", "strs": "vector<string>",
                    "strlist": "vector<string>", "grid": "vector<vector<int>>",
                    "str": "string"}.get(task.returns)  # fmt: skip
            want = want if kind is None else f"{kind}({want})"
            lines.append(f"    assert(({_cpp_call(task, name, arguments)} == {want}));")
    body = "\n".join(lines)
    if language == "python":
        return "\n\n" + body + "\n"
    if language == "javascript":
        return "\n\nconst assert = require('assert');\n" + body + "\n"
    if language == "java":
        head = "\n\nclass Main {\n    public static void main(String[] args) {\n"
        text = head + body + "\n    }\n}\n"
        # The candidate's own imports stand above; full names keep the tests independent of them.
        return text.replace("Arrays.", "java.util.Arrays.").replace("List.of", "java.util.List.of")
    includes = (
        "\n\n#include <cassert>\n#include <string>\n#include <vector>\nusing namespace std;\n"
    )
    return includes + "\nint main() {\n" + body + "\n}\n"
