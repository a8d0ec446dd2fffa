"""What does not fit together is refused by name, and an explicit choice settles it.

Run with: pytest tests/merge/test_compatible.py
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from codemoe.errors import UserError, WorkError
from codemoe.merge import output
from codemoe.merge.command import merge_models
from codemoe.merge.options import Options
from tests.merge import make

TEXT = """
merge_method: linear
models:
- {model: one, parameters: {weight: 0.5}}
- {model: two, parameters: {weight: 0.5}}
"""


def run(folder: Path, text: str = TEXT, **options: Any) -> dict[str, torch.Tensor]:
    path = make.recipe(folder / "recipe.yaml", text)
    merge_models(path, folder / "out", Options(**({"prefer": {}} | options)))
    return make.load(folder / "out")


def refused(folder: Path, *parts: str, text: str = TEXT, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        run(folder, text, **options)
    for part in parts:
        assert part in str(error.value), str(error.value)
    assert not (folder / "out").exists()
    assert [p.name for p in folder.iterdir() if p.name.startswith(".")] == []
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"rope_theta": 1e6}, ("rope_theta", "10000.0", "1000000.0")),
        (
            {"rope_scaling": {"type": "linear", "factor": 2.0}},
            ("rope_scaling", "None", "'rope_type': 'linear'"),
        ),
        ({"num_attention_heads": 2, "head_dim": 8}, ("num_attention_heads", "4", "2")),
        ({"num_key_value_heads": 4, "head_dim": 2}, ("num_key_value_heads", "head_dim")),
        ({"tie_word_embeddings": True}, ("tie_word_embeddings", "False", "True")),
        ({"hidden_act": "gelu"}, ("hidden_act", "silu", "gelu")),
        ({"rms_norm_eps": 1e-5}, ("norm_eps", "1e-06", "1e-05")),
        ({"sliding_window": 32}, ("sliding_window", "None", "32")),
        ({"eos_token_id": 7}, ("eos_token_id", "2", "7")),
        ({"pad_token_id": 0}, ("pad_token_id", "None", "0")),
        ({"template": "{{ x }}"}, ("chat_template", "None", "{{ x }}")),
        ({"special": {"eos_token": "w3"}}, ("special_tokens", "</s>", "w3")),
        (
            {"vocabulary": [*make.tokens()[:-1], "new"]},
            ("vocabulary", "40 tokens", "'w36' is 39", "'w36' is not one"),
        ),
        (
            {"vocabulary": make.tokens(count=41)},
            ("vocabulary", "vocab_size: one has 40, two has 41"),
        ),
    ],
)
def test_a_difference_is_named_with_both_values(
    tmp_path: Path, change: dict[str, Any], parts: tuple[str, ...]
) -> None:
    make.checkpoint(tmp_path / "one", 1)
    make.checkpoint(tmp_path / "two", 2, **change)
    message = refused(tmp_path, *parts, "--prefer ")
    key = parts[0]
    # Said whose wins, the rest of the message is what is left.
    if message.count("\n  ") == 2:
        run(tmp_path, prefer={key: "one"})


def test_shapes_are_nobodys_choice(tmp_path: Path) -> None:
    make.checkpoint(tmp_path / "one", 1)
    make.checkpoint(tmp_path / "two", 2, hidden_size=32)
    refused(tmp_path, "hidden_size: one has 16, two has 32", prefer={"hidden_size": "one"})


def test_old_and_new_names_of_one_setting_are_no_difference(tmp_path: Path) -> None:
    make.checkpoint(tmp_path / "one", 1)
    rope = {"rope_theta": 10000.0, "rope_type": "default"}
    make.checkpoint(
        tmp_path / "two", 2, rope_theta=..., rope_parameters=rope, head_dim=4, attention_bias=False
    )
    run(tmp_path)


def test_a_preferred_setting_is_in_the_result(tmp_path: Path) -> None:
    make.checkpoint(tmp_path / "one", 1)
    make.checkpoint(
        tmp_path / "two", 2, rope_theta=1e6, template="{{ x }}", special={"eos_token": "w3"}
    )
    prefer = {"rope_theta": "two", "chat_template": "two", "special_tokens": "two"}
    run(tmp_path, prefer=prefer)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["rope_theta"] == 1e6
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.chat_template == "{{ x }}"
    assert tokenizer.eos_token == "w3"
    run(tmp_path, prefer=prefer | {"special_tokens": "one", "chat_template": "one"}, force=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.chat_template is None
    assert tokenizer.eos_token == "</s>"


def test_the_recipes_own_template(tmp_path: Path) -> None:
    make.checkpoint(tmp_path / "one", 1, template="old")
    make.checkpoint(tmp_path / "two", 2)
    run(tmp_path, TEXT + 'chat_template: "{{ mine }}"\n')
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == "{{ mine }}"


def test_a_choice_that_is_none(tmp_path: Path) -> None:
    make.checkpoint(tmp_path / "one", 1)
    make.checkpoint(tmp_path / "two", 2)
    refused(tmp_path, "no such setting", "rope_theta", prefer={"colour": "one"})
    refused(tmp_path, "no model 'three'", "one, two", prefer={"rope_theta": "three"})


@pytest.mark.parametrize("tied", [True, False])
def test_a_chosen_tie_of_the_head(tmp_path: Path, tied: bool) -> None:
    """Untied, the tied model's head is its embedding; tied, heads are dropped."""
    make.checkpoint(tmp_path / "one", 1)
    tensors = make.weights(2)
    del tensors["lm_head.weight"]
    make.checkpoint(tmp_path / "two", tensors=tensors, tie_word_embeddings=True)
    found = run(tmp_path, prefer={"tie_word_embeddings": "two" if tied else "one"})
    one, two = make.load(tmp_path / "one"), make.load(tmp_path / "two")
    assert ("lm_head.weight" in found) != tied
    if not tied:
        mean = (one["lm_head.weight"] + two["model.embed_tokens.weight"]) / 2
        assert torch.allclose(found["lm_head.weight"], mean)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["tie_word_embeddings"] is tied


