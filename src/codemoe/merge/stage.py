"""The `merge` stage: dense merges of the experts, one checkpoint a method."""

from pathlib import Path
from typing import Any

from codemoe.artifacts import Redo, run_stage
from codemoe.recipe import Recipe


def run(recipe: Recipe, *, redo: Redo = "never") -> bool:
    """Make `merged/<method>/`; True when any was made."""
    run_dir = recipe.run_dir
    experts = list(recipe.expert_filters)
    made = False
    for name in recipe.merge.methods:

        def work(out: Path, name: str = name) -> None:
            from codemoe.merge.dense import merge_adapters, method_recipe
            from codemoe.models.model_card import read_training, write_card
            from codemoe.models.reference import check_content, read_reference, resolve
            from codemoe.models.storage.hub import snapshot

            reference = read_reference(run_dir / "base")
            check_content(reference)
            folder = Path(resolve(reference.model))
            if not folder.is_dir():
                folder = snapshot(reference.model, reference.revision, "the run's base")
            folders = list(recipe.expert_dirs.values())
            merge_adapters(
                folder,
                folders,
                method_recipe(name, len(experts), recipe.merge.density, recipe.merge.weight),
                out,
                name,
            )
            about = read_training(folders)
            write_card(
                out,
                reference,
                title=f"{recipe.name}: its experts merged by {name}",
                languages=about.languages,
                library="transformers",
                kind="merge",
                what=f"{len(experts)} experts ({', '.join(experts)}) merged into one dense model.",
                licenses=about.licenses,
            )

        config: dict[str, Any] = {"method": name, "experts": experts}
        if name == "ties":
            config |= {"merge": {"density": recipe.merge.density, "weight": recipe.merge.weight}}
        made |= run_stage(
            run_dir / "merged" / name,
            "merged",
            config,
            {"base": run_dir / "base"} | recipe.expert_inputs,
            work,
            seed=recipe.seed,
            redo=redo,
        )
    return made
