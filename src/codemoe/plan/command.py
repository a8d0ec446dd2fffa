"""`codemoe plan` as one JSON object and as a page."""

import shutil
from pathlib import Path
from typing import Any

from codemoe.plan.devices import BANDWIDTH_SHARE, DEVICES, UTILISATION, fit
from codemoe.plan.stages import RecipePlan, plan_recipe
from codemoe.recipe import Recipe


def make_plan(recipe: Recipe) -> dict[str, Any]:
    """Everything that `codemoe plan` prints; sizes in bytes."""
    plan = plan_recipe(recipe)
    fits = [fit(recipe, plan, device) for device in DEVICES]
    return {
        "name": recipe.name,
        "base": {
            "config": plan.base.found,
            "model_type": plan.base.config.model_type,
            "layers": plan.base.num_layers,
            "hidden_size": plan.base.hidden_size,
        },
        "parameters": {
            "base": plan.base.total,
            "an_expert": plan.expert_parameters,
            "experts": plan.num_experts,
            "mixture": plan.mixture_parameters,
            "active_a_token": plan.active_parameters,
        },
        "stages": [
            {
                "stage": stage.stage,
                "gpu_bytes": round(stage.gpu_bytes),
                "cpu_bytes": round(stage.cpu_bytes),
                "disk_bytes": round(stage.disk),
                "disk_while_running_bytes": round(stage.disk_while_running),
                "flops": stage.work.flops,
                "gpu_hours": {str(d.memory_gib): d.hours(stage) for d in DEVICES},
                "note": stage.note,
            }
            for stage in plan.stages
        ],
        "disk": _disk(recipe, plan),
        "fits": [
            {
                "memory_gib": one.device.memory_gib,
                "for_example": one.device.name,
                "fits": not one.too_large,
                "gpu_hours": one.hours,
                "too_large": list(one.too_large),
                "change": list(one.change),
                "fits_then": not one.too_large or one.mended,
                "still_too_large": list(one.still_too_large),
            }
            for one in fits
        ],
        "assumed": {"utilisation": UTILISATION, "bandwidth_share": BANDWIDTH_SHARE},
    }


def _disk(recipe: Recipe, plan: RecipePlan) -> dict[str, Any]:
    kept = sum(stage.disk for stage in plan.stages)
    most = kept + max(stage.disk_while_running for stage in plan.stages)
    place = recipe.run_dir
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return {"kept_bytes": round(kept), "at_most_bytes": round(most), "free_bytes": free}


def free_disk_note(plan: dict[str, Any], runs_dir: str) -> str:
    """One line: whether the disk is large enough."""
    most, free = plan["disk"]["at_most_bytes"], plan["disk"]["free_bytes"]
    what = f"disk: {most / 1e9:,.2f} GB at most, {free / 1e9:,.1f} GB free in {Path(runs_dir)}"
    return what if most <= free else f"{what}: not enough; give another folder, runs_dir=..."
