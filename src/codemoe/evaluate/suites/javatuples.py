"""MultiPL-E's Java imports org.javatuples, which a sandbox does not have: its tuples, when used."""

import re

from codemoe.evaluate.suites.problem import Problem, cut_before_tests

_IMPORT = re.compile(r"^import org\.javatuples\.[\w*]+;[ \t]*\n", re.MULTILINE)
_NAMES = "Unit Pair Triplet Quartet Quintet Sextet Septet Octet Ennead Decade".split()  # noqa: SIM905


def assemble(problem: Problem, completion: str) -> str:
    """The program with the tuple classes that it or its tests name, instead of the import."""
    program = problem.prompt + cut_before_tests(problem, completion)
    found = _IMPORT.search(program)
    if found is None:
        return program
    plain = _IMPORT.sub("", program)
    code = plain + problem.tests
    used = [
        tuple_class(name, size)
        for size, name in enumerate(_NAMES, 1)
        if re.search(rf"\b{name}\b", code) and not re.search(rf"\bclass {name}\b", plain)
    ]
    # After the last import; a class may stand before the one that uses it.
    ends = [match.end() for match in re.finditer(r"^import [^;]+;[ \t]*\n", plain, re.MULTILINE)]
    at = max(ends, default=0)
    return plain[:at] + "".join(used) + plain[at:]


def tuple_class(name: str, size: int) -> str:
    """One line of Java: a tuple as org.javatuples has it, equal by its values."""
    letters = [chr(ord("A") + i) for i in range(size)]
    types = f"<{', '.join(letters)}>"
    fields = "".join(f"private final {t} v{i}; " for i, t in enumerate(letters))
    parameters = ", ".join(f"{t} v{i}" for i, t in enumerate(letters))
    names = ", ".join(f"v{i}" for i in range(size))
    sets = " ".join(f"this.v{i} = v{i};" for i in range(size))
    getters = "".join(
        f"public {t} getValue{i}() {{ return v{i}; }} " for i, t in enumerate(letters)
    )
    setters = "".join(
        f"public <X> {name}<{', '.join([*letters[:i], 'X', *letters[i + 1 :]])}> setAt{i}(X x) "
        f"{{ return new {name}<>({', '.join('x' if j == i else f'v{j}' for j in range(size))}); }} "
        for i in range(size)
    )
    return (
        f"final class {name}{types} implements java.io.Serializable {{ {fields}"
        f"public {name}({parameters}) {{ {sets} }} "
        f"public static {types} {name}{types} with({parameters}) "
        f"{{ return new {name}{types}({names}); }} {getters}{setters}"
        f"public int getSize() {{ return {size}; }} "
        f"public Object getValue(int i) {{ return toList().get(i); }} "
        f"public java.util.List<Object> toList() {{ return java.util.Arrays.asList({names}); }} "
        f"public Object[] toArray() {{ return toList().toArray(); }} "
        f"@Override public boolean equals(Object o) {{ return o instanceof {name} && "
        f"toList().equals((({name}<{', '.join('?' * size)}>) o).toList()); }} "
        "@Override public int hashCode() { return toList().hashCode(); } "
        "@Override public String toString() { return toList().toString(); } }\n"
    )
