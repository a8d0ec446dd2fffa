"""pytest tests/evaluate/suites/test_read.py: every published format, as it is published."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from codemoe.errors import UserError
from codemoe.evaluate.sandbox import Job, probe, run_jobs
from codemoe.evaluate.suites import Problem, read_suite, suite_files
from tests.evaluate.suites import rows as published

sandboxed = pytest.mark.skipif(probe().tier is None, reason=f"no sandbox: {probe().reason}")
SHARED = Path(__file__).parents[4] / "shared" / "data" / "benchmarks"


def read_one(path: Path, row: dict[str, Any]) -> Problem:
    path.write_text(json.dumps(row) + "\n")
    (problem,) = read_suite(path)
    return problem


ROWS = {
    "humaneval": published.HUMANEVAL,
    **{f"humaneval-x {name}": row for name, row in published.HUMANEVAL_X.items()},
    "mbpp": published.MBPP,
    **{f"mbxp {name}": row for name, row in published.MBXP.items()},
    **{f"multipl-e {name}": row for name, row in published.MULTIPL_E.items()},
}


@pytest.mark.parametrize("name", ROWS)
def test_format_and_language_come_from_the_file_itself(name: str, tmp_path: Path) -> None:
    suite_format, _, language = name.partition(" ")
    problem = read_one(tmp_path / "any-name.jsonl", ROWS[name])
    assert problem.suite_format == suite_format
    assert problem.language == (language.partition(",")[0] or "python")
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "any-name.jsonl").read_bytes()))
    assert read_suite(packed) == [problem]


def _solution(problem: Problem) -> str:
    # MultiPL-E has none; where its tests end the function, the brace is theirs.
    return problem.solution or "    return 2 * x;\n}\n"


@sandboxed
def test_solutions_pass_and_wrong_ones_fail(tmp_path: Path) -> None:
    """Each format's own way to fail counts: an exception, an assertion, console.assert."""
    problems = {name: read_one(tmp_path / "s.jsonl", row) for name, row in ROWS.items()}
    jobs = []
    for name, problem in problems.items():
        solution = _solution(problem)
        for kind, completion in (("right", solution), ("wrong", solution.replace("2 *", "3 *"))):
            if kind == "wrong" and "2 *" not in solution:
                continue
            jobs.append(
                Job(f"{kind} {name}", problem.language, problem.program(completion), problem.tests)
            )
    statuses = {v.id: (v.status, v.detail) for v in run_jobs(jobs)}
    ran = {name: one for name, one in statuses.items() if one[0] != "missing_toolchain"}
    assert len(ran) >= 20
    assert {n: one for n, one in ran.items() if n.startswith("right") and one[0] != "pass"} == {}
    assert {n: one for n, one in ran.items() if n.startswith("wrong") and one[0] == "pass"} == {}


def test_mbpp_asks_for_a_whole_program_and_shows_its_tests(tmp_path: Path) -> None:
    problem = read_one(tmp_path / "s.jsonl", published.MBPP)
    assert problem.id == "900"
    assert problem.entry_point == "double"
    assert problem.program("x = 1") == "x = 1"
    assert "assert double(4) == 8" in problem.task
    # The set-up uses the program, and the tests use the set-up.
    assert problem.tests.index("zero = double(0)") < problem.tests.index("== zero")


def test_sanitised_mbpp(tmp_path: Path) -> None:
    row = {
        "task_id": 2,
        "source_file": "x",
        "prompt": "Write a function to double.",
        "code": "def f(x): return 2 * x",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(f(2), 4)"],
    }
    problem = read_one(tmp_path / "s.jsonl", row)
    assert problem.tests == "\nimport math\nassert math.isclose(f(2), 4)\n"
    assert problem.prompt == ""
    assert problem.entry_point == "f"


def test_a_completion_that_closes_the_function_does_not_close_it_twice(tmp_path: Path) -> None:
    """Chat models write the brace that MultiPL-E's tests bring along."""
    for language in ("cpp", "java", "javascript"):
        problem = read_one(tmp_path / "s.jsonl", published.MULTIPL_E[language])
        body = '  if (x > 0) { /* } */ return "}".length; }\n  return 2 * x;\n'
        closed = problem.program(body + "}\n\nint helper() { return 1; }\n")
        if language == "javascript":  # its tests close nothing
            assert closed.endswith("return 1; }\n")
        else:
            assert closed == problem.prompt + body
            assert problem.program(body) == problem.prompt + body


