"""The `data` stage: the recipe's sources -> train/valid/test Parquet, dropped.csv, test suites."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from codemoe.artifacts import Redo, run_stage, sha256_of
from codemoe.data.benchmarks import read_benchmark_texts
from codemoe.data.build import SPLITS, Dataset, build_dataset, write_dataset
from codemoe.data.corpus.build import CorpusItem, corpus_hash
from codemoe.data.corpus.rows import corpus_items, corpus_rows, suite_row, task_of
from codemoe.data.filters import Limits
from codemoe.data.hub import is_hub_id
from codemoe.data.instructions import read_instructions
from codemoe.data.records import find_data_files
from codemoe.data.rows import Drop, Row, read_parquet
from codemoe.data.sources import (
    HubPart,
    known_to_xlcost,
    read_rows,
    read_xlcost,
    xlcost_files,
)
from codemoe.data.stack import read_stack
from codemoe.data_config import DataConfig, Source
from codemoe.errors import UserError
from codemoe.jsonl import read_jsonl
from codemoe.languages import get_language
from codemoe.progress import say
from codemoe.recipe import Recipe

Corpora = Mapping[int | None, Sequence[CorpusItem]]  # by the most tasks that a source may have


def run(recipe: Recipe, *, redo: Redo = "never") -> bool:
    """Make `data/`; True when it was made, False when it was there already."""
    config: dict[str, Any] = {
        "data": recipe.data.model_dump(mode="json"),
        "languages": list(recipe.languages),
        "files": _file_hashes(recipe),
    }
    if any(source.kind == "corpus" for source in recipe.data.sources):
        config["corpus"] = corpus_hash()
    return run_stage(
        recipe.run_dir / "data",
        "data",
        config,
        {},
        lambda out: _build(recipe, out),
        seed=recipe.seed,
        redo=redo,
    )


def read_split(data_dir: Path, split: str) -> list[Row]:
    """The rows of one split of a finished `data/`."""
    return read_parquet(data_dir / f"{split}.parquet")


def read_suite(data_dir: Path, split: str) -> dict[str, dict[str, str]]:
    """Tests by row id; rows of sources that carry no tests are not in it."""
    path = data_dir / f"{split}.suite.jsonl"
    if not path.is_file():
        return {}
    return {row["id"]: row for _, row in read_jsonl(path)}


def _build(recipe: Recipe, out: Path) -> None:
    config = recipe.data
    corpora: dict[int | None, Sequence[CorpusItem]] = {}
    for source in config.sources:
        if source.kind == "corpus" and source.tasks not in corpora:
            say("data: generating the built-in corpus")
            corpora[source.tasks] = list(corpus_items(source.tasks))

    def rows_of(use: str) -> Iterator[Row | Drop]:
        return chain.from_iterable(
            read_source(source, recipe.languages, corpora)
            for source in config.sources
            if source.use == use
        )

    dataset = build_dataset(
        rows_of("all"),
        learned_only=rows_of("train"),
        languages=recipe.languages,
        limits=limits_of(config, parsable=_grammars(recipe)),
        fractions={
            "train": 1 - config.valid_fraction - config.test_fraction,
            "valid": config.valid_fraction,
            "test": config.test_fraction,
        },
        seed=config.split_seed,
        max_rows_per_language=config.max_rows_per_language,
        min_rows_per_language=config.min_rows_per_language,
        benchmarks=[text for path in config.benchmarks for text in read_benchmark_texts(path)],
    )
    write_dataset(dataset, out)
    _write_suites(dataset, corpora, out)
    counts = dataset.counts["rows"]["train"]
    say("data: training rows " + ", ".join(f"{name} {n}" for name, n in counts.items()))


def limits_of(config: DataConfig, parsable: bool) -> Limits:
    """What the filters let through; `parsable`: whether all languages' grammars are here."""
    return Limits(
        max_code_chars=config.max_code_chars,
        max_text_chars=config.max_text_chars,
        max_error_fraction=config.max_parse_error if parsable else None,
    )


