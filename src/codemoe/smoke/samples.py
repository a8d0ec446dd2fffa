"""A few rows of each of the recipe's sources, read as the real run reads them."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

from codemoe.data.corpus.build import CorpusItem, distinct_tasks, family_names, render
from codemoe.data.corpus.rows import corpus_rows, thin
from codemoe.data.filters import Limits, first_reason
from codemoe.data.hub import is_hub_id
from codemoe.data.rows import Drop, Row
from codemoe.data.sources import XLCOST_FOLDERS
from codemoe.data.stage import limits_of, missing_grammars, read_source
from codemoe.data_config import Source
from codemoe.errors import UserError, WorkError
from codemoe.recipe import Recipe
from codemoe.smoke.reach import unreachable

ROWS = 48  # of each language and source name that pass the filters, from each source
TASKS = 60  # of the built-in corpus
_SECONDS = 30.0  # for one source: where a language is scarce, reading ends then


@dataclass(frozen=True)
class Sampled:
    """Small sources in place of the recipe's, and what people should know of them."""

    sources: tuple[Source, ...]
    rows: tuple[Row, ...]  # those of the corpus are not among them
    notes: tuple[str, ...]
    parsable: bool  # False: some rows are in another language than they say


@dataclass
class _Taken:
    """Rows to write; `passing` counts all that were read and pass the filters, by language."""

    rows: list[Row]
    passing: Counter[str]
    whole: bool  # the source was read to its end
    all_kept: bool  # and `rows` are all it has


def sample_sources(recipe: Recipe, folder: Path) -> Sampled:
    """Write a sample of each source into `folder`.

    A hub data set that cannot be reached is stood in for by the built-in corpus. All other errors
    of reading are those of the real run.
    """
    sources: list[Source] = []
    rows: list[Row] = []
    notes: list[str] = []
    parsable, whole, corpus = True, True, False
    passing: Counter[str] = Counter()
    for number, source in enumerate(recipe.data.sources):
        if source.kind == "corpus":
            corpus = True
            sources.append(source.model_copy(update={"tasks": min(source.tasks or TASKS, TASKS)}))
            continue
        try:
            taken = _sample(source, recipe)
        except WorkError as error:
            if not (is_hub_id(source.path or "") and unreachable(error)):
                raise
            others, own = _stand_ins(_languages_of(source, recipe), source)
            parsable &= own
            taken = _Taken(others, Counter(row.language for row in others), False, False)
            notes.append(
                f"the data set {source.path} cannot be reached: rows of the built-in corpus stand "
                "in for it" + ("" if own else ", for languages that it has not, C++ programs")
            )
        else:
            found = ", ".join(f"{n} {language}" for language, n in _counts(taken.rows).items())
            part = "all it has" if taken.all_kept else "the first of each language"
            notes.append(f"of {source.path}: {found or 'no'} rows, {part}")
        rows += taken.rows
        passing += taken.passing
        whole &= taken.whole
        file = folder / f"source-{number}.jsonl"
        lines = "".join(json.dumps(asdict(row)) + "\n" for row in taken.rows)
        file.write_text(lines, encoding="utf-8")
        sources.append(Source(kind="rows", path=str(file.resolve()), use=source.use))
    if whole and not corpus:
        _check_enough(passing, recipe)
    return Sampled(tuple(sources), tuple(rows), tuple(notes), parsable)


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    return dict(sorted(Counter(row.language for row in rows).items()))


def _check_enough(passing: Counter[str], recipe: Recipe) -> None:
    """Where all there is has been read, the recipe's own minimum holds."""
    minimum = recipe.data.min_rows_per_language
    short = [name for name in recipe.languages if passing[name] < minimum]
    if short:
        found = ", ".join(f"{name} {passing[name]}" for name in short)
        raise UserError(
            f"too few rows for {', '.join(short)}: at least {minimum} are needed "
            f"(data.min_rows_per_language); of all the sources' rows these pass the filters: "
            f"{found}",
            "add a source, loosen the limits, or take the language out of the recipe",
        )


