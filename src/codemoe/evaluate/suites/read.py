"""Any suite file -> problems: the format is told from the fields of the first row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.suites import humaneval, humaneval_x, mbpp, multipl_e, native
from codemoe.evaluate.suites.fields import Fields
from codemoe.evaluate.suites.problem import Problem
from codemoe.jsonl import read_jsonl


@dataclass(frozen=True)
class Format:
    """A kind of file: the fields that every row must have, and the reader of one row."""

    needs: frozenset[str]
    read: Callable[[Fields], Problem]

    def fits(self, row: Mapping[str, Any]) -> bool:
        return self.needs <= row.keys()


def _format(needs: str, read: Callable[[Fields], Problem]) -> Format:
    return Format(frozenset(needs.split()), read)


# The first that fits wins: a later one may need less.
FORMATS: dict[str, Format] = {
    "multipl-e": _format("name language prompt tests stop_tokens", multipl_e.read),
    "native": _format("id language prompt tests", native.read),
    "humaneval-x": _format("task_id prompt declaration test", humaneval_x.read),
    "mbxp": _format("task_id language prompt entry_point test", humaneval.read),
    "humaneval": _format("task_id prompt entry_point test", humaneval.read),
    "mbpp": _format("task_id test_list", mbpp.read),
}


def detect_format(row: Mapping[str, Any]) -> str | None:
    """The name of the format that a row is in, or None."""
    return next((name for name, one in FORMATS.items() if one.fits(row)), None)


def read_suite(path: Path, suite_format: str | None = None) -> list[Problem]:
    """The problems of a suite file (.jsonl or .jsonl.gz) in its order.

    Every defect is a UserError that names the line. `suite_format` is one of FORMATS; without it
    the first row decides.
    """
    if path.is_dir():
        files = ", ".join(sorted(one.name for one in suite_files(path))[:4]) or "no .jsonl files"
        raise UserError(f"{path} is a folder; it has {files}", "give one suite file")
    problems: dict[str, Problem] = {}
    lines: dict[str, int] = {}
    for line, row in read_jsonl(path):
        fields = Fields(path, line, row)
        suite_format = suite_format or _detect(fields)
        problem = FORMATS[suite_format].read(fields)
        if problem.id in problems:
            first = lines[problem.id]
            raise UserError(f"{path}:{line}: id {problem.id!r} was already used in line {first}")
        if not problem.tests.strip():
            raise UserError(f"{path}:{line}: 'tests' is empty: every program would pass")
        lines[problem.id] = line
        problems[problem.id] = problem
    return list(problems.values())


def suite_files(path: Path) -> list[Path]:
    """The suite files of a folder (not of folders in it), or the file itself."""
    if not path.is_dir():
        return [path]
    return sorted(one for one in path.iterdir() if one.name.endswith((".jsonl", ".jsonl.gz")))


def _detect(fields: Fields) -> str:
    found = detect_format(fields.row)
    if found is not None:
        return found
    if "id" in fields.row:
        return "native"  # its reader says which field is missing
    known = "; ".join(f"{name}: {', '.join(sorted(one.needs))}" for name, one in FORMATS.items())
    raise UserError(
        f"{fields.place}: this is no suite that codemoe knows; {fields.names()}",
        f"a format is told by its fields ({known})",
    )
