"""Labelled text for a new expert: which rows are its own, which stand for the old experts."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from codemoe.artifacts import is_finished
from codemoe.data.rows import Drop, Row
from codemoe.data.sources import read_rows
from codemoe.data.stage import read_split
from codemoe.errors import UserError
from codemoe.progress import say

MIN_PROBLEMS = 10  # fewer say nothing about text that is still to come


def read_labelled(path: str) -> list[Row]:
    """Every row of the files; one without text or code is refused, as nothing else tells of it."""
    rows = []
    for row in read_rows(path, fields={}):
        if isinstance(row, Drop) or not row.text.strip():
            why = f"{row.reason} ({row.detail})" if isinstance(row, Drop) else "no text"
            raise UserError(
                f"{path}: the row {row.id!r} cannot be used: {why}",
                "each row needs text, code and language",
            )
        rows.append(row)
    return rows


def new_languages(
    asked: Collection[str], labelled: Sequence[Row], expert_of_language: Mapping[str, str]
) -> list[str]:
    """The languages that the new expert gets: those asked for, or those that no old expert has."""
    for language in asked:
        if language in expert_of_language:
            raise UserError(
                f"{language} has an expert already: {expert_of_language[language]!r}",
                "name a language that has none; the old experts keep theirs",
            )
    found = sorted({row.language for row in labelled})
    new = sorted(set(asked)) or [one for one in found if one not in expert_of_language]
    if not new:
        raise UserError(
            f"--data has rows of {', '.join(found)}, and each has an expert already",
            "give rows of the language that the new expert is for",
        )
    missing = [language for language in new if language not in found]
    if missing:
        raise UserError(
            f"--data has no row of {', '.join(missing)}; it has {', '.join(found)}",
            "give rows of every --language",
        )
    return new


def rows_of_run(moe_dir: Path) -> list[list[Row]]:
    """The rows of the run that a mixture was made in; none for a mixture outside of a run.

    Validation rows first: the old router was fitted on training rows, where it looks surer of
    itself than it is. Test rows stay unseen.
    """
    data_dir = moe_dir.resolve().parent / "data"
    if moe_dir.resolve().name != "moe" or not is_finished(data_dir):
        return []
    return [read_split(data_dir, split) for split in ("valid", "train")]


def choose_rows(parts: Sequence[Sequence[Row]], limit: int) -> list[Row]:
    """Up to `limit` rows of each language: of the first part, then of the next, spread over it."""
    chosen: list[Row] = []
    counts: Counter[str] = Counter()
    for rows in parts:
        for language in sorted({row.language for row in rows}):
            own = [row for row in rows if row.language == language]
            count = min(limit - counts[language], len(own))
            chosen += [own[i * len(own) // count] for i in range(count)]
            counts[language] += count
    return chosen


def check_rows(
    rows: Sequence[Row], new: Collection[str], expert_of_language: Mapping[str, str]
) -> None:
    """Enough problems of the new languages and of others to fit a row and to cross-validate it."""
    named = ", ".join(new)
    own = {row.group for row in rows if row.language in new}
    other = {row.group for row in rows if row.language not in new}
    if len(own) < MIN_PROBLEMS:
        raise UserError(
            f"--data has too few different problems of {named}: {len(own)}, and the router needs "
            f"{MIN_PROBLEMS} or more",
            "give more rows: --data FILE",
        )
    if len(other) < MIN_PROBLEMS:
        old = ", ".join(expert_of_language) or "the old experts' languages"
        raise UserError(
            f"the router must also see what is not {named}: found {len(other)} different problems "
            f"in other languages, and it needs {MIN_PROBLEMS} or more",
            f"give rows of {old}, too, such as those of a run: --data RUN/data/valid.parquet",
        )
    unseen = sorted(expert_of_language.keys() - {row.language for row in rows})
    if unseen:
        say(f"add-expert: no rows of {', '.join(unseen)}: what changes there is not measured")
