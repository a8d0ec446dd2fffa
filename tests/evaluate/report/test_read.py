import json
import shutil
from pathlib import Path

import pytest

from codemoe.errors import UserError
from codemoe.evaluate.report.read import read_evaluation
from codemoe.evaluate.report.words import lead
from tests.evaluate.report.synthetic import Plan, write_run


@pytest.fixture
def small_run(tmp_path: Path) -> Path:
    return write_run(tmp_path, Plan(models=("moe-sequence", "expert", "base"), n=3))


def test_models_come_in_their_fixed_order_and_answers_by_id(small_run: Path) -> None:
    evaluation = read_evaluation(small_run)
    assert list(evaluation.models) == ["base", "expert", "moe-sequence"]
    assert evaluation.languages == ["python", "java", "javascript", "cpp"]
    assert evaluation.models["base"].answers.keys() == evaluation.models["expert"].answers.keys()
    assert evaluation.models["base"].routing is None
    assert evaluation.curves.keys() == {"python", "java", "javascript", "cpp", "dense-all"}


def test_a_model_without_metrics_is_not_finished(small_run: Path) -> None:
    (small_run / "eval" / "expert" / "test" / "metrics.json").unlink()
    assert list(read_evaluation(small_run).models) == ["base", "moe-sequence"]


def test_a_split_is_read_by_its_name(small_run: Path) -> None:
    for model in ("base", "moe-sequence"):
        folder = small_run / "eval" / model
        shutil.copytree(folder / "test", folder / "valid")
    evaluation = read_evaluation(small_run, "valid")
    assert evaluation.split == "valid"
    assert list(evaluation.models) == ["base", "moe-sequence"]
    assert lead(evaluation)[0].startswith("On 12 validation tasks")
    assert lead(read_evaluation(small_run))[0].startswith("On 12 held-out tasks")


def test_seconds_of_nested_manifests_are_counted_once(small_run: Path) -> None:
    before = sum(stage.seconds for stage in read_evaluation(small_run).stages)
    inner = small_run / "moe" / "experts" / "python"
    inner.mkdir(parents=True)
    (inner / "manifest.json").write_text('{"seconds": 1000}')
    for name in ("report", ".base.partial"):
        (small_run / name).mkdir()
        (small_run / name / "manifest.json").write_text('{"seconds": 1000}')
    stages = read_evaluation(small_run).stages
    assert sum(stage.seconds for stage in stages) == before
    names = [stage.name for stage in stages]
    assert names[:2] == ["data", "base"]
    assert names[-1] == "eval/moe-sequence/test"


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_evaluated_names_the_command(tmp_path: Path, exists: bool) -> None:
    with pytest.raises(UserError) as caught:
        read_evaluation(tmp_path if exists else tmp_path / "missing")
    assert "codemoe eval" in caught.value.fix
    assert ("does not exist" in caught.value.what) is not exists


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("metrics.json", "{", "cannot read"),
        ("metrics.json", "[1]", "holds list"),
        ("metrics.json", "{}", "languages"),
        ("results.jsonl", '{"id": "a"}\n', "line 1.language` is missing"),
        ("results.jsonl", "\n{oops\n", "results.jsonl:2: "),
        ("results.jsonl", "7\n", "results.jsonl:1: expected a JSON object, found int"),
    ],
)
def test_damage_is_named_by_place(small_run: Path, file: str, damage: str, said: str) -> None:
    (small_run / "eval" / "base" / "test" / file).write_text(damage)
    with pytest.raises(UserError, match="eval/base/test") as caught:
        read_evaluation(small_run)
    assert said in caught.value.what


def _edit(run_dir: Path, model: str, path: list[str], value: object) -> None:
    file = run_dir / "eval" / model / "test" / "metrics.json"
    metrics = json.loads(file.read_text())
    place = metrics
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file.write_text(json.dumps(metrics))


def test_a_score_that_is_no_number_is_refused(small_run: Path) -> None:
    _edit(small_run, "base", ["languages", "java", "codebleu"], float("nan"))
    with pytest.raises(UserError, match=r"languages\.java\.codebleu"):
        read_evaluation(small_run)


def test_a_confusion_matrix_of_another_size_is_refused(small_run: Path) -> None:
    _edit(small_run, "moe-sequence", ["routing", "experts"], ["python"])
    with pytest.raises(UserError, match="1 experts and 4 languages"):
        read_evaluation(small_run)
