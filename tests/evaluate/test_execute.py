"""pytest tests/evaluate/test_execute.py: reading, running, resuming and summing up a suite."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from codemoe.errors import UserError
from codemoe.evaluate import execute
from codemoe.evaluate.causes import describe
from codemoe.evaluate.execute import execute_suite, read_samples
from codemoe.evaluate.pass_at_k import summarise
from codemoe.evaluate.sandbox import Limits, Verdict, probe
from codemoe.evaluate.suites import read_suite

sandboxed = pytest.mark.skipif(probe().tier is None, reason=f"no sandbox: {probe().reason}")
PROMPT = "def add(a, b):\n"
TESTS = "\nassert add(1, 2) == 3\n"


def _row(name: Any, **more: Any) -> dict[str, Any]:
    row = {"id": name, "language": "Python", "prompt": PROMPT, "tests": TESTS}
    return {**row, "solution": "    return a + b\n", "entry_point": "add", **more}


def _write(path: Path, *rows: Any) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return _write(tmp_path / "suite.jsonl", _row("a"), _row(7))


def test_reads_plain_and_gzipped_suites(suite: Path, tmp_path: Path) -> None:
    problems = read_suite(suite)
    assert [(p.id, p.language) for p in problems] == [("a", "python"), ("7", "python")]
    packed = tmp_path / "suite.jsonl.gz"
    packed.write_bytes(gzip.compress(suite.read_bytes()))
    assert read_suite(packed) == problems


def test_samples_are_completions_or_programs(suite: Path, tmp_path: Path) -> None:
    samples = read_samples(
        _write(
            tmp_path / "s.jsonl",
            {"task_id": "a", "completion": "    return 1\n"},
            {"id": 7, "program": "x = 1"},
            {"id": "a", "completion": "    return 2\n"},
            {"id": "a", "answer": "So:\n```python\n" + PROMPT + "    return 3\n```\n"},
        ),
        read_suite(suite),
    )
    assert [s.key for s in samples] == [("a", 0), ("7", 0), ("a", 1), ("a", 2)]
    assert samples[0].program == PROMPT + "    return 1\n"
    assert samples[1].program == "x = 1"
    assert samples[3].program == PROMPT + "    return 3\n"
    assert len({s.digest for s in samples}) == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "is empty"),
        (["{"], ":1: broken JSON"),
        (["[1]"], ":1: expected a JSON object, found list"),
        (["[" * 100_000], ":1: broken JSON"),
        ([_row("a"), "", _row("a")], ":3: id 'a' was already used in line 1"),
        ([_row(None)], ":1: no 'id'"),
        ([_row("a", language="Klingon")], ":1: unknown language 'Klingon'"),
        ([_row("a", prompt=3)], ":1: 'prompt' must be a text, found int"),
        ([_row("a", tests=" ")], ":1: 'tests' is empty"),
        (
            [{"id": "a", "language": "python", "prompt": ""}],
            "'tests' must be a text, it is missing",
        ),
    ],
)
def test_bad_suites_name_the_line(rows: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_suite(_write(tmp_path / "suite.jsonl", *rows))
    assert message in caught.value.what


def test_unreadable_files_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_suite(tmp_path / "absent.jsonl")
    (tmp_path / "bad.jsonl").write_bytes(b"\xff\xfe\n")
    with pytest.raises(UserError, match=":1: not UTF-8"):
        read_suite(tmp_path / "bad.jsonl")
    (tmp_path / "bad.jsonl.gz").write_bytes(b"plain")
    with pytest.raises(UserError, match="gzip"):
        read_suite(tmp_path / "bad.jsonl.gz")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps(_row("a")).encode())[:-9])
    with pytest.raises(UserError, match="gzip"):
        read_suite(tmp_path / "cut.jsonl.gz")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "b", "completion": ""}, ":1: the suite has no problem 'b'"),
        ({"id": "a"}, "found none of them"),
        ({"id": "a", "completion": "", "program": ""}, "found completion and program"),
        ({"id": "a", "completion": None}, "'completion' must be a text"),
        ({"completion": ""}, "no 'id' or 'task_id'"),
    ],
)
def test_bad_samples_name_the_line(
    row: dict[str, Any], message: str, suite: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        read_samples(_write(tmp_path / "s.jsonl", row), read_suite(suite))
    assert message in caught.value.what


def test_ids_of_mbpp_may_name_their_suite(suite: Path, tmp_path: Path) -> None:
    path = _write(
        tmp_path / "s.jsonl",
        {"task_id": "Mbpp/7", "program": "x"},
        {"task_id": 7, "program": "y"},
    )
    assert [s.key for s in read_samples(path, read_suite(suite))] == [("7", 0), ("7", 1)]


def test_more_samples_are_needed_for_a_larger_k(suite: Path) -> None:
    with pytest.raises(UserError, match="pass@10 needs 10 samples"):
        execute_suite(suite, k=(1, 10))
    with pytest.raises(UserError, match="at least 1"):
        execute_suite(suite, k=())


def test_no_solutions_no_canonical_run(tmp_path: Path) -> None:
    suite = _write(tmp_path / "suite.jsonl", _row("a", solution=None), _row("b", solution=None))
    with pytest.raises(UserError, match="all 2 problems have no 'solution'"):
        execute_suite(suite)


@sandboxed
def test_problems_without_a_solution_are_left_out_and_counted(tmp_path: Path) -> None:
    suite = _write(tmp_path / "suite.jsonl", _row("a"), _row("b", solution=None))
    result = execute_suite(suite)
    assert (result["n"], result["passed"], result["unanswered"]) == (1, 1, 1)


def test_pass_at_k_is_the_mean_over_problems_of_what_ran() -> None:
    verdicts = [
        Verdict(name, language, status, 0.1, "")
        for name, language, status in (
            ("a", "python", "pass"),
            ("a", "python", "fail"),
            ("b", "python", "timeout"),
            ("b", "python", "error"),
            ("c", "go", "missing_toolchain"),
            ("d", "java", "sandbox_error"),
            ("d", "java", "pass"),
        )
    ]
    found = summarise(verdicts, (1, 2))
    assert (found["n"], found["passed"], found["not_run"]) == (5, 2, 2)
    # a: 1 of 2, b: 0 of 2, d: 1 of 1. At k = 2, d has too few samples.
    assert found["pass_at_k"] == {"1": pytest.approx(0.5), "2": pytest.approx(0.5)}
    assert found["by_language"]["go"]["pass_at_k"] == {"1": None, "2": None}
    assert found["by_language"]["python"]["pass_at_k"]["1"] == pytest.approx(0.25)
    assert found["by_status"]["missing_toolchain"] == 1
    low, high = found["pass_at_k_interval"]["1"]
    assert 0.0 <= low < 0.5 < high <= 1.0
    assert found["by_language"]["go"]["pass_at_k_interval"]["1"] is None
    assert found["by_language"]["go"]["detectable_difference"] is None
    assert found["detectable_difference"] > 0.5  # three problems show hardly anything


@sandboxed
def test_runs_records_and_resumes(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = _write(
        tmp_path / "s.jsonl",
        {"id": "a", "completion": "    return a + b\n"},
        {"id": "a", "completion": "    return a - b\n"},
    )
    results = tmp_path / "new" / "results.jsonl"
    found = execute_suite(suite, samples, results, k=(1, 2))
    assert (found["n"], found["passed"], found["unanswered"]) == (2, 1, 1)
    assert found["by_status"] == {"pass": 1, "fail": 1}
    assert found["pass_at_k"] == {"1": 0.5, "2": 1.0}
    assert found["sandbox_tier"] == "bubblewrap"
    assert found["by_language"]["python"]["n"] == 2
    json.dumps(found)
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert {"id", "language", "status", "seconds", "detail"} <= set(rows[0])

    # A second run has nothing to do; a torn last line costs only that row; a changed sample
    # is not answered with the verdict of the old one.
    ran: list[int] = []
    real = execute.run_jobs

    def count(jobs: Any, *more: Any, **named: Any) -> Any:
        ran.append(len(jobs))
        return real(jobs, *more, **named)

    monkeypatch.setattr(execute, "run_jobs", count)
    again = execute_suite(suite, samples, results, k=(1, 2))
    assert {**again, "time_scale": found["time_scale"]} == found
    results.write_bytes(results.read_bytes()[:-5])
    again = execute_suite(suite, samples, results, k=(1, 2))
    assert {**again, "time_scale": found["time_scale"]} == found
    _write(
        samples,
        {"id": "a", "completion": "    return 3\n"},
        {"id": "a", "completion": "    return a - b\n"},
    )
    assert execute_suite(suite, samples, results)["passed"] == 1
    assert ran == [0, 1, 1]


@sandboxed
def test_canonical_solutions_pass(suite: Path) -> None:
    seen: list[Verdict] = []
    found = execute_suite(suite, on_result=seen.append)
    assert found["pass_at_k"] == {"1": 1.0}
    assert sorted(v.id for v in seen) == ["7", "a"]


def test_a_foreign_results_file_is_refused(suite: Path, tmp_path: Path) -> None:
    if probe().tier is None:
        pytest.skip(probe().reason)
    results = _write(tmp_path / "r.jsonl", {"id": "a", "status": "fine"})
    with pytest.raises(UserError, match=r"r\.jsonl:1: unknown status 'fine'"):
        execute_suite(suite, None, results)


@sandboxed
def test_rows_say_how_they_were_reached(suite: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    found = execute_suite(suite, None, results)
    row = json.loads(results.read_text().splitlines()[0])
    assert row["tier"] == found["sandbox_tier"] == probe().tier
    assert row["form"] == found["verdict_form"] == "strong"
    assert row["limits"] == found["limits"]
    assert row["tools"] == found["tools"]["python"]
    assert row["tools"].startswith("python3 3.")
    assert found["time_scale"]["python"] >= 1.0
    # Rows of other limits are not taken for these.
    ran: list[Verdict] = []
    execute_suite(suite, None, results, limits=Limits(memory_mb=300), on_result=ran.append)
    assert len(ran) == 2


def test_failures_are_grouped_by_cause() -> None:
    def verdict(name: str, status: str, detail: str) -> Verdict:
        return Verdict(name, "python", status, 0.1, detail, "strong")

    found = describe(
        [
            verdict("a", "error", "NameError: name 'x' is not defined"),
            verdict("b", "error", "NameError: name 'yy' is not defined"),
            verdict("c", "fail", "AssertionError: 3 != 41"),
            verdict("d", "pass", ""),
            Verdict("e", "php", "missing_toolchain", 0.0, "PHP: php is not installed"),
        ]
    )
    groups = [(one["n"], one["status"], one["cause"], one["example"]) for one in found["failures"]]
    assert groups == [
        (2, "error", "NameError: name ... is not defined", "a"),
        (1, "fail", "AssertionError: N != N", "c"),
    ]
    assert found["missing_toolchains"] == {"php": "PHP: php is not installed"}
    assert found["by_form"] == {"strong": 4}


@sandboxed
def test_the_command_shows_causes_and_missing_toolchains(
    codemoe: Any, tmp_path: Path, suite: Path
) -> None:
    wrong = _write(
        tmp_path / "s.jsonl",
        {"id": "a", "completion": "    return missing\n"},
        {"id": 7, "completion": "    return a - b\n"},
    )
    done = codemoe("execute", suite, "--samples", wrong)
    assert done.code == 0, done.err
    assert "why programs failed" in done.out
    assert "NameError: name ... is not defined (such as a)" in done.out
    ruby = _write(tmp_path / "ruby.jsonl", _row("r", language="ruby"))
    done = codemoe("execute", ruby, "--canonical", "--json")
    assert done.code == 1
    assert json.loads(done.out)["missing_toolchains"].keys() == {"ruby"}
    done = codemoe("execute", suite, "--canonical", "--timeout-s", "0")
    done.user_error("--timeout-s is 0")


@sandboxed
def test_without_a_sandbox_by_name_only(codemoe: Any, suite: Path) -> None:
    done = codemoe("execute", suite, "--canonical", "--unsafe-no-sandbox", "--json")
    if "/usr/bin/python3" in done.err:
        pytest.skip("no /usr/bin/python3")
    assert json.loads(done.out)["sandbox_tier"] == "unsafe-no-sandbox"
    assert "with your rights" in done.err
