"""Put a finished run's printed table and key figures into the README, with where they come from.

    .venv/bin/python scripts/update_readme.py runs/demo

Replaces what stands between the two marker lines and nothing else; a second call changes nothing.
The machine is described as the one this runs on, so call it where the run was made.
"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from codemoe.artifacts import read_manifest
from codemoe.errors import UserError
from codemoe.languages import LANGUAGES
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe
from codemoe.terminal import show_result

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- demo-output:begin -->", "<!-- demo-output:end -->"
CODE = ("src", "recipes", "constraints.txt", "pyproject.toml")  # what a run's result depends on
COMMANDS = {"demo": "make demo", "demo-fast": "make demo-fast"}


def splice(text: str, block: str) -> str:
    """`text` with `block` between the two marker lines, each of which must be there once."""
    lines = text.split("\n")
    places = [[i for i, line in enumerate(lines) if line == mark] for mark in (BEGIN, END)]
    if any(len(found) != 1 for found in places) or places[0][0] > places[1][0]:
        raise UserError(
            f"the README must have one line {BEGIN} and, after it, one line {END}",
            "put the two lines back where the output belongs",
        )
    (begin,), (end,) = places
    return "\n".join([*lines[: begin + 1], *block.strip("\n").split("\n"), *lines[end:]])


def recipe_file_of(run_dir: Path) -> Path:
    """The file of the recipe with the run's name."""
    for file in sorted((ROOT / "recipes").glob("*.yaml")):
        if load_recipe(file).name == run_dir.name:
            return file
    raise UserError(f"no recipe in recipes/ is named {run_dir.name!r}", "--recipe FILE")


def recipe_of(run_dir: Path, recipe_file: Path) -> Recipe:
    """The recipe of a run that lies at `run_dir`."""
    place = [f"runs_dir={json.dumps(str(run_dir.parent))}", f"name={json.dumps(run_dir.name)}"]
    return load_recipe(recipe_file, place)


def printed(recipe: Recipe) -> str:
    """What the command printed at its end, with the run in its usual place, runs/<name>."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        show_result(recipe)
    text = out.getvalue().replace(str(recipe.run_dir), f"runs/{recipe.name}")
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))


def key_figures(summary: Mapping[str, Any]) -> list[str]:
    """One Markdown item per figure; what was not measured is left out."""
    models = summary["models"]
    base, mixture = models.get("base", {}), models.get("moe-sequence", {})
    ratios = {
        name: scores["codebleu"] / base[name]["codebleu"]
        for name, scores in mixture.items()
        if name in base and base[name]["codebleu"] > 0
    }
    items = []
    if ratios:
        items.append(f"CodeBLEU of the mixture over the base: {_by_language(ratios, '{:.1f}x')}.")
    if summary["retention"]:
        shares = _by_language(summary["retention"], "{:.3f}")
        items.append(f"Retention, mixture over its own expert: {shares}.")
    if "all" in base and "all" in mixture and mixture["all"]["pass_at_1"] is not None:
        before, after = base["all"]["pass_at_1"], mixture["all"]["pass_at_1"]
        items.append(f"Tests passed (pass@1): base {before:.2f}, mixture {after:.2f}.")
    if "all" in mixture:
        wrong = mixture["all"]["wrong_language"]
        items.append(f"Answers of the mixture in a wrong language: {wrong:.1%}.")
    if summary["routing"]["accuracy"] is not None:
        items.append(_routing(summary))
    missed = [check["name"] for check in summary["checks"] if not check["passed"]]
    if summary["checks"]:
        names = ", ".join(dict.fromkeys(missed))
        verdict = f"missed: {names}" if missed else "all met"
        items.append(f"Thresholds of the recipe: {verdict}.")
    return [f"- {item}" for item in items]


def _by_language(values: Mapping[str, float], form: str) -> str:
    labels = {name: LANGUAGES[name].label if name in LANGUAGES else name for name in values}
    return ", ".join(f"{labels[name]} {form.format(value)}" for name, value in values.items())


def _routing(summary: Mapping[str, Any]) -> str:
    confusion = summary["routing"]["confusion"] or {}
    wrong = [
        f"{count} {asked} to {expert}"
        for asked, row in confusion.items()
        for expert, count in row.items()
        if count and asked in row and expert != asked
    ]
    errors = f"; sent wrong: {', '.join(wrong)}" if wrong else ""
    return f"Routing accuracy: {summary['routing']['accuracy']:.3f}{errors}."


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"cannot ask git which commit this is: {error}", "--commit HASH") from None
    return done.stdout.strip()


def commit() -> str:
    """The last commit that changed what a result depends on: a new README does not move it."""
    changed = " with local changes" if _git("status", "--porcelain", "--", *CODE) else ""
    return f"`{_git('log', '-1', '--format=%h', '--', *CODE)}`{changed}"


def machine() -> str:
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        info = ""
    model = next((x.partition(":")[2].strip() for x in info.split("\n") if "model name" in x), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    kind = f" ({model})" if model else ""
    return f"{cores} CPU cores{kind}, {psutil.virtual_memory().total / 2**30:.0f} GiB memory"


def block(recipe: Recipe, command: str, commit: str, machine: str) -> str:
    """What goes between the markers."""
    report = recipe.run_dir / "report"
    summary = json.loads((report / "summary.json").read_text(encoding="utf-8"))
    versions = read_manifest(report)["versions"]
    minutes, seconds = divmod(round(summary["seconds"]), 60)
    source = (
        f"From `{command}` at commit {commit}: {minutes} min {seconds} s for all stages on "
        f"{machine}, Python {versions['python']}, torch {versions['torch']}."
    )
    fenced = f"```text\n{printed(recipe)}\n```"
    return "\n".join([fenced, "", *key_figures(summary), "", source])


def main(words: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run_dir", type=Path, help="a finished run, such as runs/demo")
    parser.add_argument("--recipe", type=Path, help="the recipe that made it")
    parser.add_argument("--command", help="the command that made it")
    parser.add_argument("--commit", help="the commit it was made at")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    given = parser.parse_args(words)
    summary = given.run_dir / "report" / "summary.json"
    if not summary.is_file():
        raise UserError(f"{given.run_dir} is no finished run (no {summary})", "make demo")
    file = given.recipe or recipe_file_of(given.run_dir)
    recipe = recipe_of(given.run_dir, file)
    command = given.command or COMMANDS.get(file.stem, f"codemoe run recipes/{file.name}")
    made_at = f"`{given.commit}`" if given.commit else commit()
    before = given.readme.read_text(encoding="utf-8")
    after = splice(before, block(recipe, command, made_at, machine()))
    if after != before:
        given.readme.write_text(after, encoding="utf-8")
    print(f"{given.readme}: {'updated' if after != before else 'already up to date'}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
