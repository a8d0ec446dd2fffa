"""What would stop the real run stops the smoke run, with the same words; what cannot is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from codemoe.errors import UserError
from codemoe.recipe import Recipe
from codemoe.recipe_file import make_recipe
from codemoe.smoke.run import run_smoke
from tests.models.tiny import save_checkpoint, tiny_model
from tests.smoke.test_smoke import write_rows


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "rows.jsonl", ("python", "java"))
    save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    return tmp_path


def recipe(**changes: Any) -> Recipe:
    tree: dict[str, Any] = {
        "name": "small",
        "languages": ["python", "java"],
        "data": {"sources": [{"kind": "rows", "path": "rows.jsonl"}]},
        "base": {"model": "base"},
        "experts": {"dense_baseline": False},
    }
    return make_recipe(tree | changes)


def refused(*words: str, **changes: Any) -> None:
    with pytest.raises(UserError) as caught:
        run_smoke(recipe(**changes))
    for word in words:
        assert word in str(caught.value)
    assert not Path("runs/small").exists()


def _source(**keys: Any) -> dict[str, Any]:
    return {"sources": [{"kind": "rows", "path": "rows.jsonl"} | keys]}


def test_columns_that_are_not_there(place: Path) -> None:
    refused(
        "no key 'prompt'", "found the keys code, group", data=_source(fields={"text": "prompt"})
    )


def test_files_that_are_not_there_or_damaged(place: Path) -> None:
    refused("none.jsonl does not exist", data=_source(path="none.jsonl"))
    (place / "bad.jsonl").write_text('{"text": \n')
    refused("bad.jsonl", data=_source(path="bad.jsonl"))


def test_languages_with_too_few_rows(place: Path) -> None:
    refused(
        "too few rows for java, python",
        "at least 100",
        "python 60",
        languages=["java", "python"],
        data=_source() | {"min_rows_per_language": 100},
    )


def test_bases_that_are_not_there_or_damaged(place: Path) -> None:
    refused("neither a folder here nor reachable", base={"model": "./nowhere"})
    refused("neither a folder here nor reachable", base={"model": "someone/no-known-family"})
    (place / "base" / "tokenizer.json").unlink()
    refused("has no tokenizer", base={"model": "base"})


def test_a_base_with_torn_weights(place: Path) -> None:
    file = place / "base" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused("cut short")


def test_an_architecture_that_is_unknown(place: Path) -> None:
    config = json.loads((place / "base" / "config.json").read_text())
    (place / "base" / "config.json").write_text(json.dumps(config | {"model_type": "opt"}))
    refused("does not know where a 'opt' model keeps its MLPs")


def test_a_tracker_that_is_unknown(place: Path) -> None:
    refused("unknown tracker 'paper'", experts={"train": {"report_to": ["paper"]}})


def test_an_expert_without_rows(place: Path) -> None:
    define = {"a": {"languages": ["python"]}, "b": {"languages": ["java"], "sources": ["books"]}}
    refused(
        "expert 'b': its filter admits no training row",
        experts={"define": define | {"c": {"languages": ["java"]}}, "dense_baseline": False},
    )


def test_a_router_on_layers_that_the_base_has_not(place: Path) -> None:
    refused("from_layer", router={"from_layer": 2})


def test_a_suite_that_is_not_there(place: Path) -> None:
    refused("eval.suites", "does not exist", eval={"suites": [{"path": "humaneval.jsonl"}]})


def test_dora_before_anything_is_made(place: Path) -> None:
    refused("use_dora", experts={"lora": {"use_dora": True}})
    assert not Path("runs").exists()


def test_a_folder_that_no_smoke_run_made_is_left_alone(place: Path) -> None:
    kept = place / "runs" / "small-smoke" / "base" / "weights"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine")
    refused("no smoke run made it")
    assert kept.read_text() == "mine"
