"""mergekit-moe's recipes: the experts' MLPs on the base, loaded by the stock library.

Run with: pytest tests/merge/test_assemble.py
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from codemoe.artifacts import sha256_of, verify
from codemoe.errors import UserError
from codemoe.merge.assemble.command import assemble
from codemoe.merge.options import Options
from codemoe.models.adapters import load_adapter
from codemoe.models.export.families import FAMILIES, sparse_config
from codemoe.models.features import mlp_inputs
from codemoe.models.storage.layout import read_layout
from tests.merge import make
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model

RECIPE = """
base_model: base
gate_mode: {mode}
experts_per_token: {k}
experts:
- source_model: python
  positive_prompts: ["def f(x): return x", "import os"]
- source_model: java
  positive_prompts: ["static int f(int x)"]
  negative_prompts: ["def f(x): return x"]
- source_model: cpp
  positive_prompts: ["std vector int v"]
"""
EXPERTS = ("python", "java", "cpp")


def build(folder: Path, text: str, data: Any = (), **options: Any) -> Path:
    path = make.recipe(folder / "moe.yaml", text)
    assemble(path, folder / "out", Options(**({"prefer": {}} | options)), data)
    return folder / "out"


def models(folder: Path, model_type: str = "mistral", **config: Any) -> Path:
    """A base, and dense experts that differ from it in their MLPs only."""
    model = tiny_model(model_type, **config)
    save_checkpoint(model, folder / "base")
    random = torch.Generator().manual_seed(1)
    for name in EXPERTS:
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if ".mlp." in key:
                    parameter.add_(torch.randn(parameter.shape, generator=random) * 0.05)
        save_checkpoint(model, folder / name)
    return folder


def loaded(folder: Path) -> Any:
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval()


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    ids_BT = torch.randint(3, 300, (2, 9), generator=torch.Generator().manual_seed(0))
    found: torch.Tensor = model(input_ids=ids_BT).logits
    return found


@pytest.mark.parametrize("model_type", ["mistral", "llama", "qwen2", "qwen3"])
def test_routed_to_one_expert_the_mixture_is_that_expert(tmp_path: Path, model_type: str) -> None:
    models(tmp_path, model_type)
    out = build(tmp_path, RECIPE.format(mode="random", k=1))
    verify(out)
    model = loaded(out)
    for number, name in enumerate(EXPERTS):
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if key.endswith(".gate.weight") and "shared" not in key:
                    parameter.zero_()
        hooks = []

        def choose(module: Any, args: Any, output: Any, number: int = number) -> Any:
            scores, weights, indices = output
            return scores, torch.ones_like(weights), torch.full_like(indices, number)

        hooks = [
            module.register_forward_hook(choose)
            for path, module in model.named_modules()
            if path.endswith("mlp.gate")
        ]
        difference = (logits(model) - logits(loaded(tmp_path / name))).abs().max()
        for hook in hooks:
            hook.remove()
        assert difference <= 1e-5, name


def test_two_experts_a_token_are_weighed_by_the_gate(tmp_path: Path) -> None:
    """Identical experts, two a token: the mixture is the dense model, whatever the gates say."""
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    text = RECIPE.format(mode="random", k=2)
    for name in EXPERTS:
        text = text.replace(f"source_model: {name}", "source_model: base")
    with pytest.raises(UserError, match="are the same folder"):
        build(tmp_path, text)
    out = build(tmp_path, text, allow_identical=True)
    assert (logits(loaded(out)) - logits(loaded(base))).abs().max() <= 1e-5


def test_adapters_are_put_into_the_base_s_weights(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("llama"), tmp_path / "base")
    for seed, name in enumerate(EXPERTS):
        random_adapter(base, tmp_path / name, "mlp", 2 + seed, seed)
    text = RECIPE.format(mode="random", k=1).replace(
        "source_model: java", "source_model: base+java"
    )
    out = build(tmp_path, text)
    found, dense = make.load(out), make.load(base)
    for number, name in enumerate(EXPERTS):
        for path, factors in load_adapter(tmp_path / name).items():
            layer, projection = path.split(".")[2], path.split(".")[-1]
            new = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}[projection]
            key = f"model.layers.{layer}.block_sparse_moe.experts.{number}.{new}.weight"
            expected = dense[f"{path}.weight"] + factors.b_OR @ factors.a_RD
            assert torch.allclose(found[key], expected, atol=1e-6)
    loaded(out)


def test_what_an_expert_learned_elsewhere_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models(tmp_path)
    build(tmp_path, RECIPE.format(mode="random", k=1))
    assert "outside of its MLPs" not in capsys.readouterr().err
    model = loaded(tmp_path / "java")
    with torch.no_grad():
        model.model.layers[1].self_attn.o_proj.weight.add_(0.1)
    model.save_pretrained(tmp_path / "java")
    build(tmp_path, RECIPE.format(mode="random", k=1), force=True)
    told = capsys.readouterr().err
    assert "java differs from the base in 1 tensors outside of its MLPs" in told
    assert "self_attn.o_proj" in told


@pytest.mark.parametrize("mode", ["random", "uniform_random", "orthogonal"])
def test_drawn_gates(tmp_path: Path, mode: str) -> None:
    models(tmp_path)
    out = build(tmp_path, RECIPE.format(mode=mode, k=1))
    gates = [t.numpy() for n, t in make.load(out).items() if n.endswith("moe.gate.weight")]
    stacked = np.stack(gates)
    assert not np.allclose(gates[0], gates[1])
    if mode == "random":
        assert stacked.std() == pytest.approx(1, abs=0.15)
    elif mode == "uniform_random":
        assert np.abs(stacked).max() <= 32**-0.5
    else:
        assert np.allclose(gates[0] @ gates[0].T, np.eye(3), atol=1e-5)
    again = build(tmp_path, RECIPE.format(mode=mode, k=1), force=True, seed=1)
    name = "model.layers.0.block_sparse_moe.gate.weight"
    assert not torch.equal(make.load(again)[name], torch.from_numpy(gates[0]))


def _prompt_states(folder: Path, read: Callable[[Any, torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """(E, L, D) of the recipe's prompts by a definition: positive minus negative, at length 1."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder / "base"), loaded(folder / "base")
    prompts = [
        (["def f(x): return x", "import os"], []),
        (["static int f(int x)"], ["def f(x): return x"]),
        (["std vector int v"], []),
    ]

    def mean(texts: list[str]) -> torch.Tensor:
        found = []
        for text in texts:
            ids = tokenizer((tokenizer.bos_token or "") + text, add_special_tokens=False).input_ids
            with torch.no_grad():
                found.append(read(model, torch.tensor([ids])))
        return torch.stack(found).mean(0)

    rows = [mean(p) - mean(n) if n else mean(p) for p, n in prompts]
    return torch.stack([torch.nn.functional.normalize(row, dim=-1) for row in rows])


