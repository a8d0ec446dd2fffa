"""pytest tests/evaluate/suites/test_extract.py: programs out of what models really write.

Each answer below has the shape of one that some chat or base model gives; it must end as a program
that passes its tests in the sandbox, and the same answer with a wrong operator must fail them.
"""

import json
from pathlib import Path

import pytest

from codemoe.evaluate.sandbox import Job, probe, run_jobs
from codemoe.evaluate.suites import Problem, read_suite
from codemoe.evaluate.suites.extract import Extracted, cut, extract, is_finished
from codemoe.evaluate.suites.fences import fenced_blocks
from codemoe.evaluate.suites.signature import function_name
from tests.evaluate.suites.test_read import ROWS, SHARED

sandboxed = pytest.mark.skipif(probe().tier is None, reason=f"no sandbox: {probe().reason}")


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Problem]:
    path = tmp_path_factory.mktemp("suites") / "suite.jsonl"
    found = {}
    for name, row in ROWS.items():
        path.write_text(json.dumps(row) + "\n")
        (found[name],) = read_suite(path)
    return found


PYTHON = ("humaneval", "humaneval-x python", "mbxp python")
ANSWERS: list[tuple[str, tuple[str, ...], str]] = [
    ("body alone", PYTHON, "\treturn 2 * x\n"),
    ("body at the left margin", PYTHON, "return 2 * x"),
    (
        "a base model that goes on",
        PYTHON,
        "    return 2 * x\n\n\ndef halve(x):\n    return x /\n\n# Exercise 2\n",
    ),
    (
        "chat, fenced",
        (*PYTHON, "mbpp"),
        "Sure! Here's a function that doubles a number:\n\n```python\ndef double(x):\n"
        "    return 2 * x\n```\n\nThis multiplies by two. For example:\n\n```python\n"
        "print(double(3))  # 6\n```\nLet me know if you need more!",
    ),
    (
        "fence without a language, helper first",
        (*PYTHON, "mbpp"),
        "```\nimport math\n\ndef twice(v):\n    return 2 * v\n\ndef double(x: int) -> int:\n"
        '    """Twice x."""\n    return twice(x)\n```',
    ),
    (
        "the prompt opened the fence",
        PYTHON,
        "    return 2 * x\n```\n\nThe function multiplies by 2.\n"
        "```python\nassert double(2) == 5\n```",
    ),
    (
        "words without fences",
        (*PYTHON, "mbpp"),
        "Here is the solution:\n\ndef double(x):\n    return 2 * x\n\n"
        "This function's time is O(1). It's correct (I think).",
    ),
    (
        "thoughts and an end token",
        (*PYTHON, "mbpp"),
        "<think>\nI could write ```python\ndef double(x): return 0\n``` but no.\n</think>\n"
        "```python\ndef double(x):\n    return 2 * x\n```<|im_end|>\n<|im_start|>user\ndef double(",
    ),
    (
        "cut off inside its fence",
        ("mbpp",),
        "```python\ndef double(x):\n    return 2 * x\n\ndef ha",
    ),
    (
        "fence of another language first",
        ("humaneval", "mbpp"),
        "```bash\npip install nothing\n```\n~~~py\ndef double(x):\n    return 2 * x\n~~~\n",
    ),
    ("body whose first blanks are lost", PYTHON, "if x:\n        return 2 * x\n    return 0"),
    (
        "fenced body with other indentation",
        PYTHON,
        "```python\n  if x:\n    return 2 * x\n  return 0\n```",
    ),
    (
        "fence in a list, marks of the template",
        (*PYTHON, "mbpp"),
        "<|im_start|>user\nWrite\n```python\ndef double(x): ...\n```<|im_end|>\n"
        "<|im_start|>assistant\n1. Like this:\n\n   ```python\n   def double(x):\n"
        "       return 2 * x\n   ```\n",
    ),
    (
        "fence in a list in a list",
        (*PYTHON, "mbpp"),
        "* The parts:\n    1. Like this:\n\n       ```python\n       def double(x):\n"
        "           return 2 * x\n       ```\n    2. Done.\n",
    ),
    (
        "fence in a docstring",
        PYTHON,
        '    """Twice.\n\n    ```python\n    double(x)\n    ```\n    """\n    return 2 * x\n',
    ),
    (
        "prompt and thoughts before",
        (*PYTHON, "mbpp"),
        "[INST] Write double. [/INST] Perhaps\n```python\ndef double(x): return x\n```\nno.\n"
        "</think>\n```python\ndef double(x):\n    return 2 * x\n```<\uff5cend\u2581of\uff5c>",
    ),
    (
        "thoughts in other words",
        (*PYTHON, "mbpp"),
        "<thinking>\n```python\ndef double(x): return 0\n```\n</thinking>\ndef double(x):\n"
        "    return 2 * x\n",
    ),
    (
        "an answer quoted as Markdown",
        (*PYTHON, "mbpp"),
        "````markdown\nSo:\n```python\ndef double(x):\n    return 2 * x\n```\n````\n",
    ),
    (
        "HTML entities",
        (*PYTHON, "mbpp"),
        "\ufeff```python\ndef double(x):\n    if x &lt; 0 &lt; x:\n        return &quot;&quot;\n"
        "    return 2 * x\n```",
    ),
    (
        "marks of MBPP and CodeLlama",
        ("humaneval", "mbpp"),
        "[PYTHON]\ndef double(x):\n    return 2 * x\n[/PYTHON]\n[TESTS]\nassert 2 * 2\n[/TESTS]",
    ),
    ("MBPP's own marks", ("mbpp",), "[BEGIN]\ndef double(x):\n    return 2 * x\n[DONE]"),
    (
        "java class with its main",
        ("humaneval-x java", "mbxp java", "multipl-e java"),
        "```java\nimport java.util.List;\n\npublic class Solution {\n"
        "    private static int two() { return 2; }\n\n"
        "    // } not a brace\n    public static TYPE twice(TYPE x) {\n"
        "        return 2 * x;\n    }\n\n"
        "    public static void main(String[] args) {\n"
        '        System.out.println("}" + twice(2));\n    }\n}\n```\nDone.',
    ),
    (
        "java method alone",
        ("humaneval-x java", "mbxp java", "multipl-e java"),
        "```java\npublic static TYPE twice(TYPE x) {\n    return help(x);\n}\n\n"
        "static TYPE help(TYPE x) { return 2 * x; }\n```",
    ),
    (
        "c++ program with its main",
        ("humaneval-x cpp", "mbxp cpp", "multipl-e cpp"),
        "Here you go:\n```cpp\n#include <iostream>\nusing namespace std;\n\n"
        "long help(long x) { return x; }\n\nTYPE twice(TYPE x) {\n    if (x == 0) { return 0; }\n"
        "    return 2 * help(x);\n}\n\nint main() {\n    cout << twice(4) << endl;\n"
        "    return 0;\n}\n```",
    ),
    (
        "brace body that goes on",
        ("humaneval-x cpp", "mbxp cpp", "multipl-e cpp", "humaneval-x javascript",
         "mbxp javascript", "multipl-e javascript"),
        "    // twice {\n    return LEFT 2 * x RIGHT;\n}\n\nint other() {\n    return",
    ),
    (
        "javascript function with examples",
        ("humaneval-x javascript", "mbxp javascript", "multipl-e javascript"),
        "```js\nfunction help(x) { return x; }\n\nfunction double(x) {\n"
        "  return LEFT 2 * help(x) RIGHT;\n}\n\nconst twice = double;\n"
        "console.log(double(2));\n```",
    ),
]  # fmt: skip


