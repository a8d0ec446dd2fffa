"""The models an evaluation compares: how each is opened and how it is asked to route."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codemoe.data.rows import Row
from codemoe.recipe import Recipe

if TYPE_CHECKING:
    from codemoe.models.generate import Route
    from codemoe.models.load import CodeModel


@dataclass(frozen=True)
class Contender:
    """One compared model: the finished stages it is made of, by role."""

    name: str
    inputs: dict[str, Path]


def contender(name: str, recipe: Recipe) -> Contender:
    run_dir = recipe.run_dir
    base = {"base": run_dir / "base"}
    experts = {f"experts/{e}": run_dir / "experts" / e for e in recipe.expert_filters}
    mixture = {"moe": run_dir / "moe", "router": run_dir / "router"}
    inputs = {
        "base": base,
        "expert": base | experts,
        "merged-ties": {"merged": run_dir / "merged" / "ties"},
        "merged-average": {"merged": run_dir / "merged" / "average"},
        "dense-all": base | {"dense": run_dir / "experts" / "dense-all"},
    }.get(name, mixture)
    return Contender(name, {"data": run_dir / "data"} | inputs)


def unavailable(name: str, recipe: Recipe) -> str | None:
    """Why a contender cannot exist under this recipe, or None."""
    if name == "dense-all" and not recipe.experts.dense_baseline:
        return "experts.dense_baseline is off"
    if name.startswith("merged-") and name.removeprefix("merged-") not in recipe.merge.methods:
        return "merge.methods leaves it out"
    if name == "moe-token" and recipe.experts.lora.target != "mlp":
        return "token gates read the MLP's input, so they cannot steer experts in attention"
    return None


def open_contender(name: str, recipe: Recipe) -> "CodeModel":
    """Load a contender from its finished stages."""
    from codemoe.models.load import attach_experts, load_base, load_mixture
    from codemoe.models.reference import read_reference
    from codemoe.models.routers_file import ROUTER_FILE

    run_dir = recipe.run_dir
    if name.startswith("merged-"):
        return load_base(read_reference(run_dir / "merged" / name.removeprefix("merged-")))
    if name.startswith("moe-"):
        return load_mixture(run_dir / "moe", run_dir / "router" / ROUTER_FILE)
    base = load_base(read_reference(run_dir / "base"))
    if name == "base":
        return base
    names = ["dense-all"] if name == "dense-all" else list(recipe.expert_filters)
    return attach_experts(base, {n: run_dir / "experts" / n for n in names}, "all")


def own_experts(recipe: Recipe, rows: Sequence[Row]) -> tuple[str, ...]:
    """The expert that each row belongs to; rows that belong to none have been left out before."""
    found = [recipe.own_expert(row.language, row.source) for row in rows]
    return tuple(name for name in found if name is not None)


def route_for(name: str, recipe: Recipe, rows: Sequence[Row]) -> "Route":
    """How `name` answers these rows."""
    from codemoe.models.generate import Route

    own = own_experts(recipe, rows)
    if name == "expert":
        # Alone, an expert is a plain LoRA: it acts on all tokens.
        return Route("named", own, "all")
    if name == "dense-all":
        return Route("named", ("dense-all",) * len(rows), "all")
    if name == "moe-oracle":
        return Route("named", own)
    if name == "moe-sequence":
        return Route("sequence")
    if name == "moe-token":
        return Route("token")
    return Route("none")
