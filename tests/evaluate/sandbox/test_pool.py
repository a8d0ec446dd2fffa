"""pytest tests/evaluate/sandbox/test_pool.py: order, caching, refusal, and cleaning up."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codemoe.errors import WorkError
from codemoe.evaluate.sandbox import (
    Job,
    Limits,
    SandboxProbe,
    Verdict,
    landlock,
    pool,
    probe,
    run_jobs,
)
from codemoe.evaluate.sandbox.child import Child, adopting_orphans
from codemoe.evaluate.sandbox.process import RawRun
from codemoe.evaluate.sandbox.records import STATUSES, run_profile
from codemoe.evaluate.sandbox.session import Session
from codemoe.evaluate.sandbox.tier import probe_tier
from codemoe.evaluate.sandbox.verdict import clean, judge_run

sandboxed = pytest.mark.skipif(probe().tier is None, reason=f"no sandbox: {probe().reason}")
NONCE = "0123456789abcdef" * 2


def _run(code: int = 0, result: str = "S\n", stderr: str = "", **more: bool) -> tuple[str, str]:
    return judge_run(RawRun(code, 1.0, result.encode(), b"", stderr, **more), NONCE)


def _job(name: str, program: str, tests: str = "") -> Job:
    return Job(name, "python", program, tests)


def test_only_the_nonce_with_a_clean_exit_is_a_pass() -> None:
    assert _run(0, f"S\nP {NONCE}\n")[0] == "pass"
    assert _run(0, "S\n")[0] == "no_verdict"
    assert _run(0, f"S\nP {NONCE[::-1]}\n")[0] == "no_verdict"
    assert _run(0, f"S\nP {NONCE} and more\n")[0] == "no_verdict"
    assert _run(1, f"S\nP {NONCE}\n")[0] == "error"
    assert _run(0, f"S\nP {NONCE}\n", timed_out=True)[0] == "timeout"
    assert _run(0, f"S\nP {NONCE}\n", output_exceeded=True)[0] == "output_limit"


@pytest.mark.parametrize(
    ("code", "stderr", "status"),
    [
        (139, "", "crash"),
        (134, "a.out: tests.cpp:1: int main(): Assertion `x' failed.", "fail"),
        (134, "free(): invalid pointer", "crash"),
        (134, "FATAL ERROR: JavaScript heap out of memory", "oom"),
        (152, "", "timeout"),
        (153, "", "output_limit"),
        (3, "Terminating due to java.lang.OutOfMemoryError", "oom"),
        (1, "", "error"),
    ],
)
def test_exit_codes_through_the_sandbox(code: int, stderr: str, status: str) -> None:
    assert _run(code, stderr=stderr)[0] == status


def test_a_sandbox_that_did_not_start_is_not_the_programs_fault() -> None:
    assert _run(1, "", "bwrap: Can't mount proc")[0] == "sandbox_error"
    # Once the launcher was reached, the same words are the candidate's own.
    assert _run(1, "S\n", "bwrap: Can't mount proc")[0] == "error"


def test_details_are_printable_and_bounded() -> None:
    assert clean("a\x1b[2J\x00 b\n\tc") == "a?[2J? b c"
    assert len(clean("x" * 10_000)) == 500


@sandboxed
def test_verdicts_keep_the_order_and_same_programs_run_once() -> None:
    jobs = [
        _job("slow", "import time; time.sleep(0.5)"),
        _job("a", "x = 1", "assert x == 1"),
        _job("b", "x = 2", "assert x == 1"),
        _job("c", "x = 1", "assert x == 1"),
        Job("js", "JS", "var x = 1", "if (x !== 1) throw 'no'"),
    ]
    seen: list[Verdict] = []
    verdicts = run_jobs(jobs, on_result=seen.append)
    assert [v.id for v in verdicts] == ["slow", "a", "b", "c", "js"]
    expected = ["pass", "pass", "fail", "pass", "pass"]
    assert [v.status for v in verdicts if v.language == "python"] == expected[:4]
    assert sorted(v.id for v in seen) == sorted(v.id for v in verdicts)
    assert verdicts[3].seconds == 0.0 < verdicts[1].seconds
    assert verdicts[4].language == "javascript"
    assert all(v.status in STATUSES for v in verdicts)


@sandboxed
def test_cached_verdicts_need_no_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [_job("a", "x = 1", "assert x == 1"), _job("b", "x = 2", "assert x == 1")]
    first = run_jobs(jobs, cache=tmp_path)

    def refuse(*_: object) -> None:
        raise AssertionError("run again")

    monkeypatch.setattr(Session, "judge", refuse)
    again = run_jobs(jobs, cache=tmp_path)
    assert [(v.id, v.status) for v in again] == [(v.id, v.status) for v in first]
    with pytest.raises(AssertionError, match="run again"):  # other limits, other key
        run_jobs(jobs, Limits(memory_mb=600), cache=tmp_path)


@sandboxed
def test_timeouts_are_not_cached(tmp_path: Path) -> None:
    jobs = [_job("a", "while True: pass")]
    assert run_jobs(jobs, Limits(wall_s=0.5), cache=tmp_path)[0].status == "timeout"
    assert not list(tmp_path.rglob("*.json"))


@sandboxed
def test_a_language_without_a_runner_is_missing_not_failing() -> None:
    verdict = run_jobs([Job("1", "ruby", "puts 1", "")])[0]
    assert verdict.status == "missing_toolchain"
    assert not verdict.counted
    assert "ruby" in verdict.detail


def test_no_sandbox_means_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "probe", lambda: SandboxProbe(None, "no bwrap", "apt install it"))
    with pytest.raises(WorkError, match="no bwrap") as caught:
        run_jobs([_job("1", "x = 1")])
    assert caught.value.fix == "apt install it"


def test_probe_names_the_missing_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    state = probe.__wrapped__()  # type: ignore[attr-defined]  # past its cache
    assert state.tier is None
    assert "bwrap" in state.reason
    assert "apt-get install" in state.fix


@sandboxed
def test_an_error_in_the_callback_ends_everything() -> None:
    jobs = [
        _job("a", "x = 1"),
        *(_job(f"s{i}", f"import time; time.sleep({600 + i})") for i in range(4)),
    ]

    def fail(_: Verdict) -> None:
        raise RuntimeError("stop")

    before = _descendants(os.getpid())  # multiprocessing's tracker, where a test has started it
    begun = time.monotonic()
    with pytest.raises(RuntimeError, match="stop"):
        run_jobs(jobs, Limits(wall_s=60), on_result=fail)
    assert time.monotonic() - begun < 20
    assert not _descendants(os.getpid()) - before


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in path.read_text().split():
                found |= {int(child)} | _descendants(int(child))
        except OSError:
            continue
    return found


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@sandboxed
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("tier", ["bubblewrap", "landlock"])
def test_ending_the_evaluation_ends_its_sandboxes(tier: str, how: signal.Signals) -> None:
    if probe_tier(tier).tier is None:
        pytest.skip(probe_tier(tier).reason)
    code = (
        "from codemoe.evaluate.sandbox import *\n"
        "run_jobs([Job('1', 'python', 'import time; time.sleep(600)', ''),"
        " Job('2', 'java', 'class A { }', 'class Main { public static void main(String[] a)"
        " throws Exception { Thread.sleep(600000); } }')], Limits(wall_s=90),"
        f" tier={tier!r}, calibrate=False)"
    )
    source = str(Path(__file__).parents[3] / "src")
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source},
        stderr=subprocess.DEVNULL,
    )
    begun = time.monotonic()
    while len(_descendants(process.pid)) < 3 and time.monotonic() - begun < 30:
        time.sleep(0.05)
    time.sleep(1.0)
    family = _descendants(process.pid)
    assert len(family) >= 3
    process.send_signal(how)
    process.wait(20)
    begun = time.monotonic()
    while not all(map(_gone, family)) and time.monotonic() - begun < 10:
        time.sleep(0.05)
    assert all(map(_gone, family))


@sandboxed
def test_a_sandbox_killed_at_any_age_leaves_nothing() -> None:
    """Bubblewrap's inner process must not survive even when it is only half set up."""
    before = _descendants(os.getpid())
    for pause in range(0, 40):
        with adopting_orphans():
            child = Child("bubblewrap", ["sleep", "600"], run_profile(Limits()), slot=0)
            time.sleep(pause / 4000)
            family = _descendants(os.getpid()) - before
            child.close()
        assert all(map(_gone, family))
        assert not _descendants(os.getpid()) - before


@sandboxed
def test_two_evaluations_at_once_do_not_disturb_each_other() -> None:
    code = (
        "import sys\nfrom codemoe.evaluate.sandbox import *\n"
        "jobs = [Job(str(i), 'python', f'x = {i}', f'assert x == {i % 3}') for i in range(12)]\n"
        "print(*(v.status for v in run_jobs(jobs, calibrate=False)))"
    )
    source = str(Path(__file__).parents[3] / "src")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": source},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    expected = ["pass" if i < 3 else "fail" for i in range(12)]
    assert [process.communicate(timeout=120)[0].split() for process in running] == [expected] * 2
