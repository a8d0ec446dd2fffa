"""Thousands of programs in a row, honest and hostile, in every language: does anything add up?

    python benchmarks/sandbox_soak.py --programs 2000

Runs the mix twice in one process and says whether the verdicts are the same, how the memory of
this process went, and what is left: processes, zombies, files. Ends with 1 if anything is. The
programs are those of the sandbox's own tests, made distinct by a comment.
"""

import argparse
import os
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from paired import RESULTS, provenance, publish

from codemoe.evaluate.sandbox import Job, Limits, Verdict, probe, run_jobs
from codemoe.languages import get_language
from tests.evaluate.sandbox import forgeries, programs
from tests.evaluate.sandbox.test_forgeries import RIGHT

# Of a hundred programs: what models write most is most of it.
SHARES = {"python": 44, "javascript": 22, "java": 10, "cpp": 6, "c": 4, "go": 4, "rust": 3}
SHARES |= {"php": 3, "typescript": 2, "csharp": 2}


def pool_of(language: str) -> list[Job]:
    """Every program of the tests in a language; an honest one after each hostile one."""
    found = []
    for one in forgeries.FORGERIES:
        if one.language == language:
            tests = one.tests if one.tests is not None else forgeries.TESTS[language]
            found.append(Job(one.name, language, one.program, tests, one.prompt, one.entry_point))
    for case in (*programs.PLAIN, *programs.CHEATS, *programs.HOSTILE):
        if case.language == language:
            tests = programs.TESTS[language] if case.tests is None else case.tests
            found.append(Job(case.name, language, case.program.replace("PORT", "9"), tests))
    right = Job("right", language, RIGHT[language], forgeries.TESTS[language], "", "add")
    return [job for hostile in found for job in (hostile, right)]


def mix(count: int) -> list[Job]:
    """`count` distinct programs, languages and hostility in turn."""
    pools = {language: pool_of(language) for language in SHARES}
    order = sorted(
        (place / share, language) for language, share in SHARES.items() for place in range(share)
    )
    jobs = []
    seen: Counter[str] = Counter()
    for i in range(count):
        language = order[i % len(order)][1]
        job = pools[language][seen[language] % len(pools[language])]
        seen[language] += 1
        comment = get_language(language).line_comment
        # In the tests: a candidate may end in the middle of something.
        tests = f"{job.tests}\n{comment} {i}\n"
        jobs.append(replace(job, id=f"{i} {language} {job.id}", tests=tests))
    return jobs


def resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def left_over() -> list[str]:
    """Children of this process, and sandboxes of anybody's whose parent is gone."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        found += [f"process {pid}" for pid in path.read_text().split()]
    found += [f"file {path}" for path in Path("/tmp").glob("codemoe-sandbox-*")]
    descriptors = len(os.listdir("/proc/self/fd"))
    return found + ([f"{descriptors} open descriptors"] if descriptors > 40 else [])


def one_pass(jobs: list[Job], chunk: int, wall_s: float) -> tuple[list[Verdict], list[float]]:
    verdicts: list[Verdict] = []
    memory = []
    for at in range(0, len(jobs), chunk):
        verdicts += run_jobs(jobs[at : at + chunk], Limits(wall_s=wall_s), calibrate=False)
        memory.append(resident_mb())
        print(f"{len(verdicts)} of {len(jobs)}, {memory[-1]:.0f} MB", file=sys.stderr, flush=True)
    return verdicts, memory


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--chunk", type=int, default=250, help="programs of one evaluation")
    parser.add_argument("--wall-s", type=float, default=5.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "sandbox_soak.md")
    arguments = parser.parse_args()
    jobs = mix(arguments.programs)
    passes, memories, seconds = [], [], []
    for _ in range(2):
        begun = time.monotonic()
        verdicts, memory = one_pass(jobs, arguments.chunk, arguments.wall_s)
        passes.append(verdicts)
        memories.append(memory)
        seconds.append(time.monotonic() - begun)
    differ = [(a, b) for a, b in zip(*passes, strict=True) if a.status != b.status]
    wrong = [
        v
        for v in passes[0]
        if (v.status == "pass") != v.id.endswith(" right") and v.id.split(" ", 2)[2] in FORGED
    ]
    left = left_over()
    growth = memories[1][-1] - memories[0][-1]
    statuses = Counter(verdict.status for verdict in passes[0])
    lines = [
        "# The sandbox: a long run of mixed programs",
        "",
        f"{len(jobs)} programs in {len({job.language for job in jobs})} languages, every other one "
        "hostile or wrong, twice in one process.",
        "",
        *provenance("sandbox_soak.py", sys.argv[1:], "cpu", f"sandbox tier {probe().tier}"),
        "",
        "| | |",
        "|---|---|",
        f"| verdicts that differ between the passes | {len(differ)} |",
        f"| forgeries that passed, honest programs that did not | {len(wrong)} |",
        f"| memory after the first chunk, first pass, second pass | {memories[0][0]:.0f}, "
        f"{memories[0][-1]:.0f}, {memories[1][-1]:.0f} MB |",
        f"| processes, zombies, files and descriptors left | {len(left)} |",
        f"| programs/s | {', '.join(f'{len(jobs) / s:.1f}' for s in seconds)} |",
        f"| verdicts | {', '.join(f'{k} {n}' for k, n in statuses.most_common())} |",
    ]
    lines += [f"- differs: {a.id}: {a.status}, then {b.status} ({b.detail})" for a, b in differ]
    lines += [f"- wrong: {v.id}: {v.status} ({v.detail})" for v in wrong]
    lines += [f"- left: {what}" for what in left]
    publish(lines, arguments.out)
    return 1 if differ or wrong or left or growth > 20 else 0


FORGED = {one.name for one in forgeries.FORGERIES} | {"right"}

if __name__ == "__main__":
    sys.exit(main())