@pytest.mark.parametrize("mode", ["hidden", "hidden_last", "hidden_avg", "cheap_embed"])
def test_gates_from_prompts_as_mergekit_defines_them(tmp_path: Path, mode: str) -> None:
    models(tmp_path)
    out = build(tmp_path, RECIPE.format(mode=mode, k=1))

    def read(model: Any, ids_1T: torch.Tensor) -> torch.Tensor:
        if mode == "cheap_embed":
            summed = model.get_input_embeddings()(ids_1T)[0].sum(0)
            return torch.stack([summed, summed])
        states = model(input_ids=ids_1T, output_hidden_states=True).hidden_states[:-1]
        return torch.stack([s[0].mean(0) if mode == "hidden_avg" else s[0, -1] for s in states])

    found = make.load(out)
    for layer in range(2):
        gate_ED = found[f"model.layers.{layer}.block_sparse_moe.gate.weight"]
        if mode == "cheap_embed":  # sums of prompts at length 1 before they are subtracted
            expected_ED = _cheap(tmp_path)
        else:
            expected_ED = _prompt_states(tmp_path, read)[:, layer]
        assert torch.allclose(gate_ED, expected_ED, atol=1e-5)


def _cheap(folder: Path) -> torch.Tensor:
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    embed = make.load(folder / "base")["model.embed_tokens.weight"]

    def unit(texts: list[str]) -> torch.Tensor:
        total = torch.zeros(embed.shape[1])
        for text in texts:
            ids = tokenizer((tokenizer.bos_token or "") + text, add_special_tokens=False).input_ids
            total += embed[torch.tensor(ids)].sum(0)
        return torch.nn.functional.normalize(total, dim=0)

    rows = [
        unit(["def f(x): return x", "import os"]),
        unit(["static int f(int x)"]) - unit(["def f(x): return x"]),
        unit(["std vector int v"]),
    ]
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1)