@pytest.mark.parametrize("source", ["union", "base", "two"])
def test_vocabularies_are_joined_by_token_and_never_cut(tmp_path: Path, source: str) -> None:
    base_tokens = make.tokens("only-base", "both")
    other_tokens = make.tokens("both", "only-two", "w90", count=42)
    make.checkpoint(tmp_path / "base", 1, vocabulary=base_tokens)
    make.checkpoint(tmp_path / "two", 2, vocabulary=other_tokens)
    text = """
merge_method: linear
base_model: base
models:
- {model: base, parameters: {weight: 0.25}}
- {model: two, parameters: {weight: 0.75}}
tokenizer_source: %s
"""
    found = run(tmp_path, text % source)
    expected = {"base": base_tokens, "two": other_tokens}.get(source)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    vocabulary = tokenizer.get_vocab()
    assert set(vocabulary) == set(expected or [*base_tokens, *other_tokens])
    one, two = make.load(tmp_path / "base"), make.load(tmp_path / "two")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert len(found[name]) == len(vocabulary)
        for token, row in vocabulary.items():
            rows = [
                w[name][t.index(token)]
                for w, t in ((one, base_tokens), (two, other_tokens))
                if token in t
            ]
            mean = rows[0] if len(rows) == 1 else 0.25 * rows[0] + 0.75 * rows[1]
            assert torch.allclose(found[name][row], mean, atol=1e-6), token
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["vocab_size"] == len(vocabulary)


def test_padded_rows_of_one_vocabulary(tmp_path: Path) -> None:
    make.checkpoint(tmp_path / "one", 1)
    make.checkpoint(tmp_path / "two", tensors=make.weights(2, 48), vocab_size=48)
    refused(tmp_path, "vocab_size: one has 40, two has 48")
    found = run(tmp_path, prefer={"vocab_size": "two"})["model.embed_tokens.weight"]
    one, two = (make.load(tmp_path / n)["model.embed_tokens.weight"] for n in ("one", "two"))
    assert torch.allclose(found[:40], (one + two[:40]) / 2)
    assert torch.equal(found[40:], two[40:])
    cut = run(tmp_path, prefer={"vocab_size": "one"}, force=True)["model.embed_tokens.weight"]
    assert len(cut) == 40


def test_the_same_model_twice_and_the_one_that_was_forgotten(tmp_path: Path) -> None:
    for seed, name in enumerate(("python", "java", "javascript", "cpp")):
        make.checkpoint(tmp_path / "experts" / name, seed)
    text = "merge_method: linear\nparameters: {weight: 1}\nmodels:\n" + "".join(
        f"- {{model: experts/{name}}}\n" for name in ("python", "java", "javascript", "LAST")
    )
    listed = text.replace("LAST", "javascript")
    refused(tmp_path, "experts/javascript is listed twice", text=listed)
    # Under another name, it is found by its place, or by its content.
    again = text.replace("experts/LAST", str(tmp_path / "experts/javascript"))
    refused(tmp_path, "are the same folder", "experts/cpp", "not in the recipe", text=again)
    weights = (tmp_path / "experts/javascript/model.safetensors").read_bytes()
    copy = make.checkpoint(tmp_path / "elsewhere/javascript", 2)
    assert (copy / "model.safetensors").read_bytes() == weights
    alike = text.replace("experts/LAST", str(copy))
    refused(tmp_path, "hold the same weights", text=alike)
    run(tmp_path, alike, allow_identical=True)


