"""The data stage as a whole: a recipe in, Parquet splits, suites and reasons out."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from codemoe.artifacts import read_manifest
from codemoe.data import stage
from codemoe.data.build import SPLITS
from codemoe.data.corpus import build as corpus
from codemoe.data.corpus.rows import corpus_items, text_of
from codemoe.data.stage import read_split, read_suite, run
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
            "base": {"model": "owner/base"},
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


def json_lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows_file(path, rows)


@pytest.mark.parametrize(
    ("kind", "path", "file"),
    [
        ("rows", "{}/rows.jsonl", "rows.jsonl"),
        ("rows", "~/rows.jsonl", "rows.jsonl"),
        ("rows", "{}/r*.jsonl", "rows.jsonl"),
        ("stack", "{}", "a/b.jsonl"),
        ("stack", "~/a", "a/b.jsonl"),
        ("stack", "{}/a/*.jsonl", "a/b.jsonl"),
        ("stack", "owner/name", "owner/name/b.jsonl"),  # as on the hub, but it is here
        ("xlcost", "{}", "data/Python-program-level/train.json"),
        ("xlcost", "{}", "Python-program-level/test.json"),
        ("xlcost", "~", "Python-program-level/valid.json"),
        ("xlcost", "owner/name", "owner/name/data/Python-program-level/train.json"),
    ],
)
def test_every_file_that_is_read_is_fixed_by_its_hash(
    kind: str, path: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    keys = {
        "rows": lambda one: one,
        "stack": lambda one: {"lang": "Python", "content": f"# {one['text']}\n{one['code']}"},
        "xlcost": lambda one: one | {"code": one["code"].replace("\n    ", " NEW_LINE INDENT ")},
    }
    rows = [keys[kind](row(n)) for n in range(40)]
    json_lines(home / file, rows)
    monkeypatch.chdir(home)
    made = recipe(tmp_path, {"kind": kind, "path": path.format(home)})
    assert run(made)
    assert not run(made)
    json_lines(home / file, rows[:-1])
    with pytest.raises(UserError, match=rf"files\..*{Path(file).name}: made with"):
        run(made)


def test_a_changed_corpus_is_another_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = rows_file(tmp_path / "rows.jsonl", [row(n) for n in range(40)])
    plain = recipe(tmp_path, {"kind": "rows", "path": str(file)})
    run(plain)
    assert "corpus" not in read_manifest(plain.run_dir / "data")["config"]

    folder = tmp_path / "corpus"
    before = corpus.corpus_hash()
    shutil.copytree(Path(corpus.__file__).parent, folder)
    monkeypatch.setattr(corpus, "__file__", str(folder / "build.py"))
    assert corpus.corpus_hash() == before
    with (folder / "families" / "digits.py").open("a") as family:
        family.write("\n")
    changed = corpus.corpus_hash()
    (folder / "task.py").rename(folder / "tusk.py")
    assert len({before, changed, corpus.corpus_hash()}) == 3

    monkeypatch.setattr(stage, "_build", lambda recipe, out: None)
    made = recipe(tmp_path / "other", {"kind": "corpus"})
    run(made)
    assert not run(made)
    monkeypatch.undo()
    with pytest.raises(UserError, match="corpus: made with"):
        run(made)


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


def test_united_tasks_keep_their_own_tests_and_sources_their_own_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The families are generated once here, not once a source.
    tasks = corpus.distinct_tasks(["digits", "array_reduce"])
    monkeypatch.setattr("codemoe.data.corpus.rows.distinct_tasks", lambda: tasks)
    few, many = (list(corpus_items(limit)) for limit in (7, 30))
    assert not {item.group for item in few} <= {item.group for item in many}
    # A problem of another source has the words of several tasks: one group now.
    shared = [few[0], few[-1], *many[::3]]
    file = rows_file(
        tmp_path / "rows.jsonl",
        [
            {"group": "zzz", "language": "python", "text": text_of(item, "python", 0)}
            | {"code": f"def other{n}():\n    return {n}"}
            for n, item in enumerate(shared)
        ],
    )
    made = recipe(
        tmp_path,
        {"kind": "rows", "path": str(file)},
        {"kind": "corpus", "tasks": 7, "phrasings": 1},
        {"kind": "corpus", "tasks": 30, "phrasings": 3},
    )
    run(made)
    data = made.run_dir / "data"
    programs = {item.group: item.programs["python"] for item in [*few, *many]}
    asked = []
    for split in SPLITS:
        rows = {one.id: one for one in read_split(data, split)}
        for name, suite in read_suite(data, split).items():
            task = name.rsplit("/", 2)[0]
            assert suite["solution"] == rows[name].code == programs[task].code
            assert suite["tests"] == programs[task].tests
            asked.append(task)
    assert sorted(asked) == sorted(programs)  # each program with its tests, once
    everything = [one for split in SPLITS for one in read_split(data, split)]
    (united,) = {one.group for one in everything if one.source == "rows"}
    together = {one.id.rsplit("/", 2)[0] for one in everything if one.group == united} & {*programs}
    assert together == {item.group for item in shared}
    # Each source has its own tasks and phrasings.
    only_few = {item.group for item in few} - {item.group for item in many}
    with (data / "dropped.csv").open() as dropped:
        left_out = [one["id"] for one in csv.DictReader(dropped) if "phrasing" in one["reason"]]
    ids = [*left_out, *(one.id for one in everything)]
    for task in only_few:
        assert [name for name in ids if name.startswith(f"{task}/")] == [f"{task}/python/0"]
