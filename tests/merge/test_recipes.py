"""mergekit's recipes, from the file to the folder.

Run with: pytest tests/merge/test_recipes.py
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from codemoe.artifacts import read_manifest, sha256_of, verify
from codemoe.errors import UserError
from codemoe.merge import command, output
from codemoe.merge.command import merge_models
from codemoe.merge.mergekit import kind_of
from codemoe.merge.methods.table import METHODS, merge_arrays
from codemoe.merge.options import Options
from codemoe.merge.settings import value_at
from tests.merge import make
from tests.models.tiny import CONFIGS, save_checkpoint, tiny_model

THREE = """
merge_method: {method}
base_model: base
models:
- {{model: one, parameters: {{weight: 0.5, density: 0.4}}}}
- {{model: two, parameters: {{weight: [0.2, 0.8], density: 0.6}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make.checkpoint(tmp_path / "base", 0, shards=2)
    make.checkpoint(tmp_path / "one", 1)
    make.checkpoint(tmp_path / "two", 2, shards=3)
    return tmp_path


def run(folder: Path, text: str, **options: Any) -> dict[str, torch.Tensor]:
    path = make.recipe(folder / "recipe.yaml", text)
    merge_models(path, folder / "out", Options(**({"prefer": {}} | options)))
    return make.load(folder / "out")


def test_every_tensor_is_what_the_method_makes_of_it(folder: Path) -> None:
    """With a gradient over the layers: 0.2, 0.5, 0.8."""
    found = run(folder, THREE.format(method="ties"))
    base, one, two = (make.load(folder / name) for name in ("base", "one", "two"))
    assert found.keys() == base.keys()
    for name in base:
        layer = int(name.split(".")[2]) if ".layers." in name else 0
        expected = merge_arrays(
            "ties",
            [one[name].numpy(), two[name].numpy()],
            base[name].numpy(),
            weight=[0.5, 0.2 + 0.3 * layer],
            density=[0.4, 0.6],
        )
        assert np.allclose(found[name].numpy(), expected, atol=1e-6), name


def test_the_result_is_a_whole_checkpoint(folder: Path) -> None:
    run(folder, THREE.format(method="ties"), shard_bytes=10_000)
    out = folder / "out"
    _, info = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    verify(out)
    manifest = read_manifest(out)
    assert set(manifest["inputs"]) == {"base", "one", "two"}
    shards = sorted(out.glob("*.safetensors"))
    assert len(shards) > 2
    assert all(manifest["outputs"][s.name] == sha256_of(s) for s in shards)
    assert "merge_method: ties" in (out / "README.md").read_text()
    assert (out / "tokenizer.json").read_bytes() == (folder / "base/tokenizer.json").read_bytes()
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_gives_the_same_bytes_for_any_number_of_threads(
    folder: Path, name: str
) -> None:
    more = {
        "slerp": "base_model: base\nmodels: [{model: base}, {model: one}]\nparameters: {t: 0.3}",
        "passthrough": "models: [{model: one}]",
    }
    listed = more.get(
        name,
        "base_model: base\nmodels: [{model: one}, {model: two}]\n"
        + ("" if name in ("sce", "model_stock") else "parameters: {weight: 0.4}"),
    )
    text = f"merge_method: {name}\n{listed}\n"
    shards = []
    for threads, memory in ((1, 64), (2, 64), (4, 500)):
        options = {"threads": threads, "max_memory": memory * 10**6, "force": True}
        run(folder, text, shard_bytes=10_000, **options)
        out = folder / "out"
        shards.append({p.name: sha256_of(p) for p in out.glob("*.safetensors*")})
    assert shards[0] == shards[1] == shards[2]


def test_passthrough_stacks_layers(folder: Path) -> None:
    text = """
merge_method: passthrough
slices:
- sources: [{model: one, layer_range: [0, 2]}]
- sources: [{model: two, layer_range: [1, 3], parameters: {scale: [{filter: o_proj, value: 0.5}, {value: 1}]}}]
"""  # noqa: E501
    found = run(folder, text)
    one, two = make.load(folder / "one"), make.load(folder / "two")
    config = json.loads((folder / "out/config.json").read_text())
    assert config["num_hidden_layers"] == 4
    for layer, (source, number) in enumerate([(one, 0), (one, 1), (two, 1), (two, 2)]):
        name = "self_attn.q_proj.weight"
        assert torch.equal(
            found[f"model.layers.{layer}.{name}"], source[f"model.layers.{number}.{name}"]
        )
    name = "model.layers.{}.self_attn.o_proj.weight"
    assert torch.equal(found[name.format(3)], 0.5 * two[name.format(2)])
    assert torch.equal(found["model.embed_tokens.weight"], one["model.embed_tokens.weight"])
    assert torch.equal(found["lm_head.weight"], two["lm_head.weight"])
    _, info = AutoModelForCausalLM.from_pretrained(folder / "out", output_loading_info=True)
    assert not info["missing_keys"]


def test_slerp_with_conditions(folder: Path) -> None:
    text = """
merge_method: slerp
base_model: base
slices:
- sources:
  - {model: base, layer_range: [0, 3]}
  - {model: one, layer_range: [0, 3]}
parameters:
  t:
  - {filter: self_attn, value: [0, 1]}
  - {filter: mlp, value: 0.25}
  - {value: 0.5}
dtype: bfloat16
"""
    found = run(folder, text)
    base, one = make.load(folder / "base"), make.load(folder / "one")
    for name, t in (
        ("model.layers.0.self_attn.q_proj.weight", 0.0),
        ("model.layers.1.self_attn.q_proj.weight", 0.5),
        ("model.layers.2.mlp.up_proj.weight", 0.25),
        ("model.norm.weight", 0.5),
    ):
        expected = merge_arrays("slerp", [one[name].numpy()], base[name].numpy(), t=t)
        assert torch.equal(found[name], torch.from_numpy(expected).bfloat16()), name
    config = json.loads((folder / "out/config.json").read_text())
    assert config["torch_dtype"] == "bfloat16"


@pytest.mark.parametrize("model_type", sorted(CONFIGS))
def test_every_architecture(tmp_path: Path, model_type: str) -> None:
    """Nothing here knows an architecture: layers are found by their numbers."""
    models = [tiny_model(model_type, seed) for seed in (1, 2)]
    for model, name in zip(models, ("one", "two"), strict=True):
        save_checkpoint(model, tmp_path / name)
    text = """
merge_method: linear
models:
- {model: one, parameters: {weight: [1, 0]}}
- {model: two, parameters: {weight: [0, 1]}}
"""
    run(tmp_path, text, max_memory=40 * 10**6, threads=1)
    merged, info = AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", dtype=torch.float32, output_loading_info=True
    )
    assert not info["missing_keys"]
    states = [model.state_dict() for model in models]
    for name, found in merged.state_dict().items():
        # The first layer is the first model's, the last the second's; outside is the first's.
        numbers = [int(part) for part in name.split(".") if part.isdigit()]
        expected = states[numbers[0] if numbers else 0][name]
        assert torch.equal(found, expected), name


def test_models_of_different_dtypes_and_layouts(tmp_path: Path) -> None:
    """Each is read as it is stored; the result has the base's types where none is asked for."""
    make.checkpoint(tmp_path / "base", 0, dtype=torch.bfloat16)
    make.checkpoint(tmp_path / "one", 1, dtype=torch.float16, shards=4)
    make.checkpoint(tmp_path / "two", 2, dtype=torch.float32)
    found = run(tmp_path, THREE.format(method="dare_ties"))
    assert {t.dtype for t in found.values()} == {torch.bfloat16}
    copied = run(
        tmp_path, "merge_method: passthrough\nmodels: [{model: one}]\ndtype: float32\n", force=True
    )
    one = make.load(tmp_path / "one")
    assert all(torch.equal(copied[name], one[name].float()) for name in one)


def test_tied_heads_stay_tied(tmp_path: Path) -> None:
    for seed, name in enumerate(("base", "one", "two")):
        tensors = make.weights(seed)
        if name != "two":  # one checkpoint stores the head all the same
            tensors.pop("lm_head.weight")
        make.checkpoint(tmp_path / name, tensors=tensors, tie_word_embeddings=True)
    found = run(
        tmp_path,
        THREE.format(method="task_arithmetic")
        .replace(", density: 0.4", "")
        .replace(", density: 0.6", ""),
    )
    assert "lm_head.weight" not in found


def test_a_finished_merge_is_not_made_again(folder: Path) -> None:
    text = THREE.format(method="ties")
    run(folder, text)
    before = (folder / "out/manifest.json").read_bytes()
    run(folder, text, threads=3, max_memory=10**8)
    assert (folder / "out/manifest.json").read_bytes() == before
    with pytest.raises(UserError, match=r"recipe.parameters.lambda: nothing, now 0.5"):
        run(folder, text + "parameters: {lambda: 0.5}\n")
    run(folder, text + "parameters: {lambda: 0.5}\n", force=True)
    (folder / "other").mkdir()
    (folder / "other/mine.txt").write_text("precious")
    path = folder / "recipe.yaml"
    with pytest.raises(UserError, match="in the way"):
        merge_models(path, folder / "other", Options({}, force=True))
    assert (folder / "other/mine.txt").read_text() == "precious"


def test_an_interrupted_merge_keeps_its_finished_shards(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, options = THREE.format(method="ties"), {"shard_bytes": 10_000, "threads": 1}
    run(folder, text, **options)
    whole = {p.name: p.read_bytes() for p in (folder / "out").glob("model*")}
    real = command.output.write_shards

    def stopped(*args: Any, on_shard: Any, **kwargs: Any) -> Any:
        def stop(file: str, sha256: str) -> None:
            on_shard(file, sha256)
            raise KeyboardInterrupt

        return real(*args, on_shard=stop, **kwargs)

    monkeypatch.setattr(output, "write_shards", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(folder, text, force=True, **options)
    partial = folder / ".out.partial"
    first = sorted(partial.glob("*.safetensors"))[0]
    kept = first.stat().st_ino
    # The earlier result is still there, whole.
    assert {p.name: p.read_bytes() for p in (folder / "out").glob("model*")} == whole
    monkeypatch.setattr(output, "write_shards", real)
    run(folder, text, force=True, **options)
    assert (folder / "out" / first.name).stat().st_ino == kept
    assert {p.name: p.read_bytes() for p in (folder / "out").glob("model*")} == whole
    verify(folder / "out")
    # Another recipe does not go on from it.
    monkeypatch.setattr(output, "write_shards", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(folder, text, force=True, **options)
    monkeypatch.setattr(output, "write_shards", real)
    run(folder, text + "parameters: {lambda: 0.5}\n", force=True, **options)
    changed = {p.name: p.read_bytes() for p in (folder / "out").glob("model-*")}
    assert all(changed[name] != whole[name] for name in changed)


def test_killed_at_any_moment_and_run_again(folder: Path) -> None:
    path = make.recipe(folder / "recipe.yaml", THREE.format(method="ties"))
    arguments = [sys.executable, "-m", "codemoe", "merge", path.name, "out", "--shard-size", "9KB"]
    for delay_s in (0.25, 0.35, 0.45, 0.6):
        process = subprocess.Popen(
            arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    verify(folder / "out")
    found = make.load(folder / "out")
    base = make.load(folder / "base")
    assert found.keys() == base.keys()
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("setting", "place", "expected"),
    [
        (0.3, 0.5, 0.3),
        ([0, 1], 0.25, 0.25),
        ([0, 0.5, 0.3], 1.0, 0.3),
        ([0, 0.5, 0.3], 0.75, 0.4),
        ([0.7], 0.4, 0.7),
        ([True, False], 0.9, True),
        (["1e-1", 1], 0.5, 0.55),  # which YAML takes for text
        (["weighted", "unweighted"], 0.9, "weighted"),
        ([{"filter": "mlp", "value": [0, 1]}, {"value": 2}], 0.5, 0.5),
        ([{"filter": "attn", "value": 1}, {"value": 2}], 0.5, 2),
        ([{"filter": "attn", "value": 1}], 0.5, None),
        ({"filter": "*", "value": 4}, 0.5, 4),
    ],
)
def test_gradients_and_conditions(setting: Any, place: float, expected: Any) -> None:
    found = value_at(setting, "model.layers.1.mlp.up_proj.weight", place)
    assert found == (expected if isinstance(expected, str) else pytest.approx(expected))


def test_what_mergekit_s_cards_have_is_read(folder: Path) -> None:
    """Truths as numbers, and keys whose lines were commented out."""
    text = THREE.format(method="ties")
    expected = run(folder, text)
    more = "parameters: {normalize: 1.0, int8_mask: 1.0}\nslices:\n"
    found = run(folder, text + more, force=True)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    text = "merge_method: linear\nmodels: [{model: one, parameters: }]\nparameters: {weight: 1}\n"
    assert run(folder, text, force=True).keys() == expected.keys()


def test_a_base_that_is_not_listed_does_not_count_and_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "merge_method: linear\nbase_model: base\nparameters: {weight: 1}\nmodels:\n"
    text += "- model: one\n- model: two\n"
    found = run(folder, text)
    one, two = make.load(folder / "one"), make.load(folder / "two")
    assert all(torch.allclose(found[name], (one[name] + two[name]) / 2) for name in one)
    assert "base is not listed under models, so it does not count" in capsys.readouterr().err
    run(folder, text + "- model: base\n", force=True)
    assert "is not listed under models" not in capsys.readouterr().err


def test_a_link_as_the_result_s_name_is_followed(folder: Path) -> None:
    (folder / "far").mkdir()
    (folder / "out").symlink_to(folder / "far")
    run(folder, THREE.format(method="ties"))
    assert (folder / "out").is_symlink()
    assert (folder / "far" / "manifest.json").is_file()
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []


def test_a_result_under_a_file_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="cannot make the folder") as error:
        merge_models(
            make.recipe(folder / "recipe.yaml", THREE.format(method="ties")),
            folder / "recipe.yaml" / "out",
            Options(prefer={}),
        )
    assert "runs_dir" not in str(error.value)


def test_kinds_of_files() -> None:
    assert kind_of({"merge_method": "ties"}) == "merge"
    assert kind_of({"base_model": "x", "experts": [{"source_model": "y"}]}) == "moe"
    assert kind_of({"name": "x", "base": {"model": "y"}, "experts": {"define": {}}}) is None
    assert kind_of(None) is None
    assert kind_of([1]) is None
