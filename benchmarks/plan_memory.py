"""Peak memory of real stages beside what `codemoe plan` says, on a CPU.

    python benchmarks/plan_memory.py

Each stage runs as a user runs it: `codemoe STAGE RECIPE` in a process of its own, on a base of
random weights and samples that are as long as the plan takes them to be. What the process held at
most (its largest resident set, as the kernel counts it) is a constant for Python and the libraries,
and what depends on the recipe. The constant is measured too: the same stage on a base of a few
thousand parameters. `codemoe plan` is about the rest.

Freed tensors go back to the system at once here (`MALLOC_MMAP_THRESHOLD_`), so that what is
measured are tensors, as the plan counts them. glibc as it comes keeps freed blocks of up to 32 MB
and cannot always use them again; some cases are run that way too. It is no matter for a GPU.

With `--work FOLDER`, stopped, the same command goes on where it was.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from paired import RESULTS, provenance, publish
from plan_cases import CASES, SMALLEST, Case, make_base, make_data

WITHIN = 0.15
PLAIN = {"MALLOC_MMAP_THRESHOLD_": "65536"}

BEFORE = {
    "base": (),
    "experts": ("base",),
    "router": ("base", "experts", "moe"),
    "eval": ("base", "experts", "moe", "router"),
}


def codemoe(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """Run a command; the most memory it held, in MB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "codemoe", *arguments],
        env=os.environ | environment,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"codemoe {' '.join(arguments)}: exit code {process.returncode}")
    return usage.ru_maxrss * 1024 / 1e6


class Bench:
    """Figures of cases, kept in `folder/found.json` as they are found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "found.json"
        self.known: dict[str, float] = {}
        if self.file.is_file():
            self.known = json.loads(self.file.read_text())

    def base(self, shape: str) -> Path:
        path = self.folder / "bases" / shape.replace(" ", "-")
        if not (path / "config.json").is_file():
            _self("--make-base", shape, str(path))
        return path

    def figures(self, case: Case, environment: Mapping[str, str]) -> tuple[float, float]:
        """What the plan says, and the most that the stage's process held, in MB."""
        key = f"{case.stage} {case.shape} {case.told} {dict(environment)}"
        held = self.known.get(key)
        runs = self.folder / "runs"
        shutil.rmtree(runs, ignore_errors=True)
        recipe = self.folder / "recipe.yaml"
        recipe.write_text(yaml.safe_dump(case.recipe(self.base(case.shape), runs, "run")))
        about = {
            "recipe": str(recipe),
            "stage": case.stage,
            "batch": case.batch,
            "length": case.length,
            "make": held is None,
        }
        planned = float(_self("--prepare", json.dumps(about)).splitlines()[-1])
        if held is None:
            held = self.known[key] = codemoe([case.stage, str(recipe)], environment)
            self.file.write_text(json.dumps(self.known, indent=1))
        return planned / 1e6, held

    def constant(self, case: Case, environment: Mapping[str, str]) -> float:
        """Of Python and the libraries that such a stage loads."""
        small = replace(case, shape=SMALLEST, batch=1, length=64, rank=1, num_experts=1, more={})
        small = replace(small, note="", target="mlp", models=("base",))
        return self.figures(small, environment)[1]


def _self(*arguments: str) -> str:
    """In a process of its own: what this one held at most is the least that the kernel tells of
    its children."""
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def prepare(recipe_file: Path, stage: str, batch: int, length: int, make: bool) -> float:
    """Bytes that the plan says of a stage; `make` all that the stage reads."""
    from codemoe.pipeline import STAGES, run_stages
    from codemoe.plan.command import make_plan
    from codemoe.recipe_file import load_recipe

    recipe = load_recipe(recipe_file)
    if make:
        case = Case(stage, "", batch, length)
        make_data(recipe.run_dir, case, recipe.languages, recipe.base.model)
        before = tuple(one for one in STAGES if one.name in BEFORE[stage])
        run_stages(recipe, before)
    stages = make_plan(recipe)["stages"]
    return float(next(one["cpu_bytes"] for one in stages if one["stage"] == stage))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose line holds this")
    parser.add_argument("--out", type=Path, default=RESULTS / "plan_memory.md")
    parser.add_argument("--work", type=Path, help="a folder to keep figures in")
    parser.add_argument("--make-base", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make_base:
        make_base(arguments.make_base[0], Path(arguments.make_base[1]))
        return
    if arguments.prepare:
        about = json.loads(arguments.prepare)
        print(prepare(Path(about.pop("recipe")), **about))
        return
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        measure(Bench(work), arguments.only, arguments.out)


def measure(bench: Bench, only: str, out: Path) -> None:
    lines, kept, off = [], [], []
    for case in CASES:
        if only not in f"{case.stage} {case.shape} {case.told}":
            continue
        planned, held = bench.figures(case, PLAIN)
        constant = bench.constant(case, PLAIN)
        measured = held - constant
        off.append(planned / measured - 1)
        lines.append(
            f"| {case.stage} | {case.shape} | {case.told} | {planned:,.0f} | {measured:,.0f} | "
            f"{off[-1]:+.1%} | {constant:,.0f} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
        if case.as_it_comes:
            usual = bench.figures(case, {})[1] - bench.constant(case, {})
            kept.append(
                f"| {case.stage} | {case.shape} | {case.told} | {measured:,.0f} | {usual:,.0f} | "
                f"{usual / measured:.2f} |"
            )
    text = [
        "# What `codemoe plan` says of memory, beside what stages held",
        "",
        "On a CPU, in float32. Each line is one `codemoe STAGE RECIPE` in a process of its own, on "
        "a base of random weights; samples have the length that the plan takes them to have. "
        "`measured` is the largest resident set of the process less `constant`: that of the same "
        "stage on a base of a few thousand parameters, Python and the libraries. Freed tensors go "
        "back to the system (`MALLOC_MMAP_THRESHOLD_=65536`). MB are 10^6 bytes.",
        "",
        *provenance("plan_memory.py", [], "cpu", _packages()),
        "",
        "| stage | base | recipe | plan, MB | measured, MB | plan is off by | constant, MB |",
        "|---|---|---|---|---|---|---|",
        *lines,
        "",
        f"The plan is off by {min(off):+.1%} to {max(off):+.1%}; "
        f"{sum(abs(e) <= WITHIN for e in off)} of {len(off)} are within {WITHIN:.0%}.",
    ]
    if kept:
        text += [
            "",
            "With glibc as it comes, which keeps freed blocks of up to 32 MB and cannot always use "
            "them again:",
            "",
            "| stage | base | recipe | measured, MB | as it comes, MB | times |",
            "|---|---|---|---|---|---|",
            *kept,
        ]
    publish(text, out)


def _packages() -> str:
    from importlib.metadata import version

    names = ("transformers", "peft", "trl", "bitsandbytes")
    return ", ".join(f"{name} {version(name)}" for name in names)


if __name__ == "__main__":
    main()
