"""The `moe` stage: put the experts under a router, the base by reference."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

from codemoe.artifacts import Redo, run_stage
from codemoe.recipe import Recipe


def run(recipe: Recipe, *, redo: Redo = "never") -> bool:
    """Make `moe/`; True when it was made, False when it was there already."""
    run_dir = recipe.run_dir
    experts = list(recipe.expert_filters)
    return run_stage(
        run_dir / "moe",
        "moe",
        {
            "moe": recipe.moe.model_dump(mode="json"),
            "experts": experts,
            "expert_of_language": recipe.expert_of_language(),
            "seed": recipe.seed,
        },
        {"base": run_dir / "base"} | recipe.expert_inputs,
        lambda out: _assemble(recipe, out),
        seed=recipe.seed,
        redo=redo,
    )


def _assemble(recipe: Recipe, out: Path) -> None:
    """Copy the experts, or their MLPs' part; write `moe.json` and token gates yet to be fitted."""
    import torch

    from codemoe.models.kept_parts import copy_expert
    from codemoe.models.load import MOE_FILE, load_experts, read_config
    from codemoe.models.model_card import read_training, write_card
    from codemoe.models.reference import REFERENCE, read_reference
    from codemoe.models.routers_file import ROUTER_FILE, save_routers
    from codemoe.routing.init import orthogonal_gate
    from codemoe.routing.routers import LinearRouter

    base_dir = recipe.run_dir / "base"
    reference = read_reference(base_dir)
    entries = []
    sources = recipe.expert_dirs
    model_type = str(read_config(reference).model_type)
    left_out = {}
    for name, source in sources.items():
        left = copy_expert(source, out / "experts" / name, recipe.moe.parts, model_type)
        if left is not None:
            left_out[name] = asdict(left)
        entries.append({"name": name, "path": f"experts/{name}"})
    about = read_training(list(sources.values()))
    write_card(
        out,
        reference,
        title=f"{recipe.name}: a mixture of experts",
        languages=tuple(recipe.expert_of_language()),
        library="codemoe",
        kind="mixture-of-experts",
        what=f"A mixture of {len(entries)} {recipe.experts.kind} experts "
        f"({', '.join(recipe.expert_filters)}) that act as `{recipe.moe.activation}`, under a "
        "router.",
        licenses=about.licenses,
    )
    # A base that was trained in this run moves with it; any other is named as the recipe names it.
    inside = not (base_dir / REFERENCE).is_file()
    model_name = os.path.join("..", "base") if inside else reference.model
    description = {
        "base": asdict(replace(reference, model=model_name)),
        "experts": entries,
        "expert_of_language": recipe.expert_of_language(),
        "activation": recipe.moe.activation,
    } | ({"left_out": left_out} if left_out else {})
    (out / MOE_FILE).write_text(json.dumps(description, indent=2) + "\n")
    # Loading proves that every expert fits the base before this artifact is called finished.
    model = load_experts(
        reference,
        {entry["name"]: out / entry["path"] for entry in entries},
        recipe.moe.activation,
    )
    config = model.model.config
    generator = torch.Generator().manual_seed(recipe.seed)
    gates = []
    # Token gates read the MLP's input: they cannot steer experts in attention.
    for _ in range(config.num_hidden_layers if recipe.steered_by_tokens else 0):
        weight_ED = orthogonal_gate(len(entries), config.hidden_size, generator)
        gates.append(LinearRouter(weight_ED))
    save_routers(out / ROUTER_FILE, list(recipe.expert_filters), None, gates)
