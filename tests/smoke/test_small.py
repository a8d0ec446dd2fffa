"""What a smoke run is made of: small configs, small recipes, samples."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from codemoe.errors import UserError
from codemoe.models.architectures import ARCHITECTURES
from codemoe.plan.published import PUBLISHED
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe, make_recipe
from codemoe.smoke.base import SmallBase, write_small_base
from codemoe.smoke.families import FAMILIES, family_of
from codemoe.smoke.preferences import small_align
from codemoe.smoke.samples import Sampled, sample_sources
from codemoe.smoke.shrink import shrink
from codemoe.smoke.small_config import small_config
from tests.models.tiny import save_checkpoint, tiny_model
from tests.smoke.test_smoke import RECIPES, write_rows


def _shared(config: Any) -> str:
    heads = config.num_attention_heads
    shared = getattr(config, "num_key_value_heads", None) or heads
    return "own" if shared == heads else "one" if shared == 1 else "groups"


def _odd_heads(config: Any) -> bool:
    own = getattr(config, "head_dim", None)
    return own is not None and own * config.num_attention_heads != config.hidden_size


def _small(config: Any) -> Any:
    return small_config(config, 300, {"bos": 0, "eos": 1, "pad": 2})


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_small_is_the_same_architecture(model_type: str) -> None:
    config = AutoConfig.for_model(model_type)
    small = _small(config)
    assert small.model_type == model_type
    assert _shared(small) == _shared(config)
    assert _odd_heads(small) == _odd_heads(config)
    assert small.tie_word_embeddings == config.tie_word_embeddings
    assert small.max_position_embeddings == config.max_position_embeddings
    with torch.device("meta"):
        large = AutoModelForCausalLM.from_config(config)
    model = AutoModelForCausalLM.from_config(small)
    assert sum(p.numel() for p in model.parameters()) < 10**6
    names = {name.replace(".1.", ".0.") for name, _ in model.named_parameters()}
    assert names <= {name for name, _ in large.named_parameters()}
    assert model(torch.arange(5)[None]).logits.shape == (1, 5, 300)


def test_small_keeps_what_is_told_of_queries_keys_and_rotation() -> None:
    llama = {"hidden_size": 4096, "num_attention_heads": 32}
    grouped = _small(AutoConfig.for_model("llama", **llama, num_key_value_heads=8))
    assert (grouped.num_attention_heads, grouped.num_key_value_heads) == (4, 2)
    one = _small(AutoConfig.for_model("llama", **llama, num_key_value_heads=1))
    assert one.num_key_value_heads == 1
    assert _small(AutoConfig.for_model("gpt_bigcode", multi_query=False)).multi_query is False
    long = {"rope_type": "longrope", "short_factor": [1.0] * 48, "long_factor": [2.0] * 48}
    long |= {"rope_theta": 10000.0, "original_max_position_embeddings": 4096}
    small = _small(AutoConfig.for_model("phi3", rope_parameters=long))
    assert len(small.rope_parameters["short_factor"]) == 8
    assert AutoModelForCausalLM.from_config(small)(torch.arange(5)[None]).logits.isfinite().all()


def test_families_are_of_known_architectures() -> None:
    for _, model_type, keys in FAMILIES:
        assert model_type in ARCHITECTURES
        config = AutoConfig.for_model(model_type, **keys)
        told = config.to_dict() | config.to_dict().get("rope_parameters", {})
        names = config.attribute_map
        assert {key: told[names.get(key, key)] for key in keys} == keys
    for name in (
        *("codellama/CodeLlama-7b-hf", "meta-llama/Llama-3.2-1B", "Qwen/Qwen3-0.6B-Base"),
        *("bigcode/santacoder", "bigcode/starcoder2-3b", "EleutherAI/gpt-neo-125m", "gpt2"),
        *("microsoft/phi-2", "microsoft/Phi-3-mini-4k-instruct", "google/gemma-2-2b"),
        *("deepseek-ai/deepseek-coder-1.3b-base", "EleutherAI/pythia-70m", "Qwen/Qwen2.5-Coder-7B"),
    ):
        assert family_of(name), name
    assert family_of("someone/unheard-of") is None
    # Where both tables know a model, they say the same.
    for name, keys in PUBLISHED.items():
        found = family_of(name)
        assert found is not None
        assert found[0] == keys["model_type"]
        ours = AutoConfig.for_model(found[0], **found[1])
        theirs = AutoConfig.for_model(**keys)
        assert _shared(ours) == _shared(theirs)
        assert ours.tie_word_embeddings == theirs.tie_word_embeddings


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_shrinks_to_a_valid_one(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path)
    sampled = Sampled(recipe.data.sources, (), (), True)
    base = None if recipe.base.model is None else SmallBase((), 32, True)
    small = shrink(recipe, sampled, base, tmp_path)
    assert small.name == f"{recipe.name}-smoke"
    assert small.experts.train.steps <= 4
    # What an architecture or an artifact depends on is as it was.
    assert small.experts.lora == recipe.experts.lora
    assert small.experts.activation == recipe.experts.activation
    assert (small.merge, small.moe) == (recipe.merge, recipe.moe)
    assert small.eval.models == recipe.eval.models
    assert small.base.quantization == recipe.base.quantization


def _recipe(**changes: Any) -> Recipe:
    tree = {"name": "x", "languages": ["python", "java"], "base": {"model": "builtin"}}
    return make_recipe(tree | changes)


def _small_of(recipe: Recipe) -> Recipe:
    sampled = Sampled(recipe.data.sources, (), (), True)
    return shrink(recipe, sampled, SmallBase((), 32, True), Path("base"))


def test_options_survive_shrinking() -> None:
    train = {"packing": True, "gradient_checkpointing": True, "eval_steps": 50}
    train |= {"gradient_accumulation_steps": 16, "num_processes": 4, "max_length": 700}
    train |= {"load_best_model_at_end": True, "early_stopping_patience": 3}
    gates = {"kind": "noisy-top-k", "num_experts_per_tok": 2, "train_gates": {"load_loss": 0.1}}
    suite = {"path": "s.jsonl", "samples": 200, "temperature": 0.8, "k": [1, 10, 100]}
    small = _small_of(
        _recipe(experts={"train": train}, router=gates, eval={"suites": [suite]}),
    )
    kept = small.experts.train
    assert kept.packing
    assert kept.gradient_checkpointing
    assert kept.load_best_model_at_end
    assert kept.eval_steps == 2
    assert kept.max_length == 700
    assert kept.gradient_accumulation_steps == 2 * kept.num_processes
    assert kept.num_processes == (4 if torch.cuda.is_available() else 2)
    assert small.router.kind == "noisy-top-k"
    assert small.router.train_gates is not None
    assert small.router.train_gates.load_loss == 0.1
    one = small.eval.suites[0]
    assert (one.samples, one.k, one.limit, one.temperature) == (2, (1, 2), 2, 0.8)


def test_alignment_in_small(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", ("python", "java"))
    human = {"path": str(tmp_path / "pairs.jsonl")}
    pair = {"prompt": "add", "chosen": "a + b", "rejected": "a - b", "language": "python"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    source = {"kind": "rows", "path": str(tmp_path / "a.jsonl")}
    base = SmallBase((), 32, True)

    def small(align: dict[str, Any], *sources: dict[str, Any]) -> Any:
        recipe = _recipe(align=align, data={"sources": list(sources)})
        sampled = sample_sources(recipe, tmp_path)
        assert recipe.align is not None
        (tmp_path / "made").mkdir(exist_ok=True)
        found, _ = small_align(recipe, recipe.align, sampled.rows, tmp_path / "made")
        return shrink(recipe, sampled, base, tmp_path, found).align

    made = small({"human": [human]}, source)
    assert [Path(h.path).parent.name for h in made.human] == [tmp_path.name, "made"]
    assert made.samples_per_task == 2
    # No tests and nobody's pairs: the real run stops, and so does the smoke run.
    assert small({}, source).human == ()
    rewarded = small({"method": "grpo", "samples_per_task": 16}, source, {"kind": "corpus"})
    assert rewarded.human == ()
    assert (rewarded.samples_per_task, rewarded.train.batch_size) == (2, 2)
    with pytest.raises(UserError, match="no key 'chosen'"):
        small(
            {"human": [{"path": str(tmp_path / "a.jsonl"), "fields": {"prompt": "text"}}]}, source
        )


def test_layers_of_the_router_stay_within_or_without() -> None:
    assert _small_of(_recipe(router={"from_layer": 20})).router.from_layer == 1
    assert _small_of(_recipe(router={"from_layer": 32})).router.from_layer == 32


@pytest.mark.parametrize(
    ("languages", "number", "told"),
    [
        (("python",), 20, "20 python rows, all it has"),
        # Java never comes, so that the file is read to its end; its first rows are taken.
        (("python",), 300, "48 python rows, the first of each language"),
        (("python", "java"), 300, "48 java, 48 python rows, the first of each language"),
    ],
)
def test_what_is_told_of_a_source(
    languages: tuple[str, ...], number: int, told: str, tmp_path: Path
) -> None:
    write_rows(tmp_path / "a.jsonl", languages, number)
    source = {"kind": "rows", "path": str(tmp_path / "a.jsonl")}
    recipe = _recipe(data={"sources": [source, {"kind": "corpus"}]})
    assert sample_sources(recipe, tmp_path).notes[0] == f"of {tmp_path / 'a.jsonl'}: {told}"


def test_samples_are_the_first_rows_of_each_language_and_source(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.jsonl", ("python", "java"), 300)
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    odd = {"language": "python", "text": "odd", "code": "x" * 9000, "group": "o"}
    (tmp_path / "a.jsonl").write_text("\n".join([json.dumps(odd), *lines]))
    source = {"kind": "rows", "path": str(tmp_path / "a.jsonl")}
    corpus = {"kind": "corpus", "tasks": 900}
    sampled = sample_sources(_recipe(data={"sources": [source, corpus]}), tmp_path)
    written = [json.loads(x) for x in (tmp_path / "source-0.jsonl").read_text().splitlines()]
    assert [row["language"] for row in written].count("java") == 48
    # One that a filter drops comes along, so that dropped.csv is not empty by chance.
    assert written[0]["text"] == "odd"
    assert len(written) == 97
    assert {row["source"] for row in written} == {"a"}
    assert [s.kind for s in sampled.sources] == ["rows", "corpus"]
    assert sampled.sources[1].tasks == 60
    assert sampled.parsable


def test_the_corpus_stands_in_for_a_hub_data_set(tmp_path: Path) -> None:
    source = {"kind": "stack", "path": "bigcode/the-stack-dedup"}
    recipe = _recipe(languages=["python", "rust"], data={"sources": [source]})
    sampled = sample_sources(recipe, tmp_path)
    assert "cannot be reached: rows of the built-in corpus stand in" in sampled.notes[0]
    assert "C++ programs" in sampled.notes[0]
    assert not sampled.parsable
    assert {row.language for row in sampled.rows} == {"python", "rust"}
    assert {row.source for row in sampled.rows} == {"the-stack"}


@pytest.mark.parametrize("model_type", ["qwen2", "gpt_neo", "gpt_bigcode", "phi", "gemma"])
def test_a_small_base_of_a_folder(model_type: str, tmp_path: Path) -> None:
    from codemoe.models.load import load_base
    from codemoe.models.reference import BaseReference

    save_checkpoint(tiny_model(model_type), tmp_path / "real")
    recipe = _recipe(base={"model": str(tmp_path / "real")})
    made = write_small_base(recipe.base, (), 0, tmp_path / "small")
    assert made.own_tokenizer
    assert made.num_layers == 2
    loaded = load_base(BaseReference(str(tmp_path / "small")))
    assert loaded.model.config.model_type == model_type
    assert loaded.model.config.vocab_size == 400


@pytest.mark.parametrize(
    "name", ["Qwen/Qwen3-0.6B", "google/gemma-2-2b", "EleutherAI/gpt-neo-125m"]
)
def test_a_small_base_of_a_family(name: str, tmp_path: Path) -> None:
    from codemoe.models.load import load_base
    from codemoe.models.reference import BaseReference

    write_rows(tmp_path / "a.jsonl", ("python", "java"))
    source = {"kind": "rows", "path": str(tmp_path / "a.jsonl")}
    sampled = sample_sources(_recipe(data={"sources": [source]}), tmp_path)
    made = write_small_base(_recipe(base={"model": name}).base, sampled.rows, 0, tmp_path / "small")
    assert not made.own_tokenizer
    load_base(BaseReference(str(tmp_path / "small")))