def test_a_forgotten_model_is_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(("one", "two", "three")):
        make.checkpoint(tmp_path / name, seed)
    run(tmp_path)
    assert f"{tmp_path / 'three'} lies beside the others" in capsys.readouterr().err
    # What merges made before is none.
    (tmp_path / "out").rename(tmp_path / "before")
    make.checkpoint(tmp_path / "theirs", 3)
    (tmp_path / "theirs/mergekit_config.yml").touch()
    capsys.readouterr()
    run(tmp_path)
    told = capsys.readouterr().err
    assert "three lies beside" in told
    assert "before" not in told
    assert "theirs" not in told


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", ["linear", "ties", "passthrough"])
def test_nan_names_file_and_tensor(tmp_path: Path, dtype: torch.dtype, method: str) -> None:
    make.checkpoint(tmp_path / "base", 0)
    make.checkpoint(tmp_path / "one", 1)
    tensors = make.weights(2)
    tensors["model.layers.1.mlp.up_proj.weight"][3, 5] = float("inf")
    make.checkpoint(tmp_path / "two", tensors=tensors, dtype=dtype)
    listed = "[{model: two}]" if method == "passthrough" else "[{model: one}, {model: two}]"
    weight = "" if method == "passthrough" else "parameters: {weight: 1}\n"
    base = "base_model: base\n" if method == "ties" else ""
    text = f"merge_method: {method}\n{base}{weight}models: {listed}\n"
    refused(
        tmp_path,
        str(tmp_path / "two/model.safetensors"),
        "model.layers.1.mlp.up_proj.weight",
        text=text,
    )


