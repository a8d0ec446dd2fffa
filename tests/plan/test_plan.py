"""The plan's counts are those of the real models; what fits is said before anything is loaded.

Run with: pytest tests/plan
"""

import json
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig

from codemoe.plan.shape import adapter_parameters, find_config, shape_of
from codemoe.plan.stages import StagePlan, plan_recipe
from codemoe.recipe import BaseConfig, LoraConfig, Recipe
from codemoe.recipe_file import load_recipe, make_recipe
from codemoe.train.full_mlp import wrap
from codemoe.train.sharding import trained
from tests.conftest import Finished
from tests.models.tiny import CONFIGS, peft_model, save_checkpoint, tiny_model

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"


@pytest.mark.parametrize("model_type", sorted(CONFIGS))
def test_parameters_are_the_models(model_type: str, tmp_path: Path) -> None:
    model = tiny_model(model_type)
    base = save_checkpoint(model, tmp_path / "base")
    shape = shape_of(AutoConfig.from_pretrained(base), "here")
    assert shape.total == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("target", ["mlp", "attention", "both"])
def test_adapter_parameters_are_pefts(target: str, tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    wrapped = peft_model(base, {"default": (target, 3)})
    expected = sum(p.numel() for name, p in wrapped.named_parameters() if "lora_" in name)
    config, _ = find_config(BaseConfig(model=str(base)))
    assert adapter_parameters(config, LoraConfig(rank=3, target=target)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("model_type", sorted(CONFIGS))
def test_whole_mlps_are_what_is_trained(model_type: str, tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model(model_type), tmp_path / "base")
    config, _ = find_config(BaseConfig(model=str(base)))
    expected = sum(p.numel() for p in trained(wrap(tiny_model(model_type))).values())
    assert adapter_parameters(config, "mlps") == expected


def test_a_recipe_of_whole_mlps_is_planned() -> None:
    tree = {"name": "x", "base": {"model": "builtin"}, "experts": {"method": "full"}}
    full = plan_recipe(make_recipe(tree))
    lora = plan_recipe(make_recipe(tree | {"experts": {}}))
    assert full.active_parameters == full.base.total
    assert full.mixture_parameters == full.base.total + 4 * full.expert_parameters
    assert full.expert_parameters > lora.expert_parameters
    at = {stage.stage: i for i, stage in enumerate(full.stages)}
    for stage in ("moe", "eval"):
        assert full.stages[at[stage]].cpu_bytes > lora.stages[at[stage]].cpu_bytes


def test_a_published_config_stands_in_for_the_hub() -> None:
    config, found = find_config(BaseConfig(model="mistralai/Mistral-7B-v0.1"))
    assert shape_of(config, found).total == 7_241_732_096
    assert "published" in found


def test_the_command(codemoe: Callable[..., Finished]) -> None:
    done = codemoe("plan", RECIPES / "mistral-7b-4lang.yaml", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    text = json.dumps(told)
    for stage in ("data", "base", "experts", "merge", "moe", "router", "eval", "report"):
        assert stage in text
    codemoe("plan", RECIPES / "demo.yaml", "base.model=/nowhere/at/all").user_error("/nowhere")


def test_the_page_says_what_the_command_says() -> None:
    """Mended by scripts/update_plan_doc.py."""
    spec = spec_from_file_location("update_plan_doc", ROOT / "scripts" / "update_plan_doc.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    lines = script.DOCUMENT.read_text(encoding="utf-8").split("\n")
    table = lines[lines.index(script.BEGIN) + 1 : lines.index(script.END)]
    assert [line.split("]")[0].removeprefix("| [") for line in table[2:]] == script.RECIPES
    assert script.row("demo-fast") in table


def test_alignment_is_planned_where_the_recipe_has_it(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")

    def stage(**align: object) -> StagePlan | None:
        tree = {"name": "x", "base": {"model": str(base)}} | ({"align": align} if align else {})
        found = plan_recipe(Recipe.model_validate(tree)).stages
        return next((one for one in found if one.stage == "align"), None)

    assert stage() is None
    small, large = stage(max_tasks=10), stage(max_tasks=100)
    pairs = stage(max_tasks=10, train={"batch_size": 64})
    assert small is not None
    assert large is not None
    assert pairs is not None
    assert large.work.flops > 5 * small.work.flops
    assert "320 answers" in small.note
    assert pairs.cpu_bytes > small.cpu_bytes


def test_a_4bit_base_is_made_from_the_whole_checkpoint(tmp_path: Path) -> None:
    """Without a GPU its files are in memory while it is made: that is the most, on few tokens."""
    save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    keys = [f"base.model={tmp_path / 'base'}", "experts.train.max_length=16"]
    keys += ["experts.lora.rank=1", "experts.train.batch_size=1"]
    whole = plan_recipe(load_recipe(RECIPES / "mistral-7b-4lang.yaml", keys))
    files = (tmp_path / "base" / "model.safetensors").stat().st_size
    by_name = {stage.stage: stage for stage in whole.stages}
    assert by_name["moe"].cpu_bytes > files
    assert by_name["moe"].gpu_bytes < files
    keys.append("base.quantization=none")
    plain = plan_recipe(load_recipe(RECIPES / "mistral-7b-4lang.yaml", keys))
    assert next(s for s in plain.stages if s.stage == "merge").cpu_bytes == (
        by_name["merge"].cpu_bytes
    )


@pytest.mark.parametrize(("tied", "dtype"), [(False, "float32"), (True, "float32"), (False, None)])
def test_embeddings_that_are_mapped_and_hardly_read(tied: bool, dtype: str | None) -> None:
    config = tiny_model("mistral", tie_word_embeddings=tied).config
    config.dtype = dtype and getattr(torch, dtype)
    shape = shape_of(config, "here")
    table = 4.0 * config.vocab_size * config.hidden_size
    assert shape.unread_bytes == (table if not tied and dtype else 0)
    assert shape.stored_bytes == 4.0 * shape.total
