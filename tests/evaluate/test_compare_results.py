"""pytest tests/evaluate/test_compare_results.py: paired comparison of two results files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codemoe.errors import UserError
from codemoe.evaluate.compare_results import compare_results
from codemoe.evaluate.statistics import paired_bootstrap
from tests.conftest import Finished


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _rows(passed: list[int], **more: Any) -> list[dict[str, Any]]:
    return [{"id": i, "status": "pass" if p else "fail", **more} for i, p in enumerate(passed)]


def test_pairs_are_by_problem_whatever_the_order(tmp_path: Path) -> None:
    a = _write(tmp_path / "a.jsonl", _rows([0, 0, 1, 1, 0, 0, 1, 0] * 5))
    b = _write(tmp_path / "b.jsonl", _rows([1, 0, 1, 1, 1, 0, 1, 0] * 5)[::-1])
    found = compare_results(a, b)["measures"]
    assert found.keys() == {"pass_at_1"}
    one = found["pass_at_1"]
    assert (one["n"], one["a"], one["b"]) == (40, 0.375, 0.625)
    assert one["difference"] == pytest.approx(0.25)
    # Ids are sorted as text; the mean and the interval do not mind, up to the draws.
    expected = paired_bootstrap([1, 0, 1, 1, 1, 0, 1, 0] * 5, [0, 0, 1, 1, 0, 0, 1, 0] * 5)
    assert one["interval"] == pytest.approx(expected.interval, abs=0.03)
    assert one["p"] < 0.01
    back = compare_results(b, a)["measures"]["pass_at_1"]
    assert back["difference"] == -one["difference"]


def test_samples_are_averaged_and_what_did_not_run_is_left_out(tmp_path: Path) -> None:
    a = [
        *_rows([1, 0, 0]),
        {"id": 0, "status": "fail"},
        {"id": 3, "status": "missing_toolchain"},
        {"id": 4, "status": "pass"},
    ]
    b = [{**row, "codebleu": 0.5} for row in _rows([1, 1, 0, 1])]
    found = compare_results(_write(tmp_path / "a", a), _write(tmp_path / "b", b))
    assert found["measures"]["pass_at_1"]["n"] == 3
    assert found["measures"]["pass_at_1"]["a"] == pytest.approx(0.5 / 3)
    assert "codebleu" not in found["measures"]
    assert (found["only_a"], found["only_b"]) == (1, 1)


def test_two_problems_do_not_show_which_is_better(
    codemoe: Callable[..., Finished], tmp_path: Path
) -> None:
    a, b = _write(tmp_path / "a", _rows([1, 1])), _write(tmp_path / "b", _rows([0, 0]))
    one = compare_results(a, b)["measures"]["pass_at_1"]
    assert (one["p"], one["detectable_difference"]) == (0.5, None)
    shown = codemoe("compare", a, b).out
    assert "p = 0.500" in shown
    assert "not shown to differ" in shown
    assert "0.000" not in codemoe("compare", a, a).out.splitlines()[-1]


def test_scores_are_compared_too(tmp_path: Path) -> None:
    a = _write(tmp_path / "a", [{"id": "x", "codebleu": 0.2}, {"id": "y", "codebleu": 0.4}])
    b = _write(tmp_path / "b", [{"id": "x", "codebleu": 0.5}, {"id": "y", "codebleu": 0.7}])
    one = compare_results(a, b)["measures"]["codebleu"]
    assert one["difference"] == pytest.approx(0.3)
    assert one["interval"] == pytest.approx((0.3, 0.3))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([{"id": 1, "status": "pass"}], [{"id": 2, "status": "pass"}], "no problem in common"),
        ([{"id": 1}], [{"id": 1, "status": "pass"}], "no 'status' and no 'codebleu'"),
        ([{"id": 1, "status": "fine"}], [{"id": 1, "status": "pass"}], ":1: unknown status 'fine'"),
        ([], [{"id": 1, "status": "pass"}], "is empty"),
    ],
)
def test_files_that_cannot_be_compared(
    a: list[dict[str, Any]], b: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        compare_results(_write(tmp_path / "a.jsonl", a), _write(tmp_path / "b.jsonl", b))
    assert message in caught.value.what


def test_the_command(codemoe: Callable[..., Finished], tmp_path: Path) -> None:
    a = _write(tmp_path / "a.jsonl", _rows([0, 1, 0, 1]))
    b = _write(tmp_path / "b.jsonl", _rows([1, 1, 0, 0]))
    shown = codemoe("compare", a, b)
    assert shown.code == 0, shown.err
    assert "pass@1 of 4 problems: 0.5000 -> 0.5000" in shown.out
    assert "not shown to differ" in shown.out
    found = json.loads(codemoe("compare", a, b, "--json").out)
    assert found["measures"]["pass_at_1"]["n"] == 4
    codemoe("compare", a, tmp_path / "none.jsonl").user_error("cannot read")
