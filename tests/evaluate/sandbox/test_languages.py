"""pytest tests/evaluate/sandbox/test_languages.py: the table's languages, and ways to end."""
# ruff: noqa: E501 (programs read better in long lines)

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from codemoe.evaluate.sandbox import Job, Limits, Verdict, probe, run_jobs, session
from codemoe.evaluate.sandbox.calibrate import _TRIVIAL, time_scale
from codemoe.evaluate.sandbox.cpp_lies import find_lie
from codemoe.evaluate.sandbox.drivers import DRIVERS, runnable
from codemoe.evaluate.sandbox.judgement import Judgement
from codemoe.evaluate.sandbox.session import Session
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.tier import UNSAFE, probe_tier
from codemoe.evaluate.sandbox.toolchain import MissingTool, Tool, find_tool
from codemoe.languages import LANGUAGES

from .forgeries import TESTS
from .test_forgeries import RIGHT

sandboxed = pytest.mark.skipif(probe().tier is None, reason=f"no sandbox: {probe().reason}")

# language: (how the right program is broken, the answer becomes wrong; a text that ends it early)
WRONG = {
    "python": ("a + b", "a - b"),
    "javascript": ("a + b", "a - b"),
    "typescript": ("a + b", "a - b"),
    "java": ("a + b", "a - b"),
    "cpp": ("a + b", "a - b"),
    "c": ("a + b", "a - b"),
    "go": ("a + b", "a - b"),
    "rust": ("a + b", "a - b"),
    "php": ("$a + $b", "$a - $b"),
    "csharp": ("a + b", "a - b"),
}
LOOPS = {
    "python": ("return", "while True: pass\n    return"),
    "javascript": ("a + b", "{ for (;;); }"),
    "typescript": ("return", "for (;;); return"),
    "java": ("{ return", "{ while (a < 9) { } return"),
    "cpp": ("{ return", '{ for (;;) asm(""); return'),
    "c": ("{ return", '{ for (;;) __asm__(""); return'),
    "go": ("{ return", "{ for { }; return"),
    "rust": ("{ a", "{ loop { std::hint::spin_loop(); if a == 99 { break; } } a"),
    "php": ("{ return", "{ while (true) { } return"),
    "csharp": ("    return", "    while (a < 9) { } return"),
}


def _job(name: str, language: str, change: tuple[str, str] = ("", "")) -> Job:
    program = RIGHT[language].replace(*change) if change[0] else RIGHT[language]
    return Job(f"{language} {name}", language, program, TESTS[language], "", "add")


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    jobs = []
    for language in RIGHT:
        jobs.append(_job("right", language))
        jobs.append(_job("wrong", language, WRONG[language]))
        jobs.append(_job("loops", language, LOOPS[language]))
        jobs.append(replace(_job("broken", language), program=RIGHT[language] + "\n%% ((\n"))
    found = run_jobs(jobs, Limits(wall_s=1.5), calibrate=False)
    return {verdict.id: verdict for verdict in found}


def test_the_table_names_drivers_that_exist_and_every_driver_has_a_trivial_program() -> None:
    assert set(runnable()) == set(_TRIVIAL) == set(RIGHT)
    for row in LANGUAGES.values():
        if row.toolchain is not None:
            assert row.toolchain.driver in DRIVERS
            assert row.executables
            assert row.toolchain.packages


@sandboxed
@pytest.mark.parametrize("language", list(RIGHT))
@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("right", "pass"),
        ("wrong", "fail"),
        ("loops", "timeout"),
        ("broken", "error compile_error"),
    ],
)
def test_every_language(
    language: str, name: str, accepted: str, verdicts: dict[str, Verdict]
) -> None:
    verdict = verdicts[f"{language} {name}"]
    if verdict.status == "missing_toolchain":
        pytest.skip(verdict.detail)
    assert verdict.status in accepted.split(), verdict
    assert verdict.reruns == (1 if name == "loops" else 0)
    assert verdict.tier == probe().tier
    assert verdict.tools.split()[0] == LANGUAGES[language].executables[0]


@sandboxed
def test_landlock_judges_alike_and_leaves_no_file() -> None:
    state = probe_tier("landlock")
    if state.tier is None:
        pytest.skip(state.reason)
    languages = [name for name in RIGHT if name != "csharp"]  # Mono's compiler needs all of /proc
    jobs = [_job("right", language) for language in languages]
    jobs += [_job("wrong", language, WRONG[language]) for language in languages]
    jobs.append(
        Job(
            "confined",
            "python",
            "import os, signal\nfound = []\n"
            "def reach(what):\n    try: found.append((what.__name__, what()))\n"
            "    except OSError: pass\n"
            "def home(): return os.listdir(os.path.expanduser('~root'))\n"
            "def passwords(): return open('/etc/passwd').read()\n"
            "def writes(): return open('/tmp/zz-codemoe', 'w').write('x')\n"
            "def forks(): return os.fork()\n"
            "def kills(): return os.kill(os.getppid(), signal.SIGTERM)\n"
            "def others(): return open('/proc/1/environ', 'rb').read()\n"
            "def scratch(): return open('x', 'w')\n"
            "for f in (home, passwords, writes, forks, kills, others, scratch): reach(f)\n",
            "assert found == [], found\n",
        )
    )
    found = run_jobs(jobs, Limits(wall_s=5), tier="landlock", calibrate=False)
    for verdict in found:
        if verdict.status == "missing_toolchain":
            continue
        expected = "fail" if "wrong" in verdict.id else "pass"
        assert (verdict.status, verdict.tier) == (expected, "landlock"), verdict
    assert not list(Path("/tmp").glob("codemoe-sandbox-*"))


