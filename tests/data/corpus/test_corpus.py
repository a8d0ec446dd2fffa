"""The built-in corpus: size, distinctness, splits by semantics, programs that pass their tests."""

from collections import Counter

import pytest

from codemoe.data.corpus.build import CorpusItem, distinct_tasks, family_names, render, text_of
from codemoe.data.corpus.inputs import fingerprint, same_semantics
from codemoe.data.corpus.rows import corpus_rows, suite_row, thin
from codemoe.data.corpus.task import CORPUS_LANGUAGES, Task
from codemoe.data.split import split_groups
from codemoe.languages import get_language
from tests.data.corpus.batch_run import failures

# The whole corpus is run by `python -m tests.data.corpus.batch_run`; here a broad, even sample.
SAMPLE = 240


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return distinct_tasks()


@pytest.fixture(scope="module")
def items(tasks: list[Task]) -> list[CorpusItem]:
    return [render(task) for task in thin(tasks, SAMPLE)]


def test_size_and_breadth(tasks: list[Task]) -> None:
    assert len(family_names()) >= 12
    assert len(tasks) >= 1500
    by_family = Counter(task.family for task in tasks)
    assert min(by_family.values()) >= 100
    assert len({task.group for task in tasks}) == len(tasks)


def test_semantics_are_distinct(tasks: list[Task]) -> None:
    by_fingerprint: dict[str, list[Task]] = {}
    for task in tasks[::7]:
        by_fingerprint.setdefault(fingerprint(task), []).append(task)
    for alike in by_fingerprint.values():
        for i, a in enumerate(alike):
            assert same_semantics(a, a)
            assert not any(same_semantics(a, b) for b in alike[i + 1 :])


def test_each_task_has_phrasings_and_tests(items: list[CorpusItem]) -> None:
    for item in items:
        assert len(item.texts) >= 3, item.group
        for language in CORPUS_LANGUAGES:
            assert len({text_of(item, language, i) for i in range(3)}) >= 2, item.group
            program = item.programs[language]
            assert program.entry_point in program.code
            assert program.entry_point in program.signature
            assert program.tests.count(program.entry_point) >= 5, item.group


def test_texts_tell_tasks_apart(items: list[CorpusItem]) -> None:
    texts = [text_of(item, "python", 0) for item in items]
    assert len(set(texts)) == len(texts)


def test_no_semantics_is_in_two_splits(items: list[CorpusItem]) -> None:
    rows = list(corpus_rows(items, CORPUS_LANGUAGES, 3))
    splits = split_groups(rows, {"train": 0.8, "valid": 0.1, "test": 0.1}, 0)
    groups = {name: {row.group for row in some} for name, some in splits.items()}
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["valid"]
    assert not {row.code for row in splits["train"]} & {row.code for row in splits["test"]}
    for some in groups.values():
        assert some


@pytest.mark.parametrize("language", CORPUS_LANGUAGES)
def test_programs_pass_their_tests(items: list[CorpusItem], language: str) -> None:
    missing = get_language(language).missing_executables()
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    assert failures(items, language) == []


@pytest.mark.parametrize("language", CORPUS_LANGUAGES)
def test_programs_of_another_task_fail(items: list[CorpusItem], language: str) -> None:
    """The wrong twin: tests that any program passes would prove nothing."""
    missing = get_language(language).missing_executables()
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    family = [item for item in items if item.family == "array_reduce"][:6]
    swapped = []
    for item, other in zip(family, family[1:] + family[:1], strict=True):
        mine, theirs = item.programs[language], other.programs[language]
        code = theirs.code.replace(theirs.entry_point, mine.entry_point)
        program = type(mine)(language, mine.signature, mine.entry_point, code, mine.tests)
        swapped.append(CorpusItem(item.group, item.family, item.texts, {language: program}))
    (report,) = failures(swapped, language)
    assert f"{len(swapped)} failed" in report


def test_suite_rows_are_native(items: list[CorpusItem]) -> None:
    row = next(corpus_rows(items[:1], ("java",), 1))
    suite = suite_row(items[0].programs["java"], row)
    assert set(suite) == {"id", "language", "prompt", "solution", "tests", "entry_point"}
    assert suite["id"] == row.id
    assert suite["prompt"] + suite["solution"] == row.code
