import csv
from pathlib import Path

import pytest

from codemoe.errors import UserError
from codemoe.evaluate.audit.claims import claim_of, is_score_table, read_claim
from tests.evaluate.audit.test_audit import ROWS, audit, jsonl

PARTS = "ngram_match_score weighted_ngram_match_score syntax_match_score dataflow_match_score"


def table(*rows: tuple[float, ...]) -> list[dict[str, str]]:
    names = ["codebleu", *PARTS.split()]
    return [dict(zip(names, map(str, row), strict=True)) for row in rows]


def test_a_claim_is_weighed() -> None:
    claim = claim_of(table((0.25, 0, 0, 0.0, 0.0), (0.5, 0.5, 0.5, 0.5, 0.5)), "x")
    assert claim.codebleu == pytest.approx(0.375)
    assert claim.worth == pytest.approx(0.25)
    assert claim.free_rows == 1
    assert claim.zero_parts == ()
    assert is_score_table(table((0.25, 0, 0, 0, 0))[0])
    assert not is_score_table({"codebleu": "1", "prediction": "x"})


def test_rows_without_a_score_are_no_part_of_the_claim() -> None:
    claim = claim_of(table((0.25, 0, 0, 0, 0), (float("nan"),) * 5, (float("inf"),) * 5), "x")
    assert (claim.n, claim.codebleu, claim.worth, claim.free_rows) == (1, 0.25, 0.0, 1)


def test_published_percentages_are_told_and_compared_as_shares(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", ROWS)
    percent = 100 * audit(path)["compat"]["codebleu"]
    scores = jsonl(tmp_path / "scores.jsonl", [{"codebleu": percent}])
    words = audit(path, scores=[scores])["findings"]
    assert words[0].startswith(f"The published scores are percentages: {percent:.2f} is")
    assert any(told.startswith("Reproducible") for told in words)
    claim = claim_of(table((25, 0, 0, 0, 0), (50, 50, 50, 50, 50)), "x")
    assert (claim.free_rows, claim.worth, claim.in_percent) == (1, pytest.approx(0.25), True)
    for wrong in (-0.5, 250.0):
        with pytest.raises(UserError, match=f"a score of {wrong:g}"):
            claim_of([{"codebleu": wrong}], "x")


def test_a_table_alone_is_audited(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    rows = table(*[(0.25, 0, 0, 0, 0)] * 3)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    result = audit(path)
    assert result["claimed"]["worth"] == 0.0
    assert "given away: all of its 3 rows" in result["findings"][0]
    assert read_claim(path).zero_parts[-1] == "dataflow_match"


def test_a_claim_that_the_predictions_do_not_give(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", ROWS)
    assert any("Not reproducible" in words for words in audit(path, claimed=0.99)["findings"])
    same = audit(path)["compat"]["codebleu"]
    assert any(words.startswith("Reproducible") for words in audit(path, claimed=same)["findings"])


def test_a_table_of_other_rows_is_told(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", ROWS)
    told = "The published table has 5 scores, the predictions 3 rows."
    for count in (3, 5):
        scores = jsonl(tmp_path / "scores.jsonl", table(*[(0.25, 0, 0, 0, 0)] * count))
        assert (told in audit(path, scores=[scores])["findings"]) == (count == 5)


def test_a_line_of_means_that_is_shorter_is_no_broken_table(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("codebleu,language\n0.2,java\n0.4,java\n\nmean\n", encoding="utf-8")
    assert (read_claim(path).n, read_claim(path).codebleu) == (2, pytest.approx(0.3))
