"""From a mixture's recipe and opened models to its tensors: trunk, gates and experts of each layer,
under the names that a stock Mixtral or Qwen-MoE has on disk."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from codemoe.errors import UserError
from codemoe.merge.assemble.recipe import Expert, MoeRecipe
from codemoe.merge.compatible import signature
from codemoe.merge.model import HEAD, Model
from codemoe.merge.sources import Source
from codemoe.merge.work import Work
from codemoe.models.export.families import FAMILIES, Family, family_of
from codemoe.models.storage.copy import copied
from codemoe.models.storage.dtypes import from_float32
from codemoe.models.storage.write import Tensor

_DOWN = "down_proj"  # whose output is added to the residual stream
_SHARED = "mlp.shared_expert"


def family_for(recipe: MoeRecipe, base: Model) -> tuple[str, Family]:
    """The format and the row for a base; `architecture` of the recipe may name the format."""
    model_type = base.config.get("model_type")
    fitting = [to for to, rows in FAMILIES.items() if model_type in rows and to != "gguf"]
    if recipe.architecture:
        wanted = recipe.architecture.lower().replace("_", "-").replace(" ", "-")
        named = [to for to in ("mixtral", "qwen-moe") if to.startswith(wanted.rstrip("23"))]
        if not named:
            raise UserError(
                f"architecture {recipe.architecture!r} is not supported", "mixtral or qwen"
            )
        fitting = [to for to in fitting if to in named]
    if not fitting:
        known = sorted({row for to in ("mixtral", "qwen-moe") for row in FAMILIES[to]})
        wanted = f" as {recipe.architecture}" if recipe.architecture else ""
        raise UserError(
            f"a {model_type} base cannot become a sparse checkpoint{wanted}",
            f"bases: {', '.join(known)}; llama and mistral become Mixtral, qwen2 and qwen3 "
            "Qwen-MoE",
        )
    _check_sizes(base)
    family = family_of(fitting[0], base.config)
    shared = len(recipe.shared_experts or ())
    if shared and (family.model_type != "qwen2_moe" or shared > 1):
        raise UserError(
            f"{family.architecture} has no place for {shared} shared experts",
            "leave out shared_experts; a Qwen2 base takes one",
        )
    return fitting[0], family


def _check_sizes(base: Model) -> None:
    """Raise for a base whose config lacks what the mixture's needs, or does not fit its weights."""
    for key in ("hidden_size", "intermediate_size", "num_attention_heads"):
        if not isinstance(base.config.get(key), int):
            raise UserError(
                f"{base.folder / 'config.json'}: {key} is {base.config.get(key)!r}; expected a "
                "whole number"
            )
    embedding = base.tensors.get(base.embedding or "")
    if embedding is None:
        raise UserError(f"{base.text} has no embedding under a known name")
    if embedding.shape[-1] != base.config["hidden_size"]:
        raise UserError(
            f"{base.text}: config.json says hidden_size {base.config['hidden_size']}, but the rows "
            f"of {embedding.name} have {embedding.shape[-1]} numbers",
            "check that config.json and the weights belong together",
        )


def tensors(
    recipe: MoeRecipe,
    family: Family,
    base: Model,
    experts: Sequence[Model],
    shared: Model | None,
    gates: Sequence[np.ndarray],
    work: Work,
) -> list[Tensor]:
    """The mixture's tensors in order. Raises UserError for what has no place in it."""
    _check_complete(family, base, [*experts, *([shared] if shared else [])])
    return list(_tensors(recipe, family, base, experts, shared, gates, work))


def _check_complete(family: Family, base: Model, models: Sequence[Model]) -> None:
    """Raise for a tensor that the mixture would leave out: one of an expert that the base lacks, or
    one of a projection besides its weight, such as a bias."""
    tied = bool(signature(base)["tie_word_embeddings"])
    projections = tuple(f".{projection}." for projection in family.experts)
    for model in (base, *models):
        lost = [n for n in model.tensors if n not in base.tensors and not (tied and n == HEAD)]
        if lost:
            raise UserError(
                f"{model.text} has the tensor {lost[0]}, which the base {base.text} has not"
                + (f", and {len(lost) - 1} more" if lost[1:] else ""),
                "use checkpoints of one architecture, saved alike",
            )
        for name in model.tensors:
            if any(part in name for part in projections) and not name.endswith(".weight"):
                raise UserError(
                    f"{model.text} has the tensor {name}, for which {family.architecture} has no "
                    "place",
                    "use checkpoints without it",
                )


