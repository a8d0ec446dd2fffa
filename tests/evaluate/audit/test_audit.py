import csv
import json
from pathlib import Path
from typing import Any

import pytest

from codemoe.errors import UserError
from codemoe.evaluate.audit import AuditRequest, audit_files
from codemoe.evaluate.audit.columns import find_column
from codemoe.evaluate.audit.findings import score_findings
from codemoe.evaluate.audit.rows import find_layout, read_pairs
from codemoe.evaluate.audit.table import count_rows
from codemoe.evaluate.codebleu import score_corpus
from tests.evaluate.codebleu.programs import PROGRAMS

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
JAVA, PYTHON, CPP = PROGRAMS["java"], PROGRAMS["python"], PROGRAMS["cpp"]


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def audit(path: Path, **options: Any) -> dict[str, Any]:
    (result,) = audit_files(AuditRequest(files=[path], workers=1, **options))
    return result


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ("prediction reference", ("prediction", "reference")),
        ("Generated Code,ground_truth", ("Generated Code", "ground_truth")),
        ("task_id,completion,canonical_solution", ("completion", "canonical_solution")),
        ("output,target,lang", ("output", "target")),
        ("pred gold", ("pred", "gold")),
        ("prompt,Hyp,ref", ("Hyp", "ref")),
        ("hyps refs", ("hyps", "refs")),
        ("task_id,solution,canonical_solution", ("solution", "canonical_solution")),
    ],
)
def test_columns_are_known_by_their_usual_names(columns: str, found: tuple[str, str]) -> None:
    names = columns.split(",") if "," in columns else columns.split()
    row = dict.fromkeys(names, "x")
    prediction = find_column(row, "prediction", None)
    assert prediction is not None
    reference = find_column(row, "reference", None, but=(prediction,))
    assert (prediction, reference) == found


def test_a_named_column_must_be_there() -> None:
    with pytest.raises(UserError, match="no column 'x'; found: 'a'"):
        find_column({"a": 1}, "prediction", "x")


ROWS = [
    {"lang": "Java", "generated": JAVA, "gold": JAVA},
    {"lang": "py", "generated": JAVA, "gold": PYTHON},
    {"lang": "C++", "generated": "", "gold": CPP},
]


def write_as(kind: str, folder: Path) -> Path:
    path = folder / f"rows.{kind}"
    if kind == "jsonl":
        return jsonl(path, ROWS)
    if kind == "json":
        path.write_text(json.dumps(ROWS), encoding="utf-8")
        return path
    if kind == "csv by semicolons":
        path = path.with_suffix(".csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        delimiter = {"csv": ",", "tsv": "\t"}.get(kind, ";")
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "tsv", "csv by semicolons"])
def test_every_kind_of_file_gives_the_same(kind: str, tmp_path: Path) -> None:
    path = write_as(kind, tmp_path)
    assert count_rows(path) == len(ROWS)
    result = audit(path)
    direct = score_corpus(
        [row["gold"] for row in ROWS],
        [row["generated"] for row in ROWS],
        [row["lang"] for row in ROWS],
    )
    assert result["corrected"]["codebleu"] == direct.codebleu
    assert (result["empty"], result["wrong_language"]) == (1, 1)
    assert result["by_language"]["python"]["answered_in"] == {"java": 1}
    assert "'generated'" in result["layout"]
    assert "'gold'" in result["layout"]


def test_text_files_have_a_program_a_line(tmp_path: Path) -> None:
    one, other = tmp_path / "predictions.txt", tmp_path / "references.txt"
    line = " ".join(JAVA.split())
    one.write_text(f"{line}\n\n", encoding="utf-8")
    other.write_text(f"{line}\n{line}\n", encoding="utf-8")
    result = audit(one, references=[other], language="java")
    assert result["n"] == 2
    assert result["corrected"]["codebleu"] == pytest.approx(0.5)


def test_the_language_of_a_file_is_found_out_or_named(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [{"prediction": JAVA, "reference": PYTHON}] * 3)
    layout = find_layout(path, None, None, None, None)
    assert (layout.language, layout.was_detected) == ("python", True)
    assert [pair.language for pair in read_pairs(layout)] == ["python"] * 3
    named = find_layout(path, None, None, None, "C#")
    assert (named.language, named.is_language_column) == ("csharp", False)


