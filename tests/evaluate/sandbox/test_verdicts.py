"""pytest tests/evaluate/sandbox/test_verdicts.py: every program gets an accepted status."""

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from codemoe.evaluate.sandbox import Job, Limits, Verdict, probe, run_jobs
from codemoe.evaluate.sandbox.tier import probe_tier

from .programs import CHEATS, HOSTILE, PLAIN, SLOW, TESTS, Case

pytestmark = pytest.mark.skipif(probe().tier is None, reason=f"no sandbox: {probe().reason}")
LIMITS = Limits(wall_s=2.0)


def _name(case: Case) -> str:
    return f"{case.language}: {case.name}"


def _judge(cases: Sequence[Case], port: int = 9) -> dict[str, Verdict]:
    jobs = [
        Job(
            _name(case),
            case.language,
            case.program.replace("PORT", str(port)),
            TESTS[case.language] if case.tests is None else case.tests,
        )
        for case in cases
    ]
    return {verdict.id: verdict for verdict in run_jobs(jobs, LIMITS, calibrate=False)}


def _check(case: Case, verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts[_name(case)]
    if verdict.status == "missing_toolchain":
        pytest.skip(verdict.detail)
    assert verdict.status in case.accepted.split(), verdict
    assert verdict.detail.isprintable()
    assert len(verdict.detail) <= 500


@pytest.fixture(scope="module")
def plain() -> dict[str, Verdict]:
    return _judge(PLAIN + CHEATS)


@pytest.fixture(scope="module")
def hostile() -> tuple[dict[str, Verdict], bool]:
    """Verdicts, and whether a host listener was reached."""
    os.environ["SANDBOX_TEST_SECRET"] = "secret"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.01)
        verdicts = _judge(HOSTILE, server.getsockname()[1])
        try:
            server.accept()[0].close()
            reached = True
        except TimeoutError:
            reached = False
    del os.environ["SANDBOX_TEST_SECRET"]
    return verdicts, reached


@pytest.mark.parametrize("case", PLAIN, ids=_name)
def test_plain_programs(case: Case, plain: dict[str, Verdict]) -> None:
    _check(case, plain)


@pytest.mark.parametrize("case", CHEATS, ids=_name)
def test_cheats_do_not_pass(case: Case, plain: dict[str, Verdict]) -> None:
    _check(case, plain)


@pytest.mark.parametrize("case", HOSTILE, ids=_name)
def test_hostile_programs(case: Case, hostile: tuple[dict[str, Verdict], bool]) -> None:
    _check(case, hostile[0])


@pytest.mark.slow
def test_slow_hostile_programs() -> None:
    verdicts = _judge(SLOW)
    for case in SLOW:
        _check(case, verdicts)


def test_nothing_reaches_the_host_or_stays(
    hostile: tuple[dict[str, Verdict], bool],
) -> None:
    assert not hostile[1]
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in path.read_text().split():
            status = Path(f"/proc/{pid}/stat").read_text()
            assert "bwrap" not in status, status
            assert " Z " not in status, status
    assert not Path("/usr/x").exists()


def test_an_ordinary_user_is_confined_as_well() -> None:
    """The same sandbox without root; needs an interpreter and sources that others can read."""
    code = (
        "from codemoe.evaluate.sandbox import Job, run_jobs\n"
        "v = run_jobs([Job('1', 'python', 'x = 1', 'assert x == 1'),"
        " Job('2', 'python', 'import os; os._exit(0)', '')])\n"
        "print(*(r.status for r in v))"
    )
    assert _as_ordinary_user(code).split() == ["pass", "no_verdict"]


def test_what_else_a_user_runs_does_not_count_against_threads() -> None:
    """Without namespaces the kernel counts all tasks of a user together."""
    if probe_tier("landlock").tier is None:
        pytest.skip("no Landlock here")
    program = (
        "import threading\n"
        "def f():\n"
        "    threads = [threading.Thread(target=int) for _ in range(20)]\n"
        "    for thread in threads: thread.start()\n"
        "    return len(threads)\n"
    )
    code = (
        "import subprocess\n"
        "from codemoe.evaluate.sandbox import Job, run_jobs\n"
        "others = [subprocess.Popen(['sleep', '60']) for _ in range(80)]\n"
        "jobs = [Job(str(n), 'python', " + repr(program) + ", 'assert f() == 20') for n in '12']\n"
        "print(*(r.status for r in run_jobs(jobs, tier='landlock', calibrate=False)))\n"
        "for other in others: other.kill()\n"
    )
    assert _as_ordinary_user(code).split() == ["pass", "pass"]


def _as_ordinary_user(code: str) -> str:
    """What the code prints, run by a user without rights."""
    source = Path(__file__).parents[3] / "src"
    if os.geteuid() != 0:
        pytest.skip("this test run is an ordinary user's already")
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no /usr/bin/python3")
    drop = ["setpriv", "--reuid=61999", "--regid=61999", "--clear-groups", "env"]
    command = [*drop, f"PYTHONPATH={source}", "HOME=/nonexistent", "/usr/bin/python3", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    if "ModuleNotFoundError" in done.stderr or "SyntaxError" in done.stderr:
        pytest.skip("sources or interpreter not usable for an ordinary user")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_shared_hostile_programs() -> None:
    import json

    shared = Path(__file__).parents[3] / ".." / "shared" / "hostile"
    if not (shared / "index.json").exists():
        pytest.skip("the shared hostile programs are not here")
    index = json.loads((shared / "index.json").read_text())
    jobs = [
        Job(
            str(row["id"]),
            row["lang"],
            (shared / row["file"]).read_text("utf-8"),
            index["tests"][row["lang"]],
        )
        for row in index["programs"]
    ]
    verdicts = run_jobs(jobs)
    wrong = [
        (row["file"], verdict)
        for row, verdict in zip(index["programs"], verdicts, strict=True)
        if verdict.status not in (*row["expected"], "missing_toolchain")
    ]
    assert not wrong
