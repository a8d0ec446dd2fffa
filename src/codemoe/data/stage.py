"""The `data` stage: the recipe's sources -> train/valid/test Parquet, dropped.csv, test suites."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from codemoe.artifacts import Redo, run_stage, sha256_of
from codemoe.data.benchmarks import read_benchmark_texts
from codemoe.data.build import Dataset, build_dataset, write_dataset
from codemoe.data.corpus.build import CorpusItem
from codemoe.data.corpus.rows import SOURCE, corpus_items, corpus_rows, suite_row
from codemoe.data.filters import Limits
from codemoe.data.records import find_data_files
from codemoe.data.rows import Drop, Row, read_parquet, stable_hash
from codemoe.data.sources import read_rows, read_xlcost
from codemoe.data.stack import read_stack
from codemoe.errors import UserError
from codemoe.languages import get_language
from codemoe.progress import say
from codemoe.recipe import DataConfig, Recipe, Source

SPLITS = ("train", "valid", "test")


def run(recipe: Recipe, *, redo: Redo = "never") -> bool:
    """Make `data/`; True when it was made, False when it was there already."""
    config = {
        "data": recipe.data.model_dump(mode="json"),
        "languages": list(recipe.languages),
        "files": _file_hashes(recipe.data),
    }
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
    with path.open(encoding="utf-8") as file:
        return {row["id"]: row for row in map(json.loads, file)}


def _build(recipe: Recipe, out: Path) -> None:
    config = recipe.data
    items: dict[str, CorpusItem] = {}
    for source in config.sources:
        if source.kind == "corpus":
            say("data: generating the built-in corpus")
            items.update((item.group, item) for item in corpus_items(source.tasks))
    rows = chain.from_iterable(
        _read(source, recipe, list(items.values())) for source in config.sources
    )
    dataset = build_dataset(
        rows,
        languages=recipe.languages,
        limits=Limits(
            max_code_chars=config.max_code_chars,
            max_text_chars=config.max_text_chars,
            max_error_fraction=config.max_parse_error if _grammars(recipe) else None,
        ),
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
    dataset = replace(dataset, valid=_one_phrasing(dataset.valid), test=_one_phrasing(dataset.test))
    write_dataset(dataset, out)
    _write_suites(dataset, items, out)
    counts = dataset.counts["rows"]["train"]
    say("data: training rows " + ", ".join(f"{name} {n}" for name, n in counts.items()))


def _read(source: Source, recipe: Recipe, items: list[CorpusItem]) -> Iterator[Row | Drop]:
    if source.kind == "corpus":
        return corpus_rows(items, recipe.languages, source.phrasings)
    assert source.path is not None
    if source.kind == "rows":
        return read_rows(source.path, fields=source.fields)
    if source.kind == "xlcost":
        languages = [name for name in recipe.languages if name != "go"]
        return read_xlcost(source.path, languages=languages, revision=source.revision)
    return read_stack(source.path, languages=recipe.languages, revision=source.revision)


def _one_phrasing(rows: list[Row]) -> list[Row]:
    """Held-out corpus tasks are asked once a language; the task's name decides the phrasing."""
    kept: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        key = (row.group, row.language, "" if row.source == SOURCE else row.id)
        kept.setdefault(key, []).append(row)
    return [options[int(stable_hash(key[0]), 16) % len(options)] for key, options in kept.items()]


def _write_suites(dataset: Dataset, items: dict[str, CorpusItem], out: Path) -> None:
    """`<split>.suite.jsonl` with the tests of the corpus' rows; no file without such rows."""
    for split in SPLITS:
        # One row a program: phrasings share their tests.
        firsts = {(r.group, r.language): r for r in reversed(getattr(dataset, split))}
        rows = [row for row in reversed(firsts.values()) if row.group in items]
        if rows:
            with (out / f"{split}.suite.jsonl").open("w", encoding="utf-8") as file:
                for row in rows:
                    file.write(json.dumps(suite_row(items[row.group], row)) + "\n")


def _grammars(recipe: Recipe) -> bool:
    """Whether all languages of the recipe can be parsed here: the filter treats all alike."""
    from importlib.util import find_spec

    modules = {get_language(name).grammar.partition(":")[0] for name in recipe.languages}
    missing = sorted(m for m in modules if find_spec(m) is None)
    if missing:
        packages = " ".join(name.replace("_", "-") for name in missing)
        say(f"data: the parse filter is off; to turn it on: pip install {packages}")
    return not missing


def _file_hashes(config: DataConfig) -> dict[str, str]:
    """Content hashes of all local files that are read: other content is another data set."""
    try:
        files = [file for source in config.sources for file in _files_of(source)]
        files += [file for path in config.benchmarks for file in find_data_files(path)]
        return {str(file): sha256_of(file) for file in files}
    except OSError as error:
        raise UserError(
            f"cannot read the data source {error.filename}: {error.strerror}",
            "check data.sources and data.benchmarks in the recipe",
        ) from None


def _files_of(source: Source) -> list[Path]:
    if source.path is None or (source.kind != "rows" and not Path(source.path).exists()):
        return []  # the corpus, or a data set on the hub, which its revision fixes
    if source.kind == "xlcost":
        return sorted(Path(source.path).glob("data/*-program-level/*.json"))
    return find_data_files(source.path)
