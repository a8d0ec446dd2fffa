"""`codemoe export` around the formats: OUT, interruptions, disk, sizes, the card."""

import errno
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from codemoe.errors import UserError, WorkError
from codemoe.models.export import checkpoint
from codemoe.models.export.command import export_model, parse_size
from tests.models.export.mixtures import write_mixture

FIGURES = {
    "codebleu": 0.8,
    "codebleu_interval": [0.7, 0.9],
    "pass_at_1": 0.5,
    "pass_at_1_interval": [0.25, 0.75],
    "n": 50,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixture(tmp_path_factory.mktemp("made") / "run", "mistral", activation="all")


# -- OUT -------------------------------------------------------------------------------------


def test_what_is_replaced_and_what_is_not(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    export_model(str(run), out, "mixtral")  # an empty folder is no obstacle
    with pytest.raises(UserError, match="exists") as error:
        export_model(str(run), out, "lora-pack")
    assert "--force" in str(error.value)
    export_model(str(run), out, "lora-pack", force=True)
    assert (out / "one" / "adapter_config.json").is_file()
    assert not (out / "config.json").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    with pytest.raises(UserError, match=r"not an export of codemoe's"):
        export_model(str(run), mine, "mixtral", force=True)
    assert (mine / "thesis.txt").read_text() == "all of it"
    with pytest.raises(UserError, match="not an export"):
        export_model(str(run), mine / "thesis.txt", "mixtral", force=True)


@pytest.mark.parametrize("force", [False, True])
def test_an_interrupted_export_leaves_what_was_there(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    out = tmp_path / "out"
    if force:
        export_model(str(run), out, "mixtral")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def stop(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.storage, "write_shards", stop)
    with pytest.raises(KeyboardInterrupt):
        export_model(str(run), out, "mixtral", force=force)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if force else [])


def test_what_a_killed_export_left_is_no_obstacle(run: Path, tmp_path: Path) -> None:
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "model.safetensors").write_text("half")
    export_model(str(run), tmp_path / "out", "mixtral")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.storage, "write_shards", full)
        with pytest.raises(WorkError, match="no space left"):
            export_model(str(run), tmp_path / "out", "mixtral")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(WorkError, match=r"the export takes .* GB"):
        export_model(str(run), tmp_path / "out", "mixtral")
    assert list(tmp_path.iterdir()) == []


# -- arguments -------------------------------------------------------------------------------


def test_sizes() -> None:
    assert parse_size("4GB") == 4 * 10**9
    assert parse_size("1.5 gib") == 3 * 2**29
    assert parse_size("500mb") == 5 * 10**8
    assert parse_size("70000") == 70_000
    for text in ("much", "-4GB", "4TB", "0GB", ""):
        with pytest.raises(UserError, match="--max-memory is"):
            parse_size(text)


def test_bad_arguments(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match="unknown format 'onnx'; known: mixtral, qwen-moe, gguf"):
        export_model(str(run), out, "onnx")
    with pytest.raises(UserError, match="unknown activation 'some'"):
        export_model(str(run), out, "lora-pack", activation="some")
    with pytest.raises(UserError, match="act on all tokens"):
        export_model(str(run), out, "mixtral", activation="completion")
    for argument in (str(tmp_path), str(run / "base"), "nobody/nothing"):
        with pytest.raises(UserError, match="is no mixture"):
            export_model(argument, out, "mixtral")


def test_a_base_that_is_nowhere(run: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moe"
    shutil.copytree(run / "moe", moved)
    description = json.loads((moved / "moe.json").read_text())
    description["base"]["model"] = "nobody/nothing"
    (moved / "moe.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"cannot find the mixture's base 'nobody/nothing'"):
        export_model(str(moved), tmp_path / "out", "mixtral")


# -- the card --------------------------------------------------------------------------------


def _evaluate(run: Path, model: str, codebleu: float) -> None:
    folder = run / "eval" / model / "test"
    folder.mkdir(parents=True, exist_ok=True)
    languages = {name: FIGURES | {"codebleu": codebleu} for name in ("python", "all")}
    (folder / "metrics.json").write_text(json.dumps({"languages": languages}))


def _card(run: Path, out: Path, to: str, **options: Any) -> tuple[dict[str, Any], str]:
    export_model(str(run), out, to, **options)
    text = (out / "README.md").read_text()
    metadata = ModelCard(text).data.to_dict()  # as the hub's own library reads it
    _, front, body = text.split("---\n", 2)
    assert metadata == yaml.safe_load(front)
    return metadata, body


@pytest.mark.parametrize(("to", "model"), [("mixtral", "moe-token"), ("lora-pack", "moe-sequence")])
def test_the_card(run: Path, tmp_path: Path, to: str, model: str) -> None:
    shutil.copytree(run, tmp_path / "run")
    run = tmp_path / "run"
    (run / "base" / "README.md").write_text("---\nlicense: mit\n---\n# base\n")
    _evaluate(run, model, 0.6)
    _evaluate(run, "expert", 0.8)
    metadata, body = _card(run, tmp_path / "out", to)
    assert metadata["license"] == "mit"
    assert metadata["pipeline_tag"] == "text-generation"
    assert metadata["library_name"] == {"mixtral": "transformers", "lora-pack": "peft"}[to]
    assert {"codemoe", "python", "java", "cpp"} <= set(metadata["tags"])
    assert "base_model" not in metadata  # it has no name on the hub
    (python, _) = metadata["model-index"][0]["results"]
    assert python["metrics"][0]["value"] == 0.6
    assert python["metrics"][0]["args"] == {"interval_95": [0.7, 0.9]}
    assert python["metrics"][1]["value"] == 0.5
    assert "| python | 0.600 [0.700, 0.900] | 0.50 | 0.750 | 50 |" in body  # 0.6 of 0.8
    assert "### Language: Python" in body
    assert str(tmp_path) not in body


def test_the_card_does_not_claim_what_was_measured_otherwise(run: Path, tmp_path: Path) -> None:
    """Scores of a mixture that acts from the marker on are not those of a checkpoint that acts on
    all tokens."""
    shutil.copytree(run, tmp_path / "run")
    run = tmp_path / "run"
    file = run / "moe" / "moe.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"activation": "completion"}))
    _evaluate(run, "moe-token", 0.6)
    metadata, body = _card(run, tmp_path / "out", "mixtral")
    assert "model-index" not in metadata
    assert "measured with experts acting as `completion`" in body
    metadata, body = _card(run, tmp_path / "unmeasured", "lora-pack")
    assert metadata["license"] == "unknown"
    assert "Not measured" in body


def test_the_hub_base_is_named(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    shutil.copytree(run, tmp_path / "run")
    file = tmp_path / "run" / "moe" / "moe.json"
    base = {"model": "somebody/base", "revision": "abc", "quantization": "4bit"}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base": base}))
    asked = {}

    def snapshot(name: str, **options: Any) -> str:
        asked[name] = options["revision"]
        return str(run / "base")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    metadata, body = _card(tmp_path / "run", tmp_path / "out", "mixtral")
    assert asked == {"somebody/base": "abc"}
    assert metadata["base_model"] == "somebody/base"
    assert "trained on the base in 4bit" in body
