"""The shipped base: small, complete, and trained on nothing that the demo tests on."""

import json
from pathlib import Path

import pytest

from codemoe.data.corpus.build import distinct_tasks, tasks_of
from codemoe.data.rows import Row
from codemoe.data.split import split_groups
from codemoe.models.reference import builtin_base
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def _split(recipe: Recipe, groups: list[str]) -> dict[str, set[str]]:
    rows = [Row(g, g, "python", g, g, "corpus", "Apache-2.0") for g in groups]
    fractions = {"valid": recipe.data.valid_fraction, "test": recipe.data.test_fraction}
    fractions["train"] = 1 - sum(fractions.values())
    splits = split_groups(rows, fractions, recipe.data.split_seed)
    return {name: {row.group for row in some} for name, some in splits.items()}


@pytest.fixture(scope="module")
def groups() -> list[str]:
    return [task.group for task in distinct_tasks(["array_reduce", "digits", "sorting"])]


@pytest.mark.parametrize("name", ["demo.yaml", "demo-fast.yaml"])
def test_the_base_has_not_seen_the_demos_test_problems(name: str, groups: list[str]) -> None:
    base = load_recipe(RECIPES / "builtin-base.yaml")
    demo = load_recipe(RECIPES / name)
    trained_on, tested_on = _split(base, groups)["train"], _split(demo, groups)["test"]
    assert trained_on
    assert tested_on
    assert not trained_on & tested_on
    data = base.data.model_copy(update={"split_seed": 1})
    other = _split(base.model_copy(update={"data": data}), groups)["train"]
    assert other & tested_on  # the wrong twin: another seed would leak


def test_groups_are_stable_names() -> None:
    """Splits go by group name: the names of a family must not depend on the other families."""
    alone = [task.group for task in tasks_of("digits")]
    assert len(set(alone)) == len(alone)
    assert all(group.startswith("digits/") for group in alone)


def test_the_checkpoint_is_complete_and_small() -> None:
    folder = builtin_base()
    names = {file.name for file in folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 8 * 2**20
    assert json.loads((folder / "config.json").read_text())["model_type"] == "mistral"
    assert "make builtin-base" in (folder / "README.md").read_text()