def test_a_result_beyond_float16_is_not_written(tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        tensors = make.weights(seed)
        tensors["model.norm.weight"][0] = 6e4
        make.checkpoint(tmp_path / name, tensors=tensors)
    text = TEXT.replace("0.5", "1.0") + "parameters: {normalize: false}\ndtype: float16\n"
    refused(tmp_path, "model.norm.weight", "beyond the range of F16", text=text)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    make.checkpoint(tmp_path / "one", 1)
    tensors = make.weights(2)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    make.checkpoint(tmp_path / "two", tensors=tensors)
    refused(tmp_path, "two has no tensor model.layers.1.mlp.up_proj.weight")
    tensors = make.weights(2) | {"model.layers.0.mlp.extra.weight": torch.ones(3)}
    make.checkpoint(tmp_path / "three", tensors=tensors)
    text = TEXT.replace("two", "three")
    refused(tmp_path, "three has the tensor model.layers.0.mlp.extra.weight", text=text)


@pytest.mark.parametrize("slices", [False, True])
def test_what_the_first_model_lacks_in_one_layer_is_not_lost(tmp_path: Path, slices: bool) -> None:
    tensors = make.weights(1)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    make.checkpoint(tmp_path / "one", tensors=tensors)
    make.checkpoint(tmp_path / "two", 2)
    text = TEXT
    if slices:
        text = (
            "merge_method: linear\nparameters: {weight: 1}\nslices:\n"
            "- sources: [{model: one, layer_range: [1, 2]}, {model: two, layer_range: [2, 3]}]\n"
        )
    name = f"model.layers.{2 if slices else 1}.mlp.up_proj.weight"
    refused(tmp_path, f"two has the tensor {name}, which one has not", text=text)


@pytest.mark.parametrize("lacking", ["one", "two"])
def test_a_head_that_is_missing_is_not_the_embedding(tmp_path: Path, lacking: str) -> None:
    for seed, name in enumerate(("one", "two")):
        tensors = make.weights(seed)
        if name == lacking:
            del tensors["lm_head.weight"]
        make.checkpoint(tmp_path / name, tensors=tensors)
    refused(tmp_path, f"{lacking} has no tensor lm_head.weight", "does not tie it")


@pytest.mark.parametrize("file", ["chat_template.jinja", "config.json"])
def test_damaged_files_of_a_checkpoint_are_named(tmp_path: Path, file: str) -> None:
    make.checkpoint(tmp_path / "one", 1, **({} if "jinja" in file else {"rope_parameters": 3}))
    make.checkpoint(tmp_path / "two", 2)
    if "jinja" in file:
        (tmp_path / "one" / file).write_bytes(b"\xff\xfe")
    refused(tmp_path, str(tmp_path / "one" / file))


def test_a_number_of_layers_that_is_none(tmp_path: Path) -> None:
    make.checkpoint(tmp_path / "one", 1, num_hidden_layers="x")
    text = "merge_method: linear\nmodels: [{model: one}]\nparameters: {weight: 1}"
    refused(tmp_path, "config.json says x layers", text=text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("merge_method: tie\nmodels: [{model: one}]", ("'tie' is unknown", "did you mean ties")),
        ("merge_method: karcher\nmodels: [{model: one}]", ("karcher", "of mergekit is not")),
        ("merge_method: ties\nmodels: [{model: one}]", ("ties needs base_model",)),
        (
            "merge_method: linear\nmodels: [{model: one}, {model: two}]",
            ("parameter weight of one is not given",),
        ),
        ("merge_method: linear\nmodel: [{model: one}]", ("model: unknown key",)),
        (
            "merge_method: linear\nmodels: [{model: one, parameters: {wight: 1}}]",
            ("the model one sets 'wight'", "weight"),
        ),
        (
            TEXT.replace("0.5}", "heavy}"),
            ("parameter weight is 'heavy'", "expected a number"),
        ),
        ("merge_method: linear\nmodules: {}", ("'modules' is not supported",)),
        (TEXT + "tokenizer: {tokens: {x: {source: one}}}", ("tokenizer.tokens is not supported",)),
        (TEXT + "dtype: int8", ("dtype 'int8' is not supported",)),
        (TEXT + "chat_template: chatml", ("'chatml' is neither a model",)),
        (TEXT + "tokenizer_source: three", ("'three' is not a model of the recipe",)),
        (TEXT.replace("model: two", "model: gone"), ("there is no folder gone",)),
        (
            "merge_method: passthrough\nslices: [{sources: [{model: one, layer_range: [1, 9]}]}]",
            ("layer_range [1, 9] is outside of one, which has 3 layers",),
        ),
        (
            "merge_method: slerp\nbase_model: one\nparameters: {t: 0.5}\n"
            "models: [{model: one}, {model: two}, {model: three}]",
            ("slerp takes 1 models beside the base; the recipe has 2",),
        ),
        (TEXT.replace("0.5", "-0.5", 1), ("sum to 0",)),
        (TEXT.replace("0.5", "[1, {value: 2}]"), ("neither a gradient nor a list of conditions",)),
        (TEXT.replace("0.5", "[1, null]"), ("neither a gradient nor a list of conditions",)),
        (TEXT.replace("0.5", "[{fliter: mlp, value: 2}, {value: 1}]"), ("unknown key 'fliter'",)),
        (TEXT.replace("0.5", "[{filter: [mlp], value: 2}]"), ("is not a filter and a value",)),
        (TEXT.replace("0.5}", "&w {value: *w}}", 1), ("Circular reference",)),
        (TEXT.replace("model: one,", "model: '',"), ("models.0.model", "at least 1")),
        (TEXT.replace("model: one,", "model: {pth: one},"), ("{'pth': 'one'} is no model",)),
        (
            TEXT.replace("model: one,", "model: {model: {path: one, revison: x}},"),
            ("expected path and, if wanted, revision",),
        ),
        (
            TEXT.replace("model: one,", "model: {model: one, override_architecture: X},"),
            ("'override_architecture' is not supported",),
        ),
        (TEXT.replace("model: one", "model: one, layer_range: [0, 2]"), ("is for slices",)),
        (TEXT.replace("model: two", f"model: {'x' * 300}"), ("there is no folder xxx",)),
        (TEXT.replace("model: two", "model: ~nobody-here"), ("there is no folder ~nobody",)),
        (TEXT.replace("linear", "ties\nbase_model: three").replace("0.5", "0"), ("every weight",)),
        (
            TEXT.replace("linear", "ties\nbase_model: three") + "parameters: {lambda: 0}",
            ("every lambda of the recipe is 0",),
        ),
    ],
)
def test_recipes_that_cannot_be_run(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    for seed, name in enumerate(("one", "two", "three")):
        make.checkpoint(tmp_path / name, seed)
    refused(tmp_path, *parts, text=text)


def test_a_quantized_model_and_a_pickle_are_refused(tmp_path: Path) -> None:
    make.checkpoint(tmp_path / "one", 1)
    make.checkpoint(tmp_path / "two", 2, quantization_config={"bits": 4})
    refused(tmp_path, "two is quantized")
    folder = make.checkpoint(tmp_path / "three", 3)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(tmp_path, "three holds no model.safetensors", text=TEXT.replace("two", "three"))


def test_memory_and_disk_are_checked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make.checkpoint(tmp_path / "one", 1)
    make.checkpoint(tmp_path / "two", 2)
    refused(tmp_path, "20 MB of memory are too little", max_memory=20 * 10**6, threads=4)

    class Full:
        free = 1000

    monkeypatch.setattr(output.shutil, "disk_usage", lambda path: Full)
    with pytest.raises(WorkError, match="GB are free"):
        run(tmp_path)
    assert not (tmp_path / "out").exists()
