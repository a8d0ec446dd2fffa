"""Hot-add: what does not fit is refused before the base's weights are read."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from codemoe.errors import UserError
from codemoe.models.load import CodeModel
from codemoe.models.reference import BaseReference
from codemoe.train.add_expert import add_expert
from tests.models.tiny import save_checkpoint, tiny_model
from tests.train.hot_add import Setting, rows_file, rows_of

BAD_NAMES = {
    "python": "an expert named 'python' already",
    "../rust": "is no expert name",
    "rust\n": "is no expert name",
}
BAD_LANGUAGES = {
    "python": "python has an expert already: 'python'",
    "go": "no row of go; it has rust",
    "klingon": "unknown language 'klingon'",
}


@pytest.fixture
def refused(setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `add_expert` says instead of reading the base's weights."""

    def fail(reference: BaseReference) -> CodeModel:
        raise AssertionError("the base was read")

    monkeypatch.setattr("codemoe.models.load.load_base", fail)

    def call(**changes: Any) -> str:
        arguments = {
            "model": str(setting.run),
            "adapter": setting.adapter,
            "name": "rust",
            "data": [setting.rust],
            "out": tmp_path / "out",
        }
        with pytest.raises(UserError) as error:
            add_expert(**(arguments | changes))
        assert not (tmp_path / "out").exists()
        return str(error.value)

    return call


def test_bad_names_and_languages(refused: Any) -> None:
    for name, message in BAD_NAMES.items():
        assert message in refused(name=name)
    for language, message in BAD_LANGUAGES.items():
        assert message in refused(languages=[language])


def test_bad_models(setting: Setting, refused: Any, tmp_path: Path) -> None:
    assert "is no mixture" in refused(model=str(setting.run / "base"))
    assert "is no mixture" in refused(model="nobody/nothing")
    run = shutil.copytree(setting.run, tmp_path / "unfitted")
    shutil.rmtree(run / "router")
    assert "no fitted sequence router" in refused(model=str(run))


def test_bad_rows(refused: Any, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    good = [
        {"text": row.text, "code": row.code, "language": "rs"} for row in rows_of("rust", range(30))
    ]
    for bad, message in (
        ({"code": " "}, "the row 'rows-30' cannot be used: no code ("),
        ({"text": ""}, "the row 'rows-30' cannot be used: no text"),
        ({"language": "klingon"}, "the row 'rows-30' cannot be used: unknown language ('klingon')"),
    ):
        rows = [*good, good[0] | bad]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert message in refused(data=[str(file)])
    file.write_text("".join(json.dumps(row | {"group": "one"}) + "\n" for row in good))
    assert "too few different problems of rust: 1," in refused(data=[str(file)])
    python = rows_file(tmp_path / "python.parquet", "python")
    assert "rows of python, and each has an expert already" in refused(data=[python])
    assert "none.jsonl does not exist" in refused(data=["none.jsonl"])


def test_bad_adapters(setting: Setting, refused: Any, tmp_path: Path) -> None:
    assert "holds no adapter" in refused(adapter=setting.run / "base")
    assert "holds no adapter" in refused(adapter=tmp_path / "none")

    adapter = shutil.copytree(setting.adapter, tmp_path / "adapter")
    weights = adapter / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file({k: v[:, 1:].clone() if "lora_A" in k else v for k, v in tensors.items()}, weights)
    assert "in the adapter but" in refused(adapter=adapter)
    save_file({k: v for k, v in tensors.items() if "lora_A" in k}, weights)
    assert "no plain LoRA" in refused(adapter=adapter)
    save_file({k.replace("mlp", "moe"): v for k, v in tensors.items()}, weights)
    assert "does not have" in refused(adapter=adapter)
    save_file(tensors, weights)

    config = adapter / "adapter_config.json"
    good = json.loads(config.read_text())
    for changes, message in (
        ({"peft_type": "IA3"}, "is a IA3 adapter; expected LORA"),
        ({"alpha_pattern": {"up_proj": 3}}, "uses alpha_pattern"),
        ({"r": 0}, "no usable rank and alpha"),
    ):
        config.write_text(json.dumps(good | changes))
        assert message in refused(adapter=adapter)
    for text in ("{", "[]"):
        config.write_text(text)
        assert "adapter_config.json" in refused(adapter=adapter)

    # Another base of the same shape.
    other = save_checkpoint(tiny_model("mistral", seed=1), tmp_path / "other")
    config.write_text(json.dumps(good | {"base_model_name_or_path": str(other)}))
    assert f"was trained on {other}, whose files hash to" in refused(adapter=adapter)