def read_source(source: Source, languages: Sequence[str], corpora: Corpora) -> Iterator[Row | Drop]:
    """The records of one source, in order."""
    if source.kind == "corpus":
        return corpus_rows(corpora[source.tasks], languages, source.phrasings)
    wanted = [name for name in languages if not source.languages or name in source.languages]
    if source.max_rows is None:
        rows = _read(source, wanted)
    else:
        # Language after language, so that what comes first is not read to its end.
        rows = chain.from_iterable(
            _first_rows(_read(source, [name]), source.max_rows)
            for name in (wanted if source.kind == "stack" else known_to_xlcost(wanted))
        )
    return rows if source.name is None else (replace(row, source=source.name) for row in rows)


def _first_rows(items: Iterator[Row | Drop], number: int) -> Iterator[Row | Drop]:
    """Up to so many rows, and what was dropped among them."""
    for item in items:
        yield item
        number -= isinstance(item, Row)
        if not number:
            return


def _read(source: Source, languages: Sequence[str]) -> Iterator[Row | Drop]:
    path, revision = source.path, source.revision
    assert path is not None
    if source.kind in ("rows", "instructions"):
        reader = read_rows if source.kind == "rows" else read_instructions
        hub = HubPart(source.subset, source.split, revision)
        return reader(path, fields=source.fields, language=source.language, hub=hub)
    if source.kind == "xlcost":
        return read_xlcost(path, languages=languages, revision=revision, level=source.level)
    return read_stack(path, languages=languages, revision=revision)


def _write_suites(dataset: Dataset, corpora: Corpora, out: Path) -> None:
    """`<split>.suite.jsonl` with the tests of the corpus' rows; no file without such rows."""
    programs = {
        (item.group, language): program
        for items in corpora.values()
        for item in items
        for language, program in item.programs.items()
    }
    for split in SPLITS:
        firsts: dict[tuple[str | None, str], Row] = {}
        for row in getattr(dataset, split):
            # One row a program: phrasings share their tests.
            firsts.setdefault((task_of(row), row.language), row)
        suite = [suite_row(programs[key], row) for key, row in firsts.items() if key in programs]
        if suite:
            text = "".join(json.dumps(row) + "\n" for row in suite)
            (out / f"{split}.suite.jsonl").write_text(text, encoding="utf-8")


def missing_grammars(languages: Sequence[str]) -> list[str]:
    """Modules to install before all of these languages can be parsed."""
    from importlib.util import find_spec

    modules = {get_language(name).grammar.partition(":")[0] for name in languages}
    return sorted(m for m in modules if m and find_spec(m) is None)


def _grammars(recipe: Recipe) -> bool:
    """Whether all languages of the recipe can be parsed here: the filter treats all alike."""
    missing = missing_grammars(recipe.languages)
    if missing:
        packages = " ".join(name.replace("_", "-") for name in missing)
        say(f"data: the parse filter is off; to turn it on: pip install {packages}")
    return not missing


def _file_hashes(recipe: Recipe) -> dict[str, str]:
    """Content hashes of all local files that are read: other content is another data set."""
    try:
        files = [file for source in recipe.data.sources for file in _files_of(source, recipe)]
        files += [file for path in recipe.data.benchmarks for file in find_data_files(path)]
        return {str(file): sha256_of(file) for file in files}
    except OSError as error:
        raise UserError(
            f"cannot read the data source {error.filename}: {error.strerror}",
            "check data.sources and data.benchmarks in the recipe",
        ) from None


def _files_of(source: Source, recipe: Recipe) -> list[Path]:
    """As the readers find them; none for the corpus and for the hub, which a revision fixes."""
    if source.path is None or is_hub_id(source.path):
        return []
    if source.kind == "xlcost":
        wanted = source.languages or recipe.languages
        return [f for _, _, f in xlcost_files(source.path, wanted, source.level)]
    return find_data_files(source.path)