@pytest.mark.parametrize(
    ("rows", "options", "found", "fix"),
    [
        ([{"a": 1}], {}, "no column for the predictions; found: 'a'", "--prediction NAME"),
        ([{"output": "x"}], {}, "no column for the references", "--references FILE"),
        (
            [{"prediction": 3, "reference": "int a;"}],
            {"language": "java"},
            ":1: 'prediction' is 3, no program",
            "",
        ),
        (
            [{"prediction": "x", "reference": "x", "lang": "java"}, {"prediction": "x"}],
            {},
            ":2: unknown language None",
            "--language java",
        ),
        (
            [{"prediction": "x = 1", "reference": "x = 1"}],
            {},
            "cannot be told",
            "--language java",
        ),
        (
            [{"prediction": "x", "reference": "x"}],
            {"language": "klingon"},
            "neither a column nor a known language",
            "python",
        ),
        ([{"prediction": "x", "reference": "# x", "lang": "python"}], {}, "nothing to score", ""),
        (
            [{"prediction": "x", "reference": "x", "lang": "cobol"}],
            {"language": "lang"},
            "column 'lang' names no known language, but 'cobol'",
            "python",
        ),
        (
            [{"prediction": "x", "reference": "x"}],
            {"claimed": 0.4, "scores": [Path("scores.csv")]},
            "--claimed and --scores are both given",
            "one of them",
        ),
        ([{"prediction": "x", "reference": "x"}], {"claimed": 42.0}, "--claimed is 42", "0.42"),
        (
            [{"prediction": "x", "reference": "x"}],
            {"claimed": float("nan")},
            "--claimed is nan",
            "0.42",
        ),
    ],
)
def test_what_cannot_be_read_is_told(
    rows: list[dict[str, Any]], options: dict[str, Any], found: str, fix: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        audit(jsonl(tmp_path / "rows.jsonl", rows), **options)
    assert found in error.value.what
    assert fix in error.value.fix


def test_an_unknown_language_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    rows = [{"prediction": JAVA, "reference": JAVA, "language": "cobol"}] * 3
    told = audit(jsonl(tmp_path / "rows.jsonl", rows))["layout"]
    assert "detected as Java (column 'language' names no known language, but 'cobol')" in told


def test_languages_are_read_from_the_file_that_names_them(tmp_path: Path) -> None:
    answers = [{"prediction": JAVA, "expert": "base"}] * 3
    path = jsonl(tmp_path / "answers.jsonl", answers)
    rows = [{"reference": JAVA, "expert": "Java"}] * 3
    result = audit(path, references=[jsonl(tmp_path / "references.jsonl", rows)])
    assert list(result["by_language"]) == ["java"]


def test_free_points_for_references_without_data_flow_are_no_fault_of_the_answers(
    tmp_path: Path,
) -> None:
    code = "int main() { return 0; }"
    rows = [{"prediction": code, "reference": code, "language": "cpp"}] * 3
    result = audit(jsonl(tmp_path / "rows.jsonl", rows))
    assert result["compat"]["free_without_reference_flow"] == 3
    assert "In 3 of these the package finds none in the reference" in result["findings"][0]
    rows = [{"prediction": "int a;", "reference": CPP, "language": "cpp"}] * 3
    result = audit(jsonl(tmp_path / "rows.jsonl", rows))
    assert result["compat"]["free_without_reference_flow"] == 0
    assert "in the reference" not in result["findings"][0]


def test_no_answer_is_an_empty_one(tmp_path: Path) -> None:
    rows = [
        {"prediction": value, "reference": JAVA, "language": "java"}
        for value in (None, [], [None], float("nan"), "")
    ]
    assert audit(jsonl(tmp_path / "rows.jsonl", rows))["empty"] == len(rows)


def test_of_several_answers_in_a_row_the_first_is_scored_and_that_is_told(tmp_path: Path) -> None:
    rows = [{"prediction": [JAVA, "x"], "reference": JAVA, "language": "java"}] * 2
    result = audit(jsonl(tmp_path / "rows.jsonl", rows))
    assert result["corrected"]["codebleu"] == pytest.approx(1.0)
    assert "predictions from the first in each list of 'prediction'" in result["layout"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("prediction,reference\nf(a, b),f(a, b)\n", ":2: 4 cells under 2 names"),
        ('prediction,reference\n"f(a),f(a)\n"x","x"\n', "broken CSV"),
        ('prediction,reference\n"x","x"\n"y","', "broken CSV"),
        ('prediction,reference\n"f(\\"a\\")","x"\n', "broken CSV"),
    ],
    ids=["separators in cells", "a quote that does not end", "torn", "escaped quotes"],
)
def test_a_csv_file_that_would_be_read_wrongly_is_refused(
    text: str, found: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        audit(path, language="python")
    assert found in error.value.what
    assert "quote" in error.value.fix
    path.write_text(",prediction,reference\n0,x,x,\n", encoding="utf-8")
    assert audit(path, language="python")["n"] == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            'prediction,reference,prediction\n"x","x","y"\n',
            "several columns are named 'prediction'",
        ),
        ('"x = 1","x = 1"\n"y = 2","y = 2"\n', "several columns are named 'x = 1'"),
        ('prediction,reference\n"x","x"\n"y"\n', ":3: the row ends before 'reference'"),
    ],
    ids=["twins", "no names", "a cell is missing"],
)
def test_csv_columns_are_not_mixed_up(text: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        audit(path, language="python")
    assert found in error.value.what
    assert error.value.fix


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[" * 100_000, ":1: broken JSON"),
        ('[{"a": 1},\n{"a": ', ":2: broken JSON"),
        ('{"prediction": ["x"]}', "expected a JSON array, found dict"),
        ('[{"a": 1}, "x = 1"]', "item 2 of the array is no object but str"),
    ],
    ids=["too deep", "torn", "columns", "no object"],
)
def test_json_that_is_no_array_of_objects_is_told(text: str, found: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        audit(path)
    assert found in error.value.what
    assert ".jsonl" in error.value.fix


def test_files_of_different_length(tmp_path: Path) -> None:
    one = jsonl(tmp_path / "a.jsonl", [{"prediction": JAVA}] * 3)
    other = jsonl(tmp_path / "b.jsonl", [{"reference": JAVA}] * 2)
    with pytest.raises(UserError, match=r"b\.jsonl has fewer rows"):
        audit(one, references=[other], language="java")
    with pytest.raises(UserError, match="3 files and 2 of --references"):
        audit_files(AuditRequest(files=[one] * 3, references=[other] * 2))


def test_references_in_another_file_are_found_by_their_ids(tmp_path: Path) -> None:
    codes = {"py/1": PYTHON, "py/2": "def f(n):\n    return n + 1\n", "py/3": "x = [1, 2]\n"}
    rows = [{"task_id": name, "reference": code} for name, code in codes.items()]
    references = [jsonl(tmp_path / "references.jsonl", rows)]
    answers = [{"id": name, "prediction": code} for name, code in codes.items()]
    for some in (answers[::-1], answers[1:], [row for row in answers for _ in range(3)]):
        path = jsonl(tmp_path / "answers.jsonl", some)
        result = audit(path, references=references, language="python")
        assert result["corrected"]["codebleu"] == pytest.approx(1.0)
        assert result["n"] == len(some)
        assert "of references.jsonl with the same 'task_id'" in result["layout"]
    jsonl(references[0], [*rows, *rows[:1]])
    assert audit(path, references=references, language="python")["corrected"]["codebleu"] == 1.0
    jsonl(references[0], [*rows, {"task_id": "py/1", "reference": "x = 2\n"}])
    with pytest.raises(UserError, match="two references have the task_id 'py/1'"):
        audit(path, references=references, language="python")
    jsonl(references[0], rows)
    # Numbers of their own say nothing: as many rows go together one by one.
    numbered = [{"id": at, "prediction": row["prediction"]} for at, row in enumerate(answers)]
    path = jsonl(tmp_path / "answers.jsonl", numbered)
    result = audit(path, references=references, language="python")
    assert result["corrected"]["codebleu"] == pytest.approx(1.0)
    assert "with the same" not in result["layout"]


@pytest.mark.parametrize(("low", "how"), [(0.03, "Hardly"), (0.01, "No")])
def test_a_score_whose_interval_excludes_the_floor_is_better(low: float, how: str) -> None:
    corrected = {"codebleu": 0.04, "floor": 0.025, "interval": [low, 0.05]}
    (told,) = score_findings({"corrected": corrected, "compat": None, "n": 200})
    assert told.startswith(f"{how} better than wrong answers: corrected CodeBLEU is 0.0400")


def test_a_mixture_that_collapsed_is_told(tmp_path: Path) -> None:
    rows = [
        {"language": language, "reference": PROGRAMS[language], "prediction": JAVA}
        for language in ("java", "python", "cpp", "go")
        for _ in range(6)
    ]
    words = " ".join(audit(jsonl(tmp_path / "rows.jsonl", rows))["findings"])
    assert "Collapse: 24 of 24 answers are Java" in words
    assert "Not one answer is clearly Go" in words
    assert "18 of 24 answers are in another language" in words


@pytest.mark.skipif(not SHARED.is_dir(), reason="no shared/data here")
def test_the_reference_systems_story() -> None:
    folder = SHARED / "reference_outputs"
    result = audit(
        folder / "mixed_moe_predictions.jsonl",
        references=[folder / "mixed_references.jsonl"],
        scores=[folder / "mixed_moe_published_scores.csv"],
    )
    assert result["claimed"]["codebleu"] == pytest.approx(0.2511, abs=1e-4)
    assert result["claimed"]["worth"] == pytest.approx(0.0011, abs=1e-4)
    assert result["claimed"]["free_rows"] == 199
    assert result["compat"]["without_free_points"] == pytest.approx(0.16, abs=0.005)
    assert 0.12 < result["corrected"]["codebleu"] < 0.18
    words = " ".join(result["findings"])
    for told in ("Not reproducible", "No better than wrong answers", "Collapse", "Not one answer"):
        assert told in words
    # The page in docs/ has these figures.
    page = (Path(__file__).parents[3] / "docs" / "audit-reference.md").read_text()
    assert f"{result['compat']['codebleu']:.4f}" in page
    assert f"{result['corrected']['codebleu']:.4f}" in page
