"""The models an evaluation compares, one row each: made of what, opened and asked how."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from codemoe.data.rows import Row
from codemoe.eval_config import ModelName
from codemoe.recipe import DENSE, Recipe

if TYPE_CHECKING:
    from codemoe.models.generate import Route
    from codemoe.models.load import CodeModel

Inputs = dict[str, Path]


@dataclass(frozen=True)
class Contender:
    """One compared model."""

    inputs: Callable[[Recipe], Inputs]  # the finished stages it is made of, by role
    open: Callable[[Recipe], "CodeModel"]
    route: Callable[[Sequence[str]], "Route"]  # how it answers rows of these experts
    routers: Literal["none", "sequence", "token"] = "none"  # that choose while it runs
    needs_own_expert: bool = False  # and so cannot answer a language that has none


def _base_inputs(recipe: Recipe) -> Inputs:
    return {"base": recipe.run_dir / "base"}


def _expert_inputs(recipe: Recipe) -> Inputs:
    return _base_inputs(recipe) | recipe.expert_inputs


def _dense_inputs(recipe: Recipe) -> Inputs:
    return _base_inputs(recipe) | {"dense": recipe.run_dir / "experts" / "dense-all"}


def _mixture_inputs(recipe: Recipe) -> Inputs:
    return {"moe": recipe.run_dir / "moe", "router": recipe.run_dir / "router"}


def _routed_inputs(recipe: Recipe) -> Inputs:
    """No router's choice is asked for, so runs with other routers share it; experts that were
    trained with the gates lie beside those."""
    if _trains_experts(recipe):
        return _mixture_inputs(recipe)
    return {"moe": recipe.run_dir / "moe"}


def _trains_experts(recipe: Recipe) -> bool:
    gates = recipe.router.train_gates
    return gates is not None and gates.experts


def _open_base(recipe: Recipe) -> "CodeModel":
    from codemoe.models.load import load_base
    from codemoe.models.reference import read_reference

    return load_base(read_reference(recipe.run_dir / "base"))


def _open_adapters(folders: Callable[[Recipe], Inputs]) -> Callable[[Recipe], "CodeModel"]:
    def opened(recipe: Recipe) -> "CodeModel":
        from codemoe.models.load import attach_experts

        return attach_experts(_open_base(recipe), folders(recipe), "all")

    return opened


def _open_mixture(recipe: Recipe) -> "CodeModel":
    from codemoe.models.load import load_mixture
    from codemoe.models.routers_file import ROUTER_FILE

    return load_mixture(recipe.run_dir / "moe", recipe.run_dir / "router" / ROUTER_FILE)


def _open_routed(recipe: Recipe) -> "CodeModel":
    from codemoe.models.load import load_mixture

    if _trains_experts(recipe):
        return _open_mixture(recipe)

    return load_mixture(recipe.run_dir / "moe")


def _merged(method: str) -> Contender:
    def opened(recipe: Recipe) -> "CodeModel":
        from codemoe.models.load import load_base
        from codemoe.models.reference import read_reference

        return load_base(read_reference(recipe.run_dir / "merged" / method))

    return Contender(
        lambda recipe: {"merged": recipe.run_dir / "merged" / method}, opened, _by("none")
    )


def _by(how: Literal["none", "sequence", "token"]) -> Callable[[Sequence[str]], "Route"]:
    def route(own: Sequence[str]) -> "Route":
        from codemoe.models.generate import Route

        return Route(how)

    return route


def _own(activation: str | None) -> Callable[[Sequence[str]], "Route"]:
    def route(own: Sequence[str]) -> "Route":
        from codemoe.models.generate import Route

        return Route("named", tuple(own), activation)

    return route


def _dense_route(own: Sequence[str]) -> "Route":
    from codemoe.models.generate import Route

    return Route("named", ("dense-all",) * len(own), "all")


CONTENDERS: dict[ModelName, Contender] = {
    "base": Contender(_base_inputs, _open_base, _by("none")),
    # Alone, an expert is a plain LoRA: it acts on all tokens.
    "expert": Contender(
        _expert_inputs,
        _open_adapters(lambda recipe: recipe.expert_dirs),
        _own("all"),
        needs_own_expert=True,
    ),
    "merged-ties": _merged("ties"),
    "merged-average": _merged("average"),
    "merged-slerp": _merged("slerp"),
    "dense-all": Contender(
        _dense_inputs,
        _open_adapters(lambda recipe: {DENSE: recipe.run_dir / "experts" / DENSE}),
        _dense_route,
    ),
    "moe-token": Contender(_mixture_inputs, _open_mixture, _by("token"), "token"),
    "moe-sequence": Contender(_mixture_inputs, _open_mixture, _by("sequence"), "sequence"),
    "moe-oracle": Contender(_routed_inputs, _open_routed, _own(None), needs_own_expert=True),
}


def unavailable(name: str, recipe: Recipe) -> str | None:
    """Why a contender cannot exist under this recipe, or None."""
    if name == "dense-all" and not recipe.experts.dense_baseline:
        return "experts.dense_baseline is off"
    if name.startswith("merged-") and name.removeprefix("merged-") not in recipe.merge.methods:
        return "merge.methods leaves it out"
    if name == "moe-token" and not recipe.steered_by_tokens:
        return "token gates read the MLP's input, so they cannot steer experts in attention"
    return None


def own_experts(recipe: Recipe, rows: Sequence[Row]) -> tuple[str, ...]:
    """The expert that each row belongs to; rows that belong to none have been left out before."""
    found = [recipe.own_expert(row.language, row.source) for row in rows]
    return tuple(name for name in found if name is not None)