def test_java_tuples_are_there_when_named_and_only_then(tmp_path: Path) -> None:
    problem = read_one(tmp_path / "s.jsonl", published.MULTIPL_E["java, with tuples"])
    program = problem.program("        return null;\n")
    assert "javatuples" not in program
    assert "final class Pair<A, B>" in program
    assert "final class Triplet<A, B, C>" in program
    assert "Quartet" not in program
    own = problem.program("        return null;\n    }\n}\nclass Pair<A, B> {\n")
    assert "final class Pair" in own  # what follows the function is cut off
    plain = read_one(
        tmp_path / "s.jsonl",
        {**published.MULTIPL_E["java"], "prompt": "import org.javatuples.*;\nclass Problem {\n"},
    )
    assert plain.program("") == "class Problem {\n"


def test_rust_drops_crates_that_are_not_used(tmp_path: Path) -> None:
    problem = read_one(tmp_path / "s.jsonl", published.HUMANEVAL_X["rust"])
    program = problem.program("    return 2 * x;\n}\n")
    assert "use std::cmp::max;" in program
    assert "rand" not in program
    assert "md5" not in program
    assert "use regex::Regex;" in problem.program('    let r = Regex::new("a");\n    x\n}\n')
    assert "fn main() {\n    tests::test_double();\n}" in problem.tests


def test_go_imports_what_is_used_and_nothing_else(tmp_path: Path) -> None:
    problem = read_one(tmp_path / "s.jsonl", published.HUMANEVAL_X["go"])
    program = problem.program("    return 2 * x\n}\n")
    assert program.startswith('package main\n\nimport (\n\t"reflect"\n\t"testing"\n)\n')
    assert program.count("import") == 1
    used = problem.program("    return math.Abs(strings.Count(fmt.Sprint(x)))\n}\n")
    for name in ("fmt", "math", "strings"):
        assert f'\t"{name}"\n' in used


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "?", "answer": "!"}, "no suite that codemoe knows; fields: answer, question"),
        ({**published.MBPP, "test_list": []}, "'test_list' is empty"),
        ({**published.MBPP, "test_list": "assert"}, "must be a list of texts, found str"),
        ({**published.MBPP, "test_list": [3]}, "must hold texts, found int"),
        ({**published.MULTIPL_E["cpp"], "language": "rkt"}, "unknown language 'rkt'"),
        ({**published.HUMANEVAL_X["java"], "task_id": "Cobol/1"}, "unknown language 'Cobol'"),
        ({**published.MBXP["java"], "test": None}, "'test' must be a text, found NoneType"),
    ],
)
def test_defects_are_told(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"suite\.jsonl:1") as caught:
        read_one(tmp_path / "suite.jsonl", row)
    assert message in caught.value.what


def test_a_folder_names_its_files(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl.gz").touch()
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "LICENSE").touch()
    assert [path.name for path in suite_files(tmp_path)] == ["a.jsonl", "b.jsonl.gz"]
    assert suite_files(tmp_path / "a.jsonl") == [tmp_path / "a.jsonl"]
    with pytest.raises(UserError, match=r"folder; it has a\.jsonl, b\.jsonl\.gz"):
        read_suite(tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published suites are not beside the checkout")
def test_the_published_files_are_read_whole() -> None:
    counts = {
        "humaneval/HumanEval.jsonl.gz": ("humaneval", 164, 164),
        "humaneval-x-sample/humaneval_js.jsonl.gz": ("humaneval-x", 5, 5),
        "mbpp/mbpp.jsonl": ("mbpp", 974, 974),
        "mbxp/mbjp_release_v1.2.jsonl": ("mbxp", 966, 874),
        "mbxp/mbcpp_release_v1.2.jsonl": ("mbxp", 848, 773),
        "multipl-e-humaneval/humaneval-java.jsonl": ("multipl-e", 158, 0),
        "multipl-e-humaneval/humaneval-go.jsonl": ("multipl-e", 154, 0),
    }
    for name, (suite_format, rows, solved) in counts.items():
        problems = read_suite(SHARED / name)
        assert {problem.suite_format for problem in problems} == {suite_format}, name
        assert len(problems) == rows, name
        assert sum(problem.solution is not None for problem in problems) == solved, name
