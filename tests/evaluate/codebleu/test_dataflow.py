import re
from collections import Counter

import pytest

from codemoe.evaluate.codebleu.counting import recall
from codemoe.evaluate.codebleu.dataflow import Edge, data_flow
from codemoe.evaluate.codebleu.dataflow_table import FIRST
from codemoe.evaluate.codebleu.dataflow_tables import DATAFLOW_TABLES
from codemoe.evaluate.codebleu.grammar import grammar_of
from codemoe.evaluate.codebleu.parsing import parse
from codemoe.evaluate.codebleu.source import source_text
from codemoe.evaluate.codebleu.tree import without_comments
from tests.evaluate.codebleu.programs import PROGRAMS, RENAMES

FROM, COMPUTED = "comesFrom", "computedFrom"


def edges(code: str, language: str = "python") -> Counter[Edge]:
    found = data_flow(without_comments(parse(source_text(code, language), language)))
    assert found is not None
    return found


def test_by_hand() -> None:
    code = "def f(a, b):\n    c = a + b\n    d = c\n    c += d\n    return c\n"
    assert edges(code) == Counter(
        {
            (0, FROM, (0,)): 1,  # use of a
            (1, FROM, (1,)): 1,  # use of b
            (2, COMPUTED, (0, 1)): 1,  # c = a + b
            (2, FROM, (2,)): 2,  # uses of c: in d = c, in the return
            (3, FROM, (2,)): 1,  # d = c
            (3, FROM, (3,)): 1,  # use of d
            (2, COMPUTED, (2, 3)): 1,  # c += d
        }
    )


def test_the_same_program_flows_alike_in_every_language() -> None:
    # C has no such loop.
    flows = [edges(code, language) for language, code in PROGRAMS.items() if language != "c"]
    assert flows[0] == Counter(
        {
            (0, FROM, (0,)): 1,  # xs in the loop head
            (1, FROM, (0,)): 1,  # x takes its values from xs
            (1, FROM, (1,)): 2,
            (2, FROM, (2,)): 1,  # low
            (3, COMPUTED, (1, 3)): 1,  # result += x
            (3, FROM, (3,)): 1,
        }
    )
    assert flows[1:] == flows[:1] * (len(PROGRAMS) - 2)


@pytest.mark.parametrize("language", list(PROGRAMS))
def test_consistent_renaming_changes_nothing(language: str) -> None:
    code = PROGRAMS[language]
    renamed = re.sub(r"\w+", lambda word: RENAMES.get(word[0], word[0]), code)
    assert renamed != code
    assert edges(renamed, language) == edges(code, language)


def test_inconsistent_renaming_is_seen() -> None:
    code = "def f(a, b):\n    c = a\n    return c - b\n"
    assert recall(edges(code), edges(code.replace("return c", "return a"))) < 1.0


def test_edges_are_a_bag_without_order() -> None:
    one = edges("a = 1\nb = a\nc = a\n")
    other = edges("a = 1\nc = a\nb = a\n")
    assert one == other
    # Multiplicity is clipped: one use of three matches once.
    thrice = edges("def f(a):\n    g(a)\n    g(a)\n    g(a)\n")
    assert recall(thrice, edges("def f(a):\n    g(a)\n")) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "print(len(range(3)))\nimport os\nos.path.join(sep=1)\n"),
        ("java", "class A { void f() { System.out.println(Math.max(1, 2)); } }"),
        ("javascript", "console.log(Math.max(1, 2));"),
        ("cpp", "int main() { std::cout << std::max(1, 2); puts(NULL); }"),
    ],
)
def test_functions_modules_and_types_are_no_variables(language: str, code: str) -> None:
    assert not edges(code, language)


@pytest.mark.parametrize(
    ("language", "code", "edge"),
    [
        ("python", "a = 1\nb = 2\na, b = b, a\n", (1, FROM, (0,))),
        ("python", "a = [1]\nb = [x for x in a if x]\n", (2, COMPUTED, (0,))),
        ("python", "a = 1\nwith open(a) as b:\n    pass\n", (1, COMPUTED, (0,))),
        ("python", "a = 1\nif (b := a + 1): pass\n", (1, COMPUTED, (0,))),
        ("python", "i = 0\na = []\na[i] = i\n", (1, COMPUTED, (0,))),
        ("python", "def f(a, b=1, *c, d: int = 2, **e):\n    return d\n", (0, FROM, (0,))),
        ("java", "void f(int a) { int b = a, c = b + a; }", (2, COMPUTED, (0, 1))),
        ("java", "void f(int a) { a++; }", (0, COMPUTED, (0,))),
        ("java", "void f(int[] a, int i) { a[i] *= i; }", (1, COMPUTED, (0, 1))),
        ("java", "class A { int n; void f(int a) { this.n = a; n = a; } }", (1, FROM, (0,))),
        ("javascript", "const f = (a) => { const {b, c: d} = a; };", (2, FROM, (0,))),
        ("javascript", "let a = 1, b = 2; [a, b] = [b, a];", (1, FROM, (0,))),
        ("javascript", "let a = 1; const s = `x ${a} y`;", (1, COMPUTED, (0,))),
        ("javascript", "{ var a = 1; } let b = a;", (1, FROM, (0,))),
        ("cpp", "void f(int n) { int *p = &n; int b[n]; }", (2, COMPUTED, (0,))),
        ("cpp", "void f(string t) { string s(t); }", (1, COMPUTED, (0,))),
        ("cpp", "void f(int n) { vector<int> v(n, 0); }", (1, COMPUTED, (0,))),
        ("cpp", "void f(pair<int,int> q) { auto [a, b] = q; }", (2, FROM, (0,))),
        ("cpp", "int f(int x) { auto g = [x](int y) { return x + y; }; }", (2, COMPUTED, (0,))),
    ],
)
def test_ways_of_giving_a_value(language: str, code: str, edge: Edge) -> None:
    assert edge in edges(code, language), edges(code, language)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        (
            "java",
            "void f() { for (int i = 0; i < 9; i++) g(i); for (int j = 0; j < 9; j++) g(j); }",
        ),
        (
            "javascript",
            "for (let i = 0; i < 9; i++) g(i); for (let j = 0; j < 9; j++) g(j);",
        ),
        ("cpp", "void f() { for (int i = 0; i < 9; i++) g(i); for (int j = 0; j < 9; j++) g(j); }"),
        ("python", "def f(i):\n    return i + 1\n\ndef g(j):\n    return j + 1\n"),
    ],
)
def test_names_are_scoped(language: str, code: str) -> None:
    # A second loop or function may use the same name for its own variable.
    assert edges(re.sub(r"\bj\b", "i", code), language) == edges(code, language)


