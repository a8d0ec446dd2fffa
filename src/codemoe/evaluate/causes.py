"""Why programs failed, in groups: the same message with other names and numbers is one cause."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from codemoe.evaluate.sandbox.records import FORMS, Verdict

_QUOTED = re.compile(r"‘[^’]*’|`[^`']*[`']|'[^']*'|\"[^\"]*\"")
_NUMBER = re.compile(r"(?<![A-Za-z_])-?\d[\d.,]*")
_PLACE = re.compile(r"^(?:[\w./-]+:)?(?:line )?\d+(?::\d+)*:\s*|\s*\([\w./]+, line \d+\)|\s+at .*$")
_SHOWN = 12  # groups; the rest is counted


def cause(detail: str) -> str:
    """The message without names, numbers and places: "NameError: name ... is not defined"."""
    text = _PLACE.sub("", _PLACE.sub("", detail))
    text = _NUMBER.sub("N", _QUOTED.sub("...", text))
    return text[:100].strip(" :") or "no message"


def describe(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """by_form, tools and missing toolchains by language, and failures grouped by cause."""
    failures: dict[tuple[str, str, str], list[Verdict]] = defaultdict(list)
    missing: dict[str, str] = {}
    for verdict in verdicts:
        if verdict.status == "missing_toolchain":
            missing[verdict.language] = verdict.detail
        elif verdict.status != "pass":
            failures[verdict.language, verdict.status, cause(verdict.detail)].append(verdict)
    largest = sorted(failures.items(), key=lambda item: (-len(item[1]), item[0]))
    forms = Counter(verdict.form for verdict in verdicts if verdict.counted)
    return {
        "by_form": {form: forms[form] for form in FORMS if forms[form]},
        "tools": {v.language: v.tools for v in verdicts if v.status != "missing_toolchain"},
        "missing_toolchains": missing,
        "timeouts_rerun": sum(verdict.reruns > 0 for verdict in verdicts),
        "failures": [
            {
                "language": language,
                "status": status,
                "cause": text,
                "n": len(group),
                "example": group[0].id,
                "detail": group[0].detail,
            }
            for (language, status, text), group in largest[:_SHOWN]
        ],
        "failures_left_out": sum(len(group) for _, group in largest[_SHOWN:]),
    }