def _sample(source: Source, recipe: Recipe) -> _Taken:
    limits = limits_of(recipe.data, parsable=not missing_grammars(recipe.languages))
    if source.kind == "xlcost" or (source.kind == "stack" and is_hub_id(source.path or "")):
        # Language after language: what comes first would be read to its end.
        next(read_source(source, recipe.languages, {}), None)  # its files are looked for here
        parts = [
            _take(read_source(source, [name], {}), [name], limits, recipe)
            for name in _languages_of(source, recipe)
        ]
        rows = list(chain.from_iterable(part.rows for part in parts))
        passing = sum((part.passing for part in parts), Counter[str]())
        whole, all_kept = all(p.whole for p in parts), all(p.all_kept for p in parts)
        return _Taken(rows, passing, whole, all_kept)
    records = read_source(source, recipe.languages, {})
    return _take(records, recipe.languages, limits, recipe)


def _languages_of(source: Source, recipe: Recipe) -> list[str]:
    """Of the recipe, those that such a source has. XLCoST's reader says which it needs if none."""
    if source.language is not None:
        return [source.language]
    wanted = source.languages or recipe.languages
    if source.kind != "xlcost":
        return list(wanted)
    return [name for name in wanted if name in XLCOST_FOLDERS] or list(wanted)


def _take(
    records: Iterable[Row | Drop], languages: Sequence[str], limits: Limits, recipe: Recipe
) -> _Taken:
    """Rows until every language and expert has enough; some that fail a filter come along."""
    taken = _Taken([], Counter(), True, True)
    good: Counter[tuple[str, str]] = Counter()
    bad: Counter[tuple[str, str]] = Counter()
    enough = max(ROWS, recipe.data.min_rows_per_language)
    named = [one for one in recipe.expert_filters.values() if one.sources]
    ends = time.monotonic() + _SECONDS

    def full() -> bool:
        return all(taken.passing[name] >= enough for name in languages) and all(
            sum(n for key, n in good.items() if one.admits(*key)) >= ROWS // 2 for one in named
        )

    for item in records:
        if isinstance(item, Row) and item.language in languages:
            key = (item.language, item.source)
            passes = first_reason(item, limits) is None
            taken.passing[item.language] += passes
            kept = good if passes else bad
            kept[key] += 1
            if kept[key] <= ROWS:
                taken.rows.append(item)
            else:
                taken.all_kept = False
            if passes and full():
                taken.whole = taken.all_kept = False
                break
        if time.monotonic() > ends:
            taken.whole = taken.all_kept = False
            break
    return taken


def few_items(number: int) -> list[CorpusItem]:
    """Tasks of some families: telling those of all apart takes longer than all the rest."""
    return [render(task) for task in thin(distinct_tasks(family_names()[::12]), number)]


def _stand_ins(languages: Sequence[str], source: Source) -> tuple[list[Row], bool]:
    """Rows of the built-in corpus under the source's name; whether all are in their language."""
    items = few_items(TASKS)
    name = source.name or _default_name(source)
    rows = [*corpus_rows(items, languages, 1)]
    own = {row.language for row in rows}
    rows += _relabelled(corpus_rows(items, ["cpp"], 1), [x for x in languages if x not in own])
    rows = [replace(row, id=f"{name}-{row.id.replace('/', '-')}", source=name) for row in rows]
    return rows, own >= set(languages)


def _default_name(source: Source) -> str:
    if source.kind == "xlcost":
        return "xlcost" if source.level == "program" else "xlcost-snippets"
    return "the-stack" if source.kind == "stack" else (source.path or "").rpartition("/")[2]


def _relabelled(rows: Iterable[Row], languages: Sequence[str]) -> Iterator[Row]:
    for row in rows:
        for language in languages:
            # A comment keeps them from being the duplicates that they are.
            code = f"// {language}\n{row.code}"
            yield replace(row, id=f"{language}-{row.id}", language=language, code=code)