def _in(language: str, suite: str, answer: str) -> str:
    """The answer with the types and the return value that this suite's row asks for."""
    wide = "long" if suite == "multipl-e" else "int"
    left, right = ("[", "]") if (suite, language) == ("mbxp", "javascript") else ("", "")
    if suite == "multipl-e" and language == "javascript":
        answer = answer.replace("function double", "function twice")
        answer = answer.replace("const twice = double", "const double = twice")
    elif language == "javascript":
        answer = answer.replace("const twice = double;\n", "")
    return answer.replace("TYPE", wide).replace("LEFT", left).replace("RIGHT", right)


@sandboxed
def test_answers_become_programs_that_pass(problems: dict[str, Problem]) -> None:
    jobs, shown = [], {}
    for kind, names, answer in ANSWERS:
        for name in names:
            problem = problems[name]
            suite, _, language = name.partition(" ")
            text = _in(language, suite, answer)
            for twin, given in (("right", text), ("wrong", text.replace("2 *", "3 *"))):
                program = extract(problem, given).program(problem)
                key = f"{twin}: {kind}: {name}"
                shown[key] = program
                jobs.append(Job(key, problem.language, program, problem.tests))
    verdicts = {verdict.id: verdict for verdict in run_jobs(jobs)}
    for key, verdict in verdicts.items():
        passed = verdict.status == "pass"
        assert passed == key.startswith("right"), f"{key}: {verdict.detail}\n{shown[key]}"
    assert len(verdicts) > 60


