"""Programs a second: the sandbox beside a runner without one that starts a compiler a program.

    python benchmarks/sandbox.py

The other side is written in the manner of the usual harnesses: a file in a temporary folder, the
language's own command, exit status 0 is a pass, no isolation. Both get the same distinct programs
of the built-in corpus, two at a time on two cores, in turn.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from paired import RESULTS, in_turn, median_and_range, provenance, publish, ratios

from codemoe.data.corpus.rows import corpus_items
from codemoe.evaluate.sandbox import Job, probe, run_jobs
from codemoe.languages import get_language

TARGETS = {"python": 35, "javascript": 20, "java": 8, "cpp": 4}
COUNTS = {"python": 160, "javascript": 100, "java": 80, "cpp": 48}
# The runner has no start to spread over many programs, and takes long: the first so many.
RUNNER_COUNTS = {"python": 40, "javascript": 40, "java": 16, "cpp": 12}
# What the commands of a per-program runner are; {file} lies in a folder of its own.
COMMANDS: dict[str, list[list[str]]] = {
    "python": [["python3", "{file}"]],
    "javascript": [["node", "{file}"]],
    "java": [["javac", "-encoding", "UTF8", "{file}"], ["java", "-ea", "-cp", "{folder}", "Main"]],
    "cpp": [["g++", "{file}", "-o", "{folder}/a.out", "-std=c++17"], ["{folder}/a.out"]],
}
HEADERS = {"cpp": "#include <cassert>\n#include <bits/stdc++.h>\n", "java": ""}


def programs(language: str, count: int) -> list[Job]:
    """Distinct programs with their tests, as the corpus has them."""
    jobs = []
    for item in corpus_items(count):
        program = item.programs[language]
        code = HEADERS.get(language, "") + program.code
        jobs.append(Job(item.group, language, code, program.tests, "", program.entry_point))
    return jobs


def per_program(jobs: Sequence[Job], workers: int) -> int:
    """How many passed with a process a step and no sandbox."""

    def judge(job: Job) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            name = "Main" if job.language == "java" else "program"
            file = Path(folder, name + get_language(job.language).suffix)
            file.write_text(f"{job.program}\n{job.tests}\n", encoding="utf-8")
            for words in COMMANDS[job.language]:
                command = [word.format(file=file, folder=folder) for word in words]
                try:
                    done = subprocess.run(
                        command, capture_output=True, stdin=subprocess.DEVNULL, timeout=15
                    )
                except subprocess.TimeoutExpired:
                    return False
                if done.returncode != 0:
                    return False
            return True

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(judge, jobs))


def rate(run: Callable[[], int], count: int) -> Callable[[], tuple[float, int]]:
    def timed() -> tuple[float, int]:
        begun = time.perf_counter()
        passed = run()
        return count / (time.perf_counter() - begun), passed

    return timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--languages", nargs="+", default=list(TARGETS))
    parser.add_argument("--out", type=Path, default=RESULTS / "sandbox.md")
    arguments = parser.parse_args()
    lines = [
        "# The sandbox: programs a second",
        "",
        f"Distinct programs of the built-in corpus with their tests, {arguments.workers} at a time;"
        f" medians of {arguments.repeats} runs in turn (range), ratios of runs in one turn. "
        "codemoe's times are whole evaluations: calibration and the start of its servers are in "
        "them, a cache of verdicts is not. The other side starts a compiler a program and isolates "
        "nothing.",
        "",
        *provenance("sandbox.py", sys.argv[1:], "cpu", f"sandbox tier {probe().tier}"),
        f"- Load average of the machine when it began: {os.getloadavg()[0]:.1f}",
        "",
        "| language | programs, codemoe / runner | codemoe, programs/s | per-program runner,"
        " programs/s | ratio | target | passed, codemoe / runner |",
        "|---|---|---|---|---|---|---|",
    ]
    for language in arguments.languages:
        jobs = programs(language, COUNTS[language])
        fewer = jobs[: RUNNER_COUNTS[language]]

        def ours(jobs: list[Job] = jobs) -> int:
            found = run_jobs(jobs, workers=arguments.workers)
            return sum(verdict.status == "pass" for verdict in found)

        def theirs(jobs: list[Job] = fewer) -> int:
            return per_program(jobs, arguments.workers)

        found = in_turn(
            {"codemoe": rate(ours, len(jobs)), "runner": rate(theirs, len(fewer))},
            arguments.repeats,
            warmup=0,
        )
        mine, other = ([value for value, _ in found[name]] for name in ("codemoe", "runner"))
        ratio = median(ratios(mine, other))
        passed = " / ".join(str(found[name][-1][1]) for name in ("codemoe", "runner"))
        lines.append(
            f"| {get_language(language).label} | {len(jobs)} / {len(fewer)} | "
            f"{median_and_range(mine)} | {median_and_range(other)} | {ratio:.2f} | "
            f"{TARGETS[language]} | {passed} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
    publish(lines, arguments.out)


if __name__ == "__main__":
    main()