def test_gates_from_true_router_inputs_choose_the_expert_of_the_prompt(tmp_path: Path) -> None:
    models(tmp_path)
    out = build(tmp_path, RECIPE.format(mode="prompts", k=1))
    tokenizer, base = AutoTokenizer.from_pretrained(out), loaded(tmp_path / "base")
    gates = make.load(out)
    for number, prompt in ((0, "import os"), (1, "static int f(int x)"), (2, "std vector int v")):
        ids = tokenizer((tokenizer.bos_token or "") + prompt, add_special_tokens=False).input_ids
        with torch.no_grad(), mlp_inputs(base, [0, 1]) as seen:
            base(input_ids=torch.tensor([ids]))
            for layer in (0, 1):
                gate_ED = gates[f"model.layers.{layer}.block_sparse_moe.gate.weight"]
                assert int((gate_ED @ seen[layer][0].mean(0)).argmax()) == number


def test_fitted_gates_learn_from_labelled_text(tmp_path: Path) -> None:
    models(tmp_path)
    samples = {
        "python": "def f{0}(x):\n    return x + {0}",
        "java": "static int f{0}(int x) {{ return x; }}",
        "cpp": "std::vector<int> f{0}(const int* x);",
    }
    rows = [
        {"language": language, "text": f"do {i}", "code": code.format(i)}
        for language, code in samples.items()
        for i in range(12)
    ]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = RECIPE.format(mode="fitted", k=1)
    out = build(tmp_path, text, [str(data)])
    gates = [t for n, t in make.load(out).items() if n.endswith("moe.gate.weight")]
    assert all(gate.abs().max() > 0 for gate in gates)
    with pytest.raises(UserError, match="--data"):
        build(tmp_path, text, force=True)
    data.write_text("".join(json.dumps(row) + "\n" for row in rows[:20]))
    with pytest.raises(UserError, match="8 rows of java"):
        build(tmp_path, text, [str(data)], force=True)
    with pytest.raises(UserError, match="gate_mode: random"):
        build(tmp_path, RECIPE.format(mode="random", k=1), [str(data)], force=True)


def test_the_shared_expert_of_qwen2(tmp_path: Path) -> None:
    models(tmp_path, "qwen2")
    shared = (
        "shared_experts:\n- source_model: base\n  positive_prompts: ['x y z']\n"
        "  residual_scale: 0.5\n"
    )
    out = build(tmp_path, RECIPE.format(mode="hidden", k=2) + shared)
    found, base = make.load(out), make.load(tmp_path / "base")
    for name in ("gate_proj", "up_proj", "down_proj"):
        expected = base[f"model.layers.1.mlp.{name}.weight"] * (0.5 if name == "down_proj" else 1)
        assert torch.equal(found[f"model.layers.1.mlp.shared_expert.{name}.weight"], expected)
    gate = found["model.layers.1.mlp.shared_expert_gate.weight"]
    assert gate.shape == (1, 32)
    assert gate.norm() == pytest.approx(1, abs=1e-5)
    loaded(out)
    models(tmp_path / "other", "mistral")
    with pytest.raises(UserError, match="no place for 1 shared experts"):
        build(tmp_path / "other", RECIPE.format(mode="hidden", k=2) + shared)


