"""Judge many programs on a few workers: each distinct program once, results in input order."""

import hashlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Protocol

from codemoe.errors import UserError, WorkError
from codemoe.evaluate.sandbox import cpp, java, script
from codemoe.evaluate.sandbox.process import Stopped, adopting_orphans
from codemoe.evaluate.sandbox.records import Job, Limits, Verdict
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.tier import probe
from codemoe.evaluate.sandbox.toolchain import MissingTool
from codemoe.languages import find_language

_FORM = "guarded-1"  # part of every cache key: raise it when a launcher changes its judgement
# What a loaded machine or a broken set-up can cause says nothing lasting about the program.
_NOT_CACHED = frozenset({"timeout", "sandbox_error", "missing_toolchain"})


class Runner(Protocol):
    """One language's way to judge; `stamp` names its tool's version for the cache."""

    stamp: str

    def judge(self, job: Job, slot: Slot) -> tuple[str, str]: ...

    def close(self) -> None: ...


RUNNERS: dict[str, Callable[[Limits], Runner]] = {
    "python": script.python,
    "javascript": script.javascript,
    "java": java.Java,
    "cpp": cpp.Cpp,
}


def run_jobs(
    jobs: Sequence[Job],
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    workers: int | None = None,
    on_result: Callable[[Verdict], None] | None = None,
    cache: Path | None = None,
) -> list[Verdict]:
    """Judge every job; verdicts in the order of the jobs.

    `on_result` is called from this thread for each verdict as it comes. `cache` is a directory
    of earlier verdicts, keyed by content, limits and tool versions. Identical programs run once.
    Raises WorkError when untrusted programs cannot be confined here (see `probe`).
    """
    state = probe()
    if state.tier is None:
        raise WorkError(f"programs cannot be run safely here: {state.reason}", state.fix)
    with Session(limits) as session, adopting_orphans():
        try:
            return _run(session, list(jobs), workers or os.cpu_count() or 1, on_result, cache)
        finally:
            session.close()


class Session:
    """The runners of one evaluation: made on first use, closed together."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.stop = threading.Event()
        self._runners: dict[str, Runner | str] = {}
        self._lock = threading.Lock()

    def runner(self, language: str) -> Runner | str:
        """The runner of a language, or why there is none."""
        with self._lock:
            if language not in self._runners:
                self._runners[language] = self._make(language)
            return self._runners[language]

    def _make(self, language: str) -> Runner | str:
        make = RUNNERS.get(language)
        if make is None:
            return f"codemoe cannot run {language} programs; it can run {', '.join(RUNNERS)}"
        try:
            return make(self.limits)
        except MissingTool as missing:
            return str(missing)

    def key(self, job: Job) -> str:
        runner = self.runner(job.language)
        stamp = runner if isinstance(runner, str) else runner.stamp
        parts = [_FORM, job.language, job.program, job.tests, asdict(self.limits), stamp]
        return hashlib.sha256(json.dumps(parts).encode("utf-8")).hexdigest()

    def judge(self, job: Job, slot: int) -> Verdict:
        runner = self.runner(job.language)
        if isinstance(runner, str):
            return Verdict(job.id, job.language, "missing_toolchain", 0.0, runner)
        begun = time.monotonic()
        status, detail = runner.judge(job, Slot(slot, self.stop))
        if status == "sandbox_error":  # the machine's trouble, perhaps a passing one
            status, detail = runner.judge(job, Slot(slot, self.stop))
        return Verdict(job.id, job.language, status, time.monotonic() - begun, detail)

    def close(self) -> None:
        self.stop.set()
        for runner in self._runners.values():
            if not isinstance(runner, str):
                runner.close()
        self._runners.clear()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _run(
    session: Session,
    jobs: list[Job],
    workers: int,
    on_result: Callable[[Verdict], None] | None,
    cache: Path | None,
) -> list[Verdict]:
    jobs = [replace(job, language=_canonical(job.language)) for job in jobs]
    same: dict[str, list[int]] = {}
    for index, job in enumerate(jobs):
        same.setdefault(session.key(job), []).append(index)
    verdicts: list[Verdict | None] = [None] * len(jobs)

    def deliver(key: str, verdict: Verdict, seconds: float) -> None:
        for order, index in enumerate(same[key]):
            own = replace(verdict, id=jobs[index].id, seconds=0.0 if order else seconds)
            verdicts[index] = own
            if on_result is not None:
                on_result(own)

    waiting = []
    for key, indexes in same.items():
        known = _read_cache(cache, key)
        if known is None:
            waiting.append((key, jobs[indexes[0]]))
        else:
            job = jobs[indexes[0]]
            deliver(key, Verdict(job.id, job.language, known[0], 0.0, known[1]), 0.0)
    with closing(_on_workers(session, waiting, workers)) as results:
        for key, verdict in results:
            if verdict.status not in _NOT_CACHED:
                _write_cache(cache, key, verdict)
            deliver(key, verdict, verdict.seconds)
    return [verdict for verdict in verdicts if verdict is not None]


def _on_workers(
    session: Session, waiting: list[tuple[str, Job]], workers: int
) -> Generator[tuple[str, Verdict], None, None]:
    """Yields verdicts as they come; leaving early (an error, Ctrl-C) ends all workers."""
    remaining: queue.SimpleQueue[tuple[str, Job]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, Verdict] | BaseException] = queue.SimpleQueue()
    for item in waiting:
        remaining.put(item)

    def work(slot: int) -> None:
        while not session.stop.is_set():
            try:
                key, job = remaining.get_nowait()
            except queue.Empty:
                # --die-with-parent means the parent *thread*: one that leaves early would take
                # the Java compile server with it, should it have started that.
                session.stop.wait()
                return
            try:
                done.put((key, session.judge(job, slot)))
            except Stopped:
                return
            except BaseException as error:  # handed to the caller's thread
                done.put(error)
                return

    threads = [
        threading.Thread(target=work, args=(slot,), name=f"sandbox-{slot}", daemon=True)
        for slot in range(min(workers, len(waiting)))
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in waiting:
            result = done.get()
            if isinstance(result, BaseException):
                raise result
            yield result
    finally:
        session.stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _canonical(language: str) -> str:
    row = find_language(language)
    return row.name if row else language


def _cache_file(cache: Path, key: str) -> Path:
    return cache / key[:2] / f"{key[2:]}.json"


def _read_cache(cache: Path | None, key: str) -> tuple[str, str] | None:
    if cache is None:
        return None
    try:
        row = json.loads(_cache_file(cache, key).read_text("utf-8"))
        return str(row["status"]), str(row["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent or torn: judge again


def _write_cache(cache: Path | None, key: str, verdict: Verdict) -> None:
    if cache is None:
        return
    path = _cache_file(cache, key)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"status": verdict.status, "detail": verdict.detail}), "utf-8")
        part.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write the verdict cache: {error}", "choose another cache"
        ) from error