def test_a_repeated_prompt_is_taken_off(problems: dict[str, Problem]) -> None:
    for name in ("humaneval", "multipl-e cpp", "humaneval-x go", "humaneval-x rust"):
        problem = problems[name]
        body = "    return 2 * x" + ("" if name == "humaneval" else ";") + "\n"
        closing = "" if problem.language == "python" else "}\n"
        found = extract(problem, "```\n" + problem.prompt + body + closing + "```\n")
        assert not found.is_program
        assert found.text.rstrip() == (body if problem.tests_close else body + closing).rstrip()


def test_a_rust_function_does_not_import_twice(problems: dict[str, Problem]) -> None:
    problem = problems["humaneval-x rust"]
    found = extract(
        problem,
        "```rust\nuse std::cmp::max;\nuse std::collections::HashMap;\n\n"
        "fn double(x: i32) -> i32 {\n    return 2 * x;\n}\n\nfn main() {\n    double(1);\n}\n```",
    )
    assert found.is_program
    assert found.text.count("cmp::max") == 1
    assert "collections::HashMap" in found.text
    assert "fn main" not in found.text


def test_a_go_answer_keeps_the_prompts_frame(problems: dict[str, Problem]) -> None:
    problem = problems["humaneval-x go"]
    found = extract(
        problem,
        '```go\npackage main\n\nimport "sort"\n\nfunc Double(x float64) float64 {\n'
        "\tsort.Ints(nil)\n\treturn help(x)\n}\n\nfunc help(x float64) float64 { return 2 * x }\n"
        "\nfunc main() {\n}\n```",
    )
    program = found.program(problem)
    assert program.count("package main") == 1
    assert program.count("import") == 1
    assert '\t"sort"\n' in program
    assert "func help" in program
    assert "func main" not in program


def test_a_go_answer_between_words_keeps_its_import_block(problems: dict[str, Problem]) -> None:
    code = 'import (\n\t"sort"\n)\n\nfunc Double(x float64) float64 {\n\tsort.Ints(nil)\n}\n'
    problem = problems["humaneval-x go"]
    program = extract(problem, f"Here it is:\n\n{code}").program(problem)
    assert program == extract(problem, code).program(problem)
    assert program.count("import") == 1


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("humaneval-x go", "func Double(x float64) float64 {\n\treturn twice(x)\n}\n\n"
         "// The last of all\nfunc twice(v float64) float64 { return 2 * v }\n"),
        ("mbxp javascript", "function double(x) {\n  return twice(x);\n}\n\n"
         "const twice = v => v * 2\n"),
    ],
)  # fmt: skip
def test_words_behind_a_function_without_fences_are_no_code(
    problems: dict[str, Problem], name: str, code: str
) -> None:
    problem = problems[name]
    words = "\n\nThis runs in O(1).\n\n- time: constant, `O(1)`\n2. It needs no memory at all.\n"
    program = extract(problem, f"The function:\n\n{code}{words}").program(problem)
    assert program == extract(problem, code).program(problem)
    assert "twice" in program


def test_nothing_in_nothing_out(problems: dict[str, Problem]) -> None:
    for problem in problems.values():
        for answer in ("", "\n\n", "I cannot help with that.", "```", "```python\n```"):
            assert isinstance(extract(problem, answer).program(problem), str)


