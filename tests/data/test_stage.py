"""The data stage as a whole: a recipe in, Parquet splits, suites and reasons out."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from codemoe.data.stage import SPLITS, read_split, read_suite, run
from codemoe.errors import UserError
from codemoe.recipe import Recipe
from codemoe.recipe_file import make_recipe

WORDS = [f"word{n}" for n in range(14)]


def row(n: int) -> dict[str, str]:
    """Rows that share neither ten words nor forty tokens with one another."""
    text = " ".join(WORDS[(n * 5 + i * (n + 1)) % len(WORDS)] + str(n) for i in range(12))
    return {"text": text, "code": f"def f{n}(a):\n    return a + {n}", "language": "py"}


def recipe(folder: Path, *sources: Any, **data: Any) -> Recipe:
    settings = {"min_rows_per_language": 3, "valid_fraction": 0.2, "test_fraction": 0.2} | data
    return make_recipe(
        {
            "name": "r",
            "runs_dir": str(folder / "runs"),
            "languages": ["python"],
            "data": {"sources": list(sources), **settings},
            "base": {"model": "builtin"},
        }
    )


def rows_file(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def test_benchmarks_of_the_recipe_are_removed_from_the_data(tmp_path: Path) -> None:
    rows = [row(n) for n in range(40)]
    file = rows_file(tmp_path / "rows.jsonl", rows)
    suite = rows_file(
        tmp_path / "suite.jsonl",
        [{"id": "a", "prompt": f"# please: {rows[7]['text']} and return it", "tests": "x"}],
    )
    source = {"kind": "rows", "path": str(file)}
    made = recipe(tmp_path, source, benchmarks=[str(suite)])
    run(made)
    data = made.run_dir / "data"
    kept = {one.text for split in SPLITS for one in read_split(data, split)}
    assert rows[7]["text"] not in kept
    assert len(kept) == 39
    with (data / "dropped.csv").open() as dropped:
        assert [one["reason"] for one in csv.DictReader(dropped)] == ["in a benchmark"]
    # Another benchmark is another data set.
    rows_file(suite, [{"id": "a", "prompt": rows[8]["text"], "tests": "x"}])
    with pytest.raises(UserError, match=r"suite\.jsonl"):
        run(made)
    with pytest.raises(UserError, match="does not exist"):
        run(recipe(tmp_path, source, benchmarks=["none.jsonl"]))


def test_the_corpus_brings_its_tests(tmp_path: Path) -> None:
    made = recipe(tmp_path, {"kind": "corpus", "tasks": 40, "phrasings": 2})
    run(made)
    data = made.run_dir / "data"
    splits = {split: read_split(data, split) for split in SPLITS}
    groups = {split: {one.group for one in rows} for split, rows in splits.items()}
    assert groups["train"].isdisjoint(groups["valid"] | groups["test"])
    # Held-out tasks are asked once; training sees every phrasing.
    assert len(splits["test"]) == len(groups["test"])
    assert len(splits["train"]) > len(groups["train"])
    assert {one.id for one in splits["test"]} == set(read_suite(data, "test"))
