"""`pairs.jsonl` and `counts.json` of one expert: its own answers' pairs and people's."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codemoe.align_config import AlignConfig
from codemoe.data.preferences import Preference, read_human, write_preferences
from codemoe.data.prompt import format_prompt
from codemoe.data.rows import Drop
from codemoe.evaluate.preferences.judge import Task
from codemoe.evaluate.preferences.pairs import CAUSES, WITHOUT_CONTRAST, Candidate, make_pairs
from codemoe.evaluate.sandbox.records import NOT_COUNTED, STATUSES
from codemoe.progress import say
from codemoe.recipe import ExpertFilter

PAIRS, COUNTS = "pairs.jsonl", "counts.json"


def collect(
    expert: str,
    tasks: Sequence[Task],
    candidates: Mapping[str, Sequence[Candidate]],
    config: AlignConfig,
    admits: ExpertFilter,
    out: Path,
) -> None:
    """Write both files. People's pairs are the expert's whose filter admits their language."""
    own, about = own_pairs(tasks, candidates, config)
    human, dropped = human_pairs(config, admits)
    write_preferences(out / PAIRS, [*own, *human])
    causes = Counter(pair.cause for pair in own)
    about |= {
        "pairs": {cause: causes[cause] for cause in CAUSES} | {"human": len(human)},
        "human_dropped": dropped,
    }
    (out / COUNTS).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    shown = ", ".join(f"{cause} {n}" for cause, n in about["pairs"].items() if n) or "none"
    without = sum(about["without_contrast"].values())
    say(f"align {expert}: pairs: {shown}; {without} of {len(tasks)} tasks without contrast")


def own_pairs(
    tasks: Sequence[Task], candidates: Mapping[str, Sequence[Candidate]], config: AlignConfig
) -> tuple[list[Preference], dict[str, Any]]:
    """The pairs of sampled answers, and what became of all answers and tasks."""
    pairs: list[Preference] = []
    without: Counter[str] = Counter()
    for task in tasks:
        row = task.row
        found, why = make_pairs(
            candidates[row.id], row.language, config.pairs_per_task, config.shorter_by
        )
        if why is not None:
            without[why] += 1
        prompt = format_prompt(row.text, row.language)
        pairs += [
            Preference(
                row.id,
                row.language,
                pair.cause,
                prompt,
                pair.chosen.text,
                pair.rejected.text,
                pair.chosen.status,
                pair.rejected.status,
                pair.rejected.finished,
            )
            for pair in found
        ]
    answers = [one for task in tasks for one in candidates[task.row.id]]
    statuses = Counter(one.status for one in answers)
    counted = sum(n for status, n in statuses.items() if status not in NOT_COUNTED)
    wrong = sum(
        one.language not in (None, task.row.language)
        for task in tasks
        for one in candidates[task.row.id]
    )
    return pairs, {
        "tasks": len(tasks),
        "answers": len(answers),
        "by_status": {status: statuses[status] for status in STATUSES if statuses[status]},
        "passed": statuses["pass"] / counted if counted else None,
        "wrong_language": wrong,
        "without_contrast": {why: without[why] for why in WITHOUT_CONTRAST if without[why]},
    }


def human_pairs(
    config: AlignConfig, admits: ExpertFilter
) -> tuple[list[Preference], dict[str, int]]:
    """People's pairs for one expert, and the rows that are none, by reason."""
    found: list[Preference] = []
    dropped: Counter[str] = Counter()
    for source in config.human:
        for one in read_human(source):
            if isinstance(one, Drop):
                dropped[one.reason] += 1
            elif admits.languages and one.language not in admits.languages:
                dropped["another expert's language"] += 1
            else:
                found.append(one)
    return found, dict(dropped)
