"""Judge many programs on a few workers: each distinct program once, results in input order."""

import os
import queue
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from codemoe.errors import WorkError
from codemoe.evaluate.sandbox import cache as verdict_cache
from codemoe.evaluate.sandbox import landlock
from codemoe.evaluate.sandbox.child import adopting_orphans
from codemoe.evaluate.sandbox.judgement import Judgement
from codemoe.evaluate.sandbox.process import Stopped
from codemoe.evaluate.sandbox.records import Job, Limits, Verdict
from codemoe.evaluate.sandbox.session import Session
from codemoe.evaluate.sandbox.tier import BUBBLEWRAP, probe
from codemoe.languages import find_language


def choose_tier(tier: str | None = None) -> str:
    """The tier to run with: the asked one, or the best that works here.

    Raises WorkError when untrusted programs cannot be confined: nothing falls back by itself.
    """
    if tier is not None:
        return tier
    state = probe()
    if state.tier is None:
        raise WorkError(f"programs cannot be run safely here: {state.reason}", state.fix)
    return state.tier


def run_jobs(
    jobs: Sequence[Job],
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    workers: int | None = None,
    on_result: Callable[[Verdict], None] | None = None,
    cache: Path | None = None,
    *,
    tier: str | None = None,
    calibrate: bool = True,
    scales: dict[str, float] | None = None,
) -> list[Verdict]:
    """Judge every job; verdicts in the order of the jobs.

    `on_result` is called from this thread for each verdict as it comes. `cache` is a directory
    of earlier verdicts, keyed by content, limits and tool versions. Identical programs run once; a
    timeout counts after it has happened twice, the second time alone. `tier` asks for one by name
    (see `choose_tier`); `calibrate=False` takes the limits as they are. Into `scales` go the
    measured time factors of the languages.
    """
    chosen = choose_tier(tier)
    if chosen != BUBBLEWRAP:
        landlock.sweep()
    with Session(limits, chosen, calibrate) as session, adopting_orphans():
        try:
            return _run(session, list(jobs), workers or os.cpu_count() or 1, on_result, cache)
        finally:
            session.close()
            if scales is not None:
                scales.update(session.scales)


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

    def deliver(key: str, verdict: Verdict) -> None:
        for order, index in enumerate(same[key]):
            seconds = 0.0 if order else verdict.seconds
            own = replace(verdict, id=jobs[index].id, seconds=seconds)
            verdicts[index] = own
            if on_result is not None:
                on_result(own)

    waiting = []
    for key, indexes in same.items():
        known = verdict_cache.read(cache, key)
        if known is None:
            waiting.append((key, jobs[indexes[0]]))
        else:
            deliver(key, session.verdict(jobs[indexes[0]], known, 0.0))
    with closing(_on_workers(session, waiting, workers)) as results:
        for key, verdict in results:
            judgement = Judgement(verdict.status, verdict.detail, verdict.form)
            verdict_cache.write(cache, key, judgement)
            deliver(key, verdict)
    return [verdict for verdict in verdicts if verdict is not None]


def _on_workers(
    session: Session, waiting: list[tuple[str, Job]], workers: int
) -> Generator[tuple[str, Verdict], None, None]:
    """Yields verdicts as they come; leaving early (an error, Ctrl-C) ends all workers."""
    remaining: queue.SimpleQueue[tuple[str, Job]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[str, Job, Verdict] | BaseException] = queue.SimpleQueue()

    def work(slot: int) -> None:
        # To the end, even with nothing left to do: --die-with-parent means the parent *thread*,
        # and one that leaves early would take along the compile server that it started.
        while not session.stop.is_set():
            try:
                key, job = remaining.get(timeout=0.2)
            except queue.Empty:
                continue
            try:
                done.put((key, job, session.judge(job, slot)))
            except Stopped:
                return
            except BaseException as error:  # handed to the caller's thread
                done.put(error)
                return

    def results(count: int) -> Generator[tuple[str, Job, Verdict], None, None]:
        for _ in range(count):
            result = done.get()
            if isinstance(result, BaseException):
                raise result
            yield result

    threads = [
        threading.Thread(target=work, args=(slot,), name=f"sandbox-{slot}", daemon=True)
        for slot in range(min(workers, len(waiting)))
    ]
    try:
        for item in waiting:
            remaining.put(item)
        for thread in threads:
            thread.start()
        late = []
        for key, job, verdict in results(len(waiting)):
            if verdict.status == "timeout":
                late.append((key, job))
            else:
                yield key, verdict
        # A neighbour may have been the cause, so each has the machine for itself now.
        for key, job in late:
            remaining.put((key, job))
            for _, _, verdict in results(1):
                yield key, replace(verdict, reruns=1)
    finally:
        session.stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()


def _canonical(language: str) -> str:
    row = find_language(language)
    return row.name if row else language
