"""Published suites' own solutions in the sandbox, and what is wrong with those that do not pass.

    python benchmarks/canonical.py SUITE.jsonl ...

Every solution that a suite brings is run with the suite's tests; then a broken variant of each (its
first comparison, sum or number changed, in the solution only). The table names every solution that
does not pass with its cause, so that nobody takes a suite's mistake for the sandbox's.
"""

import argparse
import re
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from paired import RESULTS, provenance, publish

from codemoe.evaluate.causes import cause
from codemoe.evaluate.sandbox import Job, Verdict, probe, run_jobs
from codemoe.evaluate.suites import Problem, read_suite

# Tried in their order, each at its first place: (what, by what).
_BREAKS = (
    (r"(?<![=!<>+*/-])==(?!=)|===", "!="),
    (r" \+ ", " - "),
    (r" <= | < ", " > "),
    (r" >= | > ", " < "),
    (r" - ", " + "),
    (r" \* ", " + "),
    (r"\breturn\b(?= *[^\s;])", "return 7 *"),
    (r"(?<![\w.])(\d+)(?![\w.])", r"7\1"),
)


def broken(solution: str) -> str | None:
    """The solution with one thing changed; None where nothing of the kind is in it."""
    for pattern, replacement in _BREAKS:
        changed = re.sub(pattern, replacement, solution, count=1)
        if changed != solution:
            return changed
    return None


def job(problem: Problem, solution: str) -> Job:
    program = problem.program(solution)
    entry = problem.entry_point
    return Job(problem.id, problem.language, program, problem.tests, problem.prompt, entry)


def examine(path: Path, limit: int | None) -> list[str]:
    """The lines about one suite; `limit` is of the broken variants."""
    problems = [problem for problem in read_suite(path) if problem.solution is not None]
    begun = time.monotonic()
    verdicts = run_jobs([job(one, one.solution or "") for one in problems])
    seconds = time.monotonic() - begun
    passed = {verdict.id for verdict in verdicts if verdict.status == "pass"}
    variants = [
        job(one, changed)
        for one in problems
        if one.id in passed and (changed := broken(one.solution or "")) is not None
    ]
    variants = variants[:limit]
    survived = [verdict.id for verdict in run_jobs(variants) if verdict.status == "pass"]
    forms = ", ".join(f"{form} {n}" for form, n in Counter(v.form for v in verdicts).items())
    lines = [
        f"## {path.name}",
        "",
        f"{len(passed)} of {len(verdicts)} solutions pass ({forms}; {len(verdicts) / seconds:.1f} "
        f"programs/s). Of {len(variants)} broken variants {len(variants) - len(survived)} do not "
        "pass; the rest are changes that the suite's tests do not see.",
        "",
    ]
    groups: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.status != "pass":
            groups[verdict.status, cause(verdict.detail)].append(verdict)
    if groups:
        lines += ["| status | cause | n | problems |", "|---|---|---|---|"]
    for (status, text), group in sorted(groups.items(), key=lambda item: -len(item[1])):
        ids = ", ".join(verdict.id.rpartition("/")[2] for verdict in group)
        lines.append(f"| {status} | {text.replace('|', '/')} | {len(group)} | {ids} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=RESULTS / "canonical.md")
    parser.add_argument("--variants", type=int, help="broken variants of each suite, at most")
    arguments = parser.parse_args()
    names = [path.name for path in arguments.suites]
    lines = ["# Published solutions in the sandbox", ""]
    names += ["--variants", str(arguments.variants)] if arguments.variants else []
    lines += provenance("canonical.py", names, "cpu", f"sandbox tier {probe().tier}")
    lines += ["", *_READING, ""]
    for path in arguments.suites:
        lines += examine(path, arguments.variants)
        print(lines[-2][:200], file=sys.stderr, flush=True)
    publish(lines, arguments.out)


_READING = (
    "What the causes mean: a name that is not defined belongs to neither solution nor tests (many "
    "of MBXP's JavaScript solutions use the parameter names of another version of their prompt); "
    '"the program ended before its tests did" are solutions that call exit(0) in the middle of '
    "their tests, which harnesses that trust the exit status count as passed; incompatible types "
    "are in the tests' own lines; a failed assertion is an expected value that the published "
    "solution does not compute, outside of a sandbox as well.",
)

if __name__ == "__main__":
    main()