def _tensors(
    recipe: MoeRecipe,
    family: Family,
    base: Model,
    experts: Sequence[Model],
    shared: Model | None,
    gates: Sequence[np.ndarray],
    work: Work,
) -> Iterator[Tensor]:
    mlps = tuple(f"{projection}." for projection in family.experts)
    prefix, count = base.layers
    tied = bool(signature(base)["tie_word_embeddings"])
    for name in base.tensors:
        layer = base.layer_of(name)
        within = name.removeprefix(f"{prefix}{layer}.")
        if (layer is not None and within.startswith(mlps)) or (tied and name == HEAD):
            continue
        source = base.source(work.files, name)
        assert source is not None
        yield _from(source, name, work.dtype or source.dtype, work)
    for layer in range(count):
        at = f"{prefix}{layer}."
        first = _source(base, f"{at}{next(iter(family.experts))}.weight", work)
        dtype = work.dtype or first.dtype
        gate_ED = gates[layer][: len(experts)]
        yield _given(f"{at}{family.gate}", gate_ED, dtype)
        if shared is not None:
            assert recipe.shared_experts
            rows = gates[layer][len(experts) :]
            # Without a row of its own the shared expert is always half on: sigmoid(0).
            row_1D = rows if len(rows) else np.zeros((1, gate_ED.shape[1]), np.float32)
            yield _given(f"{at}mlp.shared_expert_gate.weight", row_1D, dtype)
            for projection in family.experts:
                name = f"{at}{_SHARED}.{projection.rpartition('.')[2]}.weight"
                source = _source(shared, f"{at}{projection}.weight", work)
                yield _expert(name, source, recipe.shared_experts[0], projection, dtype, work)
        else:
            for name, shape in family.zeros(base.config).items():
                yield _given(f"{at}{name}", np.zeros(shape, np.float32), dtype)
        for number, (expert, model) in enumerate(zip(recipe.experts, experts, strict=True)):
            for projection, new_name in family.experts.items():
                source = _source(model, f"{at}{projection}.weight", work, base)
                name = at + new_name.format(number)
                yield _expert(name, source, expert, projection, dtype, work)


def _source(model: Model, name: str, work: Work, base: Model | None = None) -> Source:
    """A projection of an MLP; with `base`, of the same shape as there."""
    source = model.source(work.files, name)
    if source is None:
        raise UserError(
            f"{model.text} has no tensor {name}",
            "use checkpoints whose tensors are named as transformers names them",
        )
    expected = base.tensors[name].shape if base and name in base.tensors else source.shape
    if source.shape != expected:
        raise UserError(
            f"{name} is {list(source.shape)} in {model.text}, but {list(expected)} in the base",
            "use experts of the base's shape",
        )
    return source


def _expert(
    name: str, source: Source, expert: Expert, projection: str, dtype: str, work: Work
) -> Tensor:
    """One projection of an expert: as it is, but for mergekit's noise and scale of residuals."""
    scale = 1.0
    if expert.residual_scale is not None and projection.endswith(_DOWN):
        scale = expert.residual_scale
    return _from(source, name, dtype, work, scale, expert.noise_scale or 0.0)


def _from(
    source: Source, name: str, dtype: str, work: Work, scale: float = 1.0, noise: float = 0.0
) -> Tensor:
    """(source + noise) * scale; the stored bytes where that is what they are already."""
    if source.stored is not None and source.dtype == dtype and scale == 1 and not noise:
        return copied(work.files, source.stored, name)
    # Most mixtures are copies alone, and the methods of merging take a while to import.
    from codemoe.merge.assemble.computed import noisy, scaled

    if noise:
        return noisy(name, source, scale, noise, dtype, work)
    return scaled(name, source, scale, dtype, work)


def _given(name: str, values: np.ndarray, dtype: str) -> Tensor:
    values = np.ascontiguousarray(values, np.float32)

    def pieces() -> Iterator[np.ndarray]:
        yield from_float32(values.reshape(-1), dtype)

    return Tensor(name, dtype, values.shape, pieces)


def outside_mlps(
    family: Family, base: Model, model: Model, differs: Callable[[Model, Model, str], bool]
) -> list[str]:
    """Tensors of an expert that differ from the base's and have no place in the mixture."""
    mlps = tuple(f".{projection}." for projection in family.experts)
    others = [name for name in base.tensors if not any(mlp in name for mlp in mlps)]
    return [name for name in others if name in model.factors or differs(base, model, name)]
