"""pytest tests/evaluate/sandbox/test_forgeries.py: programs written against this sandbox fail."""

import pytest

from codemoe.evaluate.sandbox import Job, Limits, Verdict, probe, run_jobs

from .forgeries import FORGERIES, TESTS, Forgery

pytestmark = pytest.mark.skipif(probe().tier is None, reason=f"no sandbox: {probe().reason}")

RIGHT = {
    "python": "def add(a, b):\n    return a + b\n",
    "javascript": "const add = (a, b) => a + b;\n",
    "typescript": "function add(a: number, b: number): number { return a + b; }\n",
    "java": "import java.util.*;\nclass Solution {\n  static List<Integer> add(int a, int b) "
    "{ return new ArrayList<>(List.of(a + b)); }\n}\n",
    "cpp": "#include <vector>\nstd::vector<int> add(int a, int b) { return {a + b}; }\n",
    "c": "int add(int a, int b) { return a + b; }\n",
    "go": 'package x_test\n\nimport (\n    "testing"\n)\n\nfunc add(a int, b int) int '
    "{ return a + b }\n",
    "rust": "fn add(a: i32, b: i32) -> i32 { a + b }\n",
    "php": "<?php\nfunction add($a, $b) { return $a + $b; }\n",
    "csharp": "using System;\nusing System.Diagnostics;\nclass Problem {\n"
    "    public static long Add(long a, long b) {\n    return a + b;\n    }\n",
}


def _job(name: str, one: Forgery) -> Job:
    tests = one.tests if one.tests is not None else TESTS[one.language]
    return Job(name, one.language, one.program, tests, one.prompt, one.entry_point)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    jobs = [_job(f"{one.language}: {one.name}", one) for one in FORGERIES]
    jobs += [
        Job(f"{language}: right", language, program, TESTS[language], "", "add")
        for language, program in RIGHT.items()
    ]
    found = run_jobs(jobs, Limits(wall_s=2.0), calibrate=False)
    return {verdict.id: verdict for verdict in found}


@pytest.mark.parametrize("language", list(RIGHT))
def test_the_tests_can_be_passed(language: str, verdicts: dict[str, Verdict]) -> None:
    """Or the forgeries would prove nothing."""
    verdict = verdicts[f"{language}: right"]
    if verdict.status == "missing_toolchain":
        pytest.skip(verdict.detail)
    assert verdict.status == "pass", verdict


@pytest.mark.parametrize("one", FORGERIES, ids=lambda one: f"{one.language}: {one.name}")
def test_forgeries_do_not_pass(one: Forgery, verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts[f"{one.language}: {one.name}"]
    if verdict.status == "missing_toolchain":
        pytest.skip(verdict.detail)
    assert verdict.status not in ("pass", "sandbox_error"), verdict
    assert verdict.form == ("strong" if one.language in STRONG else "guarded")


STRONG = ("python", "javascript", "typescript")
