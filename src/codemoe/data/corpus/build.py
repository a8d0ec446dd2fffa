"""Generate the built-in corpus: every family's tasks, distinct in what they compute."""

import hashlib
import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codemoe.artifacts import sha256_of
from codemoe.data.corpus import families
from codemoe.data.corpus.inputs import cases_of, fingerprint, same_semantics
from codemoe.data.corpus.render import program_of
from codemoe.data.corpus.task import CORPUS_LANGUAGES, Program, Task


@dataclass(frozen=True)
class CorpusItem:
    """One semantics with its phrasings and its rendered programs by language."""

    group: str
    family: str
    texts: tuple[tuple[str, tuple[str, ...]], ...]
    programs: dict[str, Program]


def corpus_hash() -> str:
    """SHA-256 over this package's source files: when they change, so may every row."""
    root = Path(__file__).parent
    files = sorted(root.rglob("*.py"))
    lines = [f"{file.relative_to(root).as_posix()} {sha256_of(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def family_names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(families.__path__))


def tasks_of(family: str) -> Iterator[Task]:
    """The family's tasks in their fixed order, not yet checked for distinctness."""
    module = importlib.import_module(f"codemoe.data.corpus.families.{family}")
    yield from module.tasks()


def distinct_tasks(names: list[str] | None = None) -> list[Task]:
    """Tasks of all families (or the named ones); of two that compute the same, the first stays."""
    alike: dict[str, list[Task]] = {}
    kept = []
    for family in names or family_names():
        for task in tasks_of(family):
            others = alike.setdefault(fingerprint(task), [])
            if not any(same_semantics(task, other) for other in others):
                others.append(task)
                kept.append(task)
    return kept


def render(task: Task) -> CorpusItem:
    cases = cases_of(task)
    programs = {language: program_of(task, language, cases) for language in CORPUS_LANGUAGES}
    return CorpusItem(task.group, task.family, task.texts, programs)


def text_of(item: CorpusItem, language: str, phrasing: int) -> str:
    """The description a model is prompted with: "title | comment ; comment ; signature"."""
    title, comments = item.texts[phrasing % len(item.texts)]
    return f"{title} | {' ; '.join([*comments, item.programs[language].signature])}"