def test_words_in_unreadable_text_are_no_uses() -> None:
    assert edges("a = 1\nb = a\n) a ) a (\n") == edges("a = 1\nb = a\n")


def test_assigning_in_a_python_function_makes_a_local_variable() -> None:
    local = "a = 1\ndef f():\n    a = g\n    return a\nprint(a)\n"
    assert edges(local) == edges(
        local.replace("    a = g\n    return a", "    b = g\n    return b")
    )
    assert edges(local) == {(0, FROM, (0,)): 1, (1, FROM, (1,)): 1}


def test_deep_nesting() -> None:
    assert edges("a = 1\nb = " + "(" * 2000 + "a" + ")" * 2000 + "\n")[0, FROM, (0,)] == 1
    assert len(edges("a = 1\nb = " + "+".join(["a"] * 3000) + "\n")) == 2


def test_a_language_without_a_table_has_no_data_flow() -> None:
    assert data_flow(parse("a = 1", "python")) is not None


@pytest.mark.parametrize("language", list(DATAFLOW_TABLES))
def test_the_tables_name_what_the_grammars_have(language: str) -> None:
    table, grammar = DATAFLOW_TABLES[language], grammar_of(language)
    kinds = set(grammar.names.values())
    named = {
        *table.names,
        *table.rules,
        *table.binders,
        *table.accesses,
        *table.declarators,
        *table.sequences,
        *table.functions,
        *table.blocks,
        *table.hoisted,
        *table.skipped,
        *table.wrappers,
        *table.name_parents,
        *(table.late or {}),
        *(kind for kind, _ in table.not_variables),
    }
    assert named <= kinds, named - kinds
    roles = {
        *table.accesses.values(),
        *table.declarators.values(),
        *(role for _, role in table.not_variables),
        *(rule.targets for rule in table.rules.values()),
        *(rule.values for rule in table.rules.values() if rule.values is not None),
    }
    assert roles - {"", FIRST} <= set(grammar.fields), roles


@pytest.mark.parametrize(
    ("language", "code", "edge"),
    [
        ("c", "void f(int n) { int *p = &n; int b[n]; }", (2, COMPUTED, (0,))),
        ("csharp", "void F(int a) { a++; }", (0, COMPUTED, (0,))),
        ("csharp", "void F(int a, int b) { (a, b) = (b, a); }", (1, COMPUTED, (0,))),
        ("csharp", "void F(int[] a, int i) { a[i] += i; }", (1, COMPUTED, (0, 1))),
        ("go", "func f(a, b int) { a, b = b, a }", (1, FROM, (0,))),
        ("go", "func f(a int) { b := a; a++; _ = b }", (1, FROM, (0,))),
        ("php", "function f($a) { $b = $a; return $b; }", (1, FROM, (0,))),
        ("php", "function f($a, $k) { $a[$k] = 1; $a++; }", (1, COMPUTED, (0,))),
        ("rust", "fn f(a: i32) { let (b, c) = (a, 1); }", (1, FROM, (0,))),
        ("rust", "fn f(o: T) { if let Some(v) = o { g(v); } }", (1, COMPUTED, (0,))),
        ("ruby", "def f(a)\n  b = a\n  b += 1\n  b\nend\n", (1, FROM, (0,))),
        ("ruby", "def f(a)\n  a.each { |x, (y, z)| y = x }\nend\n", (2, FROM, (1,))),
        ("typescript", "function f(a: T) { const b: T = a; }", (1, FROM, (0,))),
    ],
)
def test_ways_of_giving_a_value_elsewhere(language: str, code: str, edge: Edge) -> None:
    assert edge in edges(code, language), edges(code, language)


def test_negation_sets_nothing() -> None:
    assert not any(relation == COMPUTED for _, relation, _ in edges("f(-a, !a);", "csharp"))
