"""The corpus as data rows (one a program and phrasing) and as test suites."""

from collections.abc import Iterator, Sequence

from codemoe.data.corpus.build import CorpusItem, distinct_tasks, render, text_of
from codemoe.data.corpus.task import Task
from codemoe.data.rows import Row

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


def row_id(item: CorpusItem, language: str, phrasing: int) -> str:
    return f"{item.group}/{language}/{phrasing}"


def corpus_rows(
    items: Sequence[CorpusItem], languages: Sequence[str], phrasings: int
) -> Iterator[Row]:
    for item in items:
        for language in languages:
            if language not in item.programs:
                continue
            for phrasing in range(min(phrasings, len(item.texts))):
                yield Row(
                    id=row_id(item, language, phrasing),
                    group=item.group,
                    language=language,
                    text=text_of(item, language, phrasing),
                    code=item.programs[language].code,
                    source=SOURCE,
                    license=LICENSE,
                )


def suite_row(item: CorpusItem, row: Row) -> dict[str, str]:
    """A native suite row; the completion is a whole program, so its prompt is empty."""
    program = item.programs[row.language]
    return {
        "id": row.id,
        "language": row.language,
        "prompt": "",
        "solution": program.code,
        "tests": program.tests,
        "entry_point": program.entry_point,
    }