@sandboxed
def test_without_a_sandbox_only_by_name_and_recorded() -> None:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no /usr/bin/python3")
    jobs = [_job("right", "python"), _job("wrong", "python", WRONG["python"])]
    found = run_jobs(jobs, Limits(wall_s=5), tier=UNSAFE, calibrate=False)
    assert [(v.status, v.tier) for v in found] == [("pass", UNSAFE), ("fail", UNSAFE)]


class _Recorded:
    """A driver with verdicts up its sleeve."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.closed = False

    def judge(self, job: Job, slot: Slot) -> Judgement:
        return Judgement(self.statuses.pop(0), "")

    def close(self) -> None:
        self.closed = True


@sandboxed
def test_a_timeout_counts_only_when_it_happens_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = _Recorded("timeout", "pass", "timeout", "timeout", "fail")
    monkeypatch.setattr(Session, "driver", lambda *_: driver)
    jobs = [Job(str(i), "python", f"x = {i}", "") for i in range(3)]
    found = run_jobs(jobs, workers=1)
    # In their order: late, pass, late; then each late one alone.
    assert [(v.status, v.reruns) for v in found] == [("timeout", 1), ("pass", 0), ("fail", 1)]


def test_the_machines_own_trouble_is_tried_again() -> None:
    driver = _Recorded("sandbox_error", "pass", "sandbox_error", "sandbox_error")
    with Session(Limits(), "bubblewrap") as made:
        made._drivers["python"] = driver
        job = Job("1", "python", "", "")
        assert made.judge(job, 0).status == "pass"
        assert not made.judge(job, 0).counted
    assert driver.closed


def test_limits_grow_with_the_time_that_a_trivial_program_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, 1.0, 1.0, 1.0 + 3 * _TRIVIAL["python"][2]])
    monkeypatch.setattr("codemoe.evaluate.sandbox.calibrate.time.monotonic", lambda: next(clock))
    slot = Slot(0, threading.Event())
    assert time_scale("python", _Recorded("pass", "pass"), slot) == pytest.approx(3.0)
    monkeypatch.undo()
    with pytest.raises(MissingTool, match="does not work in the sandbox"):
        time_scale("python", _Recorded("pass", "error"), slot)
    scaled = session._scaled(Limits(wall_s=2, compile_wall_s=4, memory_mb=100), 3.0)
    assert (scaled.wall_s, scaled.compile_wall_s, scaled.memory_mb) == (6, 12, 100)


def test_a_toolchain_that_is_not_there_is_missing_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> Tool:
        raise MissingTool(f"{name} is not installed: sudo apt-get install it")

    monkeypatch.setattr("codemoe.evaluate.sandbox.toolchain.find_tool", gone)
    if probe().tier is None:
        pytest.skip("no sandbox")
    verdict = run_jobs([_job("right", "python")])[0]
    assert (verdict.status, verdict.counted) == ("missing_toolchain", False)
    assert "sudo apt-get install" in verdict.detail


def test_find_tool_says_what_to_install() -> None:
    with pytest.raises(MissingTool, match="not-a-tool is not installed: sudo apt-get install"):
        find_tool("not-a-tool")


@pytest.mark.parametrize(
    "program",
    [
        "struct P { int x; bool operator==(const P &o) const { return x == o.x; } };\nint f(int a) {}",
        "template <class T> struct M { bool operator==(const M<T> &o) const; };\nint f(int a) {}",
        "#define int long long\nint f(int a) { return a; }",
        "struct P { int x; };\nbool operator<(const P &a, const P &b) { return a.x < b.x; }\nint f(int a) {}",
        "// bool operator==(int, int)\nint f(int a) { return 1 == a; }",
        "#define ll long long\nll f(int a) { auto g = [](int b) { return b; }; return g(a); }",
    ],
)
def test_honest_cpp_is_not_called_a_lie(program: str) -> None:
    assert find_lie(program, "", "f") is None


def test_published_cpp_solutions_are_not_called_lies() -> None:
    path = Path(__file__).parents[4] / "shared/data/benchmarks/mbxp/mbcpp_release_v1.2.jsonl"
    if not path.exists():
        pytest.skip("the shared data are not here")
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["canonical_solution"]:
            program = row["prompt"] + row["canonical_solution"]
            assert find_lie(program, row["prompt"], row["entry_point"]) is None, row["task_id"]
