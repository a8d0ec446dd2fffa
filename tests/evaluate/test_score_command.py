import json
from pathlib import Path

import pytest

from codemoe.errors import UserError
from codemoe.evaluate.codebleu import score_corpus
from codemoe.evaluate.score_command import score_file
from tests.evaluate.codebleu.programs import PROGRAMS

GOOD = {"language": "python", "reference": "a = 1", "prediction": "a = 2"}


def write(path: Path, *lines: object) -> Path:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def test_keys_and_figures(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "language": label, "reference": code, "prediction": code.replace("low", "xs")}
        for label, code in (
            ("Python", PROGRAMS["python"]),
            ("java", PROGRAMS["java"]),
            ("JS", PROGRAMS["javascript"]),
            ("C++", PROGRAMS["cpp"]),
        )
    ]
    rows.append({**rows[0], "prediction": ""})
    found = score_file(write(tmp_path / "rows.jsonl", *rows))
    assert " ".join(found) == (
        "n codebleu ngram_match weighted_ngram_match syntax_match dataflow_match floor interval "
        "pooled empty unparsable wrong_language looping raw_tokens template fenced mode corrected "
        "compat answered_in by_language"
    )
    assert (found["n"], found["empty"]) == (5, 1)
    direct = score_corpus(
        [row["reference"] for row in rows],
        [row["prediction"] for row in rows],
        [row["language"] for row in rows],
    )
    assert found["codebleu"] == direct.codebleu
    assert found["interval"] == list(direct.interval)
    assert json.loads(json.dumps(found)) == found


def test_weights(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", GOOD)
    assert score_file(path, (0, 0, 1, 0))["codebleu"] == 1.0


def test_blank_lines_and_raw_line_separators(tmp_path: Path) -> None:
    row = json.dumps({**GOOD, "prediction": "s = '\u2028'"}, ensure_ascii=False)
    assert score_file(write(tmp_path / "rows.jsonl", "", row, "", row, ""))["n"] == 2


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("{broken", ":2: broken JSON"),
        ("[1]", ":2: expected a JSON object, found list"),
        ("[" * 100_000, ":2: broken JSON"),
        ('{"n": ' + "9" * 5000 + "}", ":2: broken JSON"),
        ({"language": "python", "reference": "a"}, ":2: no key 'prediction'"),
        ({}, ":2: no key 'language'; found keys: none"),
        ({**GOOD, "prediction": None}, ":2: 'prediction' is null"),
        ({**GOOD, "language": "klingon"}, ":2: unknown language 'klingon'"),
        ({**GOOD, "reference": " "}, ":2: the reference is empty"),
        ({**GOOD, "reference": "# note"}, "reference holds no code: '# note'"),
    ],
)
def test_bad_rows(tmp_path: Path, line: object, found: str) -> None:
    with pytest.raises(UserError) as error:
        score_file(write(tmp_path / "rows.jsonl", GOOD, line))
    assert found in error.value.what
    assert error.value.fix
    assert error.value.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00", None])
def test_bad_files(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "rows.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"rows\.jsonl"):
        score_file(path)
    with pytest.raises(UserError, match="cannot read"):
        score_file(tmp_path)
