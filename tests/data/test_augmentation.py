"""Instruction rows, snippets, answers in words, and what is only learned from."""

import json
from pathlib import Path
from typing import Any

import pytest

from codemoe.data.build import build_dataset
from codemoe.data.filters import Limits, first_reason
from codemoe.data.instructions import read_instructions
from codemoe.data.rows import Drop, Row
from codemoe.data.sources import read_rows, read_xlcost
from codemoe.data.stage import read_source
from codemoe.data_config import Source
from codemoe.errors import UserError
from codemoe.evaluate.codebleu import score_pair
from codemoe.evaluate.wrong_language import language_of
from codemoe.train.order import plan_batches


def _write(path: Path, *values: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def _rows(items: Any) -> list[Row]:
    found = list(items)
    assert not [item for item in found if isinstance(item, Drop)]
    return found


def test_instructions(tmp_path: Path) -> None:
    file = _write(
        tmp_path / "alpaca.jsonl",
        {"instruction": "Sort it.", "input": "[2, 1]", "output": "sorted([2, 1])"},
        {"instruction": "Add.", "input": "", "output": "```java\nint f() {}\n```"},
        {"instruction": "Add.", "output": "Use this:\n```java\nint f() {}\n```", "language": "c++"},
    )
    first, fenced, words = _rows(read_instructions(file, fields={}, language="python"))
    assert (first.text, first.code, first.language) == ("Sort it.\n\n[2, 1]", "sorted([2, 1])",
                                                        "python")  # fmt: skip
    assert (fenced.code, fenced.language) == ("int f() {}", "java")
    assert (words.code[:9], words.language) == ("Use this:", "cpp")  # not a block and nothing else
    assert first.source == "alpaca"
    assert fenced.group == words.group != first.group  # the same problem is in one split


def test_instructions_with_other_names_or_without_them(tmp_path: Path) -> None:
    file = _write(tmp_path / "a.jsonl", {"question": "Add.", "response": "a + b", "language": "py"})
    fields = {"instruction": "question", "output": "response"}
    (row,) = _rows(read_instructions(file, fields=fields))
    assert (row.text, row.code, row.language) == ("Add.", "a + b", "python")
    with pytest.raises(UserError, match="no key 'instruction', 'output'; found"):
        list(read_instructions(file, fields={}))
    with pytest.raises(UserError, match="unknown field 'text'"):
        list(read_instructions(file, fields={"text": "question"}))
    bare = _write(tmp_path / "b.jsonl", {"instruction": "Add.", "output": "a + b"})
    with pytest.raises(UserError, match="language: python"):
        list(read_instructions(bare, fields={}))


def test_snippets_are_of_their_programs_problem(tmp_path: Path) -> None:
    program = {"text": "Sum of sum | Function to find the sum ; Driver code", "code": "x = 1"}
    snippet = {"text": "Sum of sum | Function to find the sum", "code": "def f ( n ) : NEW_LINE"}
    for level, value in (("program", program), ("snippet", snippet)):
        _write(tmp_path / f"data/Python-{level}-level" / "train.json", value)
    whole, part = (
        _rows(read_xlcost(tmp_path, languages=["python"], level=level))[0]
        for level in ("program", "snippet")
    )
    assert whole.group == part.group
    assert (whole.source, part.source) == ("xlcost", "xlcost-snippets")


def test_a_source_of_a_name_and_of_a_language(tmp_path: Path) -> None:
    file = _write(tmp_path / "gsm.jsonl", {"text": "1 + 1?", "answer": "2", "source": "gsm8k"})
    source = Source(kind="rows", path=str(file), name="math", language="prose",
                    fields={"code": "answer"})  # fmt: skip
    (row,) = _rows(read_source(source, ["prose"], {}))
    assert (row.source, row.language, row.code) == ("math", "prose", "2")
    with pytest.raises(UserError, match="no key 'language'"):
        list(read_rows(file, fields={"code": "answer"}))


def test_first_rows_of_each_language(tmp_path: Path) -> None:
    code = "# Adds two numbers.\n\ndef add(a, b):\n    return a + b\n"
    lines = [{"content": code + f"\nx = {i}\n", "lang": "Python"} for i in range(5)]
    file = _write(tmp_path / "stack.jsonl", *lines)
    some = Source(kind="stack", path=str(file), max_rows=2)
    assert len(_rows(read_source(some, ["python"], {}))) == 2
    none = Source(kind="stack", path=str(file), languages=("java",))
    assert not [row for row in read_source(none, ["python"], {}) if isinstance(row, Row)]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"kind": "corpus", "use": "train"}, "`use` is not for"),
        ({"kind": "stack", "path": "x", "level": "snippet"}, "`level` is not for"),
        ({"kind": "rows", "path": "x", "max_rows": 3}, "`max_rows` is not for"),
        ({"kind": "rows", "path": "x", "language": "klingon"}, "unknown language"),
    ],
)
def test_keys_of_another_kind(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Source(**keys)


def _problem(number: int, kind: str) -> Row:
    code = f"def f():\n    return {number}  # {kind}\n"
    return Row(f"{kind}{number}", f"g{number}", "python", f"{kind} {number}", code, kind, "")


def test_what_is_only_learned_from_is_never_of_a_held_out_problem() -> None:
    programs = [_problem(i, "program") for i in range(60)]
    snippets = [_problem(i, "snippet") for i in range(80)]
    made = build_dataset(
        programs,
        learned_only=snippets,
        languages=["python"],
        limits=Limits(),
        fractions={"train": 0.6, "valid": 0.2, "test": 0.2},
        seed=0,
        max_rows_per_language=50,
        min_rows_per_language=20,
    )
    held_out = {row.group for row in (*made.valid, *made.test)}
    assert {row.source for row in (*made.valid, *made.test)} == {"program"}
    learned = [row for row in made.train if row.source == "snippet"]
    assert learned
    assert not held_out & {row.group for row in learned}
    dropped = [drop for drop in made.dropped if drop.reason == "of a held-out problem"]
    assert len(learned) + len(dropped) == 80
    # Their own limit has nothing to do with them.
    assert sum(row.source == "program" for row in (*made.train, *made.valid, *made.test)) == 50


def test_prose_is_held_to_no_rule_of_code() -> None:
    row = Row("a", "a", "prose", "Why?", "Because it is so, as people say. " * 9, "s", "")
    assert first_reason(row, Limits(max_error_fraction=0.0)) is None
    assert first_reason(Row("a", "a", "python", "Why?", row.code, "s", ""), Limits()) is not None
    same = score_pair("The answer is 72.", "The answer is 72.", "prose")
    assert (same.codebleu, same.syntax_match, same.dataflow_match) == (1.0, None, None)
    assert score_pair("The answer is 72.", "", "prose").codebleu == 0
    assert 0 < score_pair("The answer is 72.", "The answer is 71.", "prose").codebleu < 1
    assert language_of("He had 3 apples and gave one away.", asked="prose") is None


def test_weights_are_kept_over_epochs_and_all_rows_come() -> None:
    weights = [1.0] * 40 + [0.25] * 40 + [2.0] * 4
    batches = plan_batches([1] * 84, 4, 40 * 4, 0, weights)  # ten epochs of 58 samples, and more
    counts = [sum(batch.count(i) for batch in batches) for i in range(84)]
    plain, rare, often = counts[:40], counts[40:80], counts[80:]
    assert min(rare) > 0
    assert sum(rare) / 40 == pytest.approx(0.25 * sum(plain) / 40, rel=0.1)
    assert sum(often) / 4 == pytest.approx(2 * sum(plain) / 40, rel=0.15)
    assert plan_batches([1, 2, 3], 2, 9, 0, [1.0] * 3) == plan_batches([1, 2, 3], 2, 9, 0)