@pytest.mark.parametrize(
    ("name", "completion", "kept"),
    [
        ("humaneval", "    return 1\n\ndef other():\n", "    return 1\n"),
        ("humaneval", "    return 1\n\n# Next\n", "    return 1\n"),
        ("humaneval", "    # no\n    return 1\n", "    # no\n    return 1\n"),
        ("humaneval", "    return 1\n```\nThis", "    return 1"),
        (
            "multipl-e cpp",
            "  if (x) { y(); }\n  return x;\n}\nint z",
            "  if (x) { y(); }\n  return x;",
        ),
        ("multipl-e javascript", "  return 1;\n}\nconsole.log(1)", "  return 1;\n}\n"),
        ("mbxp java", "  return 1;\n  }\n}\nclass X", "  return 1;\n  }\n}\n"),
        ("mbpp", "x = 1\n[DONE]\nmore", "x = 1"),
    ],
)
def test_stop_rules(problems: dict[str, Problem], name: str, completion: str, kept: str) -> None:
    problem = problems[name]
    assert cut(problem, completion).rstrip() == kept.rstrip()
    # What is complete is complete at every longer text as well, and its cut is stable.
    assert cut(problem, cut(problem, completion)) == cut(problem, completion)
    assert is_finished(problem, completion) == (completion.rstrip() != kept.rstrip())


def test_a_closed_function_is_finished_at_once(problems: dict[str, Problem]) -> None:
    assert is_finished(problems["mbxp cpp"], "  return 1;\n}")
    assert not is_finished(problems["mbxp java"], "  return 1;\n  }")
    assert is_finished(problems["mbxp java"], "  return 1;\n  }\n}")


def test_function_names(problems: dict[str, Problem]) -> None:
    names = {name: function_name(problem) for name, problem in problems.items()}
    assert set(names.values()) == {"double", "twice", "Double", "check", "both"}
    assert names["humaneval-x javascript"] == "double"
    assert names["multipl-e java"] == "twice"


def test_a_variable_named_like_its_function_is_no_definition(problems: dict[str, Problem]) -> None:
    problem = problems["multipl-e javascript"]
    body = "  let twice = (x + x) * 1;\n  return twice;\n}\n"
    assert extract(problem, body) == Extracted(body, False)
    arrow = extract(problem, "```js\nconst twice = async (x) => {\n  return 2 * x;\n};\n```")
    assert arrow.is_program


def test_entities_in_strings_are_the_programs_own(problems: dict[str, Problem]) -> None:
    code = 'def double(x):\n    return x.replace("&amp;", "&") or unescape(\'&lt;\')\n'
    for text in (code, code.replace('"&"', '"and"')):
        assert extract(problems["mbpp"], text).text == text


def test_assignments_before_a_python_function_are_kept(problems: dict[str, Problem]) -> None:
    code = "MAX=1000;\ndef double(x):\n  return 2 * x"
    assert extract(problems["mbpp"], code).text == code


def test_fences_of_different_kinds() -> None:
    blocks = fenced_blocks("a\n````md\n```py\nx\n```\n````\n~~~\ny\n~~~\n  ```c++\nz")
    assert [(b.tag, b.code) for b in blocks] == [
        ("md", "```py\nx\n```\n"),
        ("", "y\n"),
        ("c++", "z"),
    ]


def test_extracted_completions_follow_their_prompt(
    problems: dict[str, Problem], tmp_path: Path
) -> None:
    problem = problems["humaneval"]
    assert Extracted("    pass\n", False).program(problem) == problem.prompt + "    pass\n"
    assert Extracted("x = 1\n", True).program(problem) == "x = 1\n"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published suites are not beside the checkout")
@pytest.mark.parametrize(
    "name",
    [
        "humaneval/HumanEval.jsonl.gz",
        "mbxp/mbjsp_release_v1.2.jsonl",
        "mbxp/mbjp_release_v1.2.jsonl",
        "mbxp/mbcpp_release_v1.2.jsonl",
    ],
)
def test_published_solutions_come_through_every_way_unharmed(name: str) -> None:
    """As a completion under the stop rules, and as a chat answer that repeats the prompt."""
    problems = [one for one in read_suite(SHARED / name) if one.solution is not None]
    for problem in problems:
        solution = problem.solution or ""
        wanted = problem.program(solution).split()
        assert problem.program(cut(problem, solution)).split() == wanted, problem.id
        assert extract(problem, solution).program(problem).split() == wanted, problem.id
        answer = f"Sure:\n```\n{problem.prompt}{solution}\n```\nDone."
        assert extract(problem, answer).program(problem).split() == wanted, problem.id
