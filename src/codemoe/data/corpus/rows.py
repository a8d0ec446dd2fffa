"""The corpus as data rows (one a program and phrasing) and as test suites."""

from collections.abc import Iterator, Sequence

from codemoe.data.corpus.build import CorpusItem, distinct_tasks, render, text_of
from codemoe.data.corpus.task import Program, Task
from codemoe.data.rows import Drop, Row, stable_hash

SOURCE = "codemoe_corpus"
LICENSE = "Apache-2.0"


def thin(tasks: Sequence[Task], limit: int | None) -> list[Task]:
    """At most `limit` tasks, evenly spread over the corpus' order, hence over its families."""
    if limit is None or limit >= len(tasks):
        return list(tasks)
    return [tasks[i * len(tasks) // limit] for i in range(limit)]


def corpus_items(limit: int | None = None) -> Iterator[CorpusItem]:
    for task in thin(distinct_tasks(), limit):
        yield render(task)


def corpus_rows(
    items: Sequence[CorpusItem], languages: Sequence[str], phrasings: int
) -> Iterator[Row]:
    for item in items:
        for language in languages:
            if language not in item.programs:
                continue
            for phrasing in range(min(phrasings, len(item.texts))):
                yield Row(
                    id=f"{item.group}/{language}/{phrasing}",
                    group=item.group,
                    language=language,
                    text=text_of(item, language, phrasing),
                    code=item.programs[language].code,
                    source=SOURCE,
                    license=LICENSE,
                )


def task_of(row: Row) -> str | None:
    """The group that a corpus row had when it was made: groups are united, ids keep their task."""
    return row.id.rsplit("/", 2)[0] if row.source == SOURCE else None


def one_phrasing(rows: Sequence[Row]) -> tuple[list[Row], list[Drop]]:
    """Held-out corpus tasks are asked once a language; the task's name decides the phrasing."""
    alike: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        key = (task_of(row) or row.id, row.language, row.source)
        alike.setdefault(key, []).append(row)
    asked = {key: some[int(stable_hash(key[0]), 16) % len(some)] for key, some in alike.items()}
    reason = "another phrasing of a held-out task"
    dropped = [
        Drop(reason, row.id, row.source, language=row.language, detail=f"asked as {asked[key].id}")
        for key, some in alike.items()
        for row in some
        if row is not asked[key]
    ]
    return list(asked.values()), dropped


def suite_row(program: Program, row: Row) -> dict[str, str]:
    """A native suite row; the completion is a whole program, so its prompt is empty."""
    return {
        "id": row.id,
        "language": row.language,
        "prompt": "",
        "solution": program.code,
        "tests": program.tests,
        "entry_point": program.entry_point,
    }