def test_noise_and_scale_of_an_expert(tmp_path: Path) -> None:
    models(tmp_path)
    text = RECIPE.format(mode="random", k=1).replace(
        "source_model: java", "source_model: java\n  noise_scale: 0.01\n  residual_scale: 2.0"
    )
    found, java = make.load(build(tmp_path, text)), make.load(tmp_path / "java")
    up = "model.layers.0.block_sparse_moe.experts.1.w3.weight"
    noise = found[up] - java["model.layers.0.mlp.up_proj.weight"]
    assert float(noise.std()) == pytest.approx(0.01, rel=0.1)
    down = found["model.layers.0.block_sparse_moe.experts.1.w2.weight"]
    rest = down / 2 - java["model.layers.0.mlp.down_proj.weight"]
    assert float(rest.std()) == pytest.approx(0.01, rel=0.1)


def test_the_same_bytes_for_any_number_of_threads_and_in_another_dtype(tmp_path: Path) -> None:
    models(tmp_path)
    text = RECIPE.format(mode="random", k=1) + "dtype: bfloat16\n"
    found = []
    for threads in (1, 2, 5):
        out = build(tmp_path, text, threads=threads, force=True, shard_bytes=40_000)
        found.append({p.name: sha256_of(p) for p in out.glob("*.safetensors*")})
        assert {s.dtype for s in read_layout(out).values()} == {"BF16"}
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 3
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"


def test_prompts_that_were_commented_out_are_none(tmp_path: Path) -> None:
    models(tmp_path)
    text = RECIPE.format(mode="random", k=1)
    build(tmp_path, text.replace("positive_prompts:", "negative_prompts:\n  positive_prompts:", 1))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (RECIPE.format(mode="random", k=4), ("experts_per_token is 4", "3 experts")),
        (RECIPE.format(mode="hiden", k=1), ("gate_mode",)),
        (
            RECIPE.format(mode="hidden", k=1).replace('positive_prompts: ["std', "#"),
            ("cpp has no positive_prompts",),
        ),
        (
            RECIPE.format(mode="hidden", k=1)
            .replace("std vector int v", "def f(x): return x")
            .replace(', "import os"', ""),
            ("python and cpp have the same prompts",),
        ),
        (RECIPE.format(mode="random", k=1).replace("model: cpp", "model: java"), ("same folder",)),
        (RECIPE.format(mode="random", k=1) + "architecture: deepseek", ("'deepseek'",)),
        (RECIPE.format(mode="random", k=1) + "architecture: qwen", ("cannot become",)),
        (RECIPE.format(mode="random", k=1) + "expert_count: 3", ("expert_count: unknown key",)),
    ],
)
def test_mixtures_that_cannot_be_made(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    models(tmp_path)
    with pytest.raises(UserError) as error:
        build(tmp_path, text)
    for part in parts:
        assert part in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_base_of_another_kind(tmp_path: Path) -> None:
    models(tmp_path, "gpt2")
    with pytest.raises(UserError, match="a gpt2 base cannot become a sparse checkpoint"):
        build(tmp_path, RECIPE.format(mode="random", k=1))


@pytest.mark.parametrize("model_type", ["mistral", "llama", "qwen2", "qwen3"])
def test_what_a_config_leaves_out_keeps_the_base_s_default(model_type: str) -> None:
    """A config with nothing but its type: the sparse model must not fall back to its own."""
    (family,) = {
        row.model_type: row
        for to in ("mixtral", "qwen-moe")
        for base, row in FAMILIES[to].items()
        if base == model_type
    }.values()
    least = {"model_type": model_type, "hidden_size": 64, "num_attention_heads": 4}
    least |= {"intermediate_size": 96, "num_hidden_layers": 2}
    sparse = sparse_config(family, least, 3, "float32")
    kind = sparse.pop("model_type")
    found = AutoConfig.for_model(kind, **sparse)
    expected = AutoConfig.for_model(**least)
    for key in (
        "vocab_size",
        "num_key_value_heads",
        "max_position_embeddings",
        "rms_norm_eps",
        "rope_parameters",
        "tie_word_embeddings",
        "hidden_act",
    ):
        assert getattr(found, key) == getattr(expected, key), key
    if family.model_type == "mixtral":
        window = getattr(expected, "sliding_window", None)
        assert found.sliding_window == window
