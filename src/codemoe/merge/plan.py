"""From a recipe and its opened models to the tensors of the result, none of them made yet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codemoe.errors import UserError
from codemoe.merge.made import explained, made
from codemoe.merge.methods.table import Method
from codemoe.merge.model import HEAD, Model
from codemoe.merge.recipe import MergeRecipe, Slice
from codemoe.merge.recipe import Source as Entry
from codemoe.merge.settings import method_of, settings_for
from codemoe.merge.sources import Source
from codemoe.merge.vocabulary import Vocabulary
from codemoe.merge.work import Work
from codemoe.models.storage.copy import copied
from codemoe.models.storage.dtypes import FLOATS
from codemoe.models.storage.write import Tensor


@dataclass(frozen=True)
class Place:
    """One tensor of the result: its slice, its name there and in each source, how far down."""

    piece: Slice
    name: str
    inputs: tuple[tuple[Entry, Model, str], ...]
    depth: float


def slices_of(recipe: MergeRecipe, models: dict[str, Model]) -> tuple[Slice, ...]:
    """The recipe as slices: `models` are one slice of all layers, the base in it."""
    if recipe.slices:
        return tuple(_with_base(recipe, piece) for piece in recipe.slices)
    assert recipe.models
    counts = {entry.model: models[entry.model].layers[1] for entry in recipe.models}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UserError(
            f"the models have different numbers of layers: {listed}",
            "say which layers to merge: slices with layer_range",
        )
    return (_with_base(recipe, Slice(sources=recipe.models)),)


def _with_base(recipe: MergeRecipe, piece: Slice) -> Slice:
    """mergekit adds the base to a slice that leaves it out, on the same layers."""
    base = piece.base_model or recipe.base_model
    if base is None or any(source.model == base for source in piece.sources):
        return piece.model_copy(update={"base_model": base})
    added = Entry(model=base, layer_range=piece.sources[0].layer_range)
    return piece.model_copy(update={"base_model": base, "sources": (*piece.sources, added)})


def check_inputs(recipe: MergeRecipe, method: Method, pieces: Sequence[Slice]) -> None:
    """Raise when a slice has too few or too many models for the method, or one twice."""
    name = recipe.merge_method
    for piece in pieces:
        listed = [source.model for source in piece.sources]
        twice = sorted({model for model in listed if listed.count(model) > 1})
        if twice and name != "passthrough":
            raise UserError(
                f"{twice[0]} is listed twice, so it would count twice" + _left_out(recipe, listed),
                "name each model once; a model's share is its weight",
            )
        if method.base == "required" and piece.base_model is None:
            raise UserError(
                f"{name} needs base_model, which task vectors start from",
                "base_model: FOLDER of what the models were trained from",
            )
        merged = _merged(method, piece)
        if len(merged) < method.least or (method.most and len(merged) > method.most):
            beside = " beside the base" if method.base == "required" else ""
            wanted = (
                f"{method.least}" if method.most == method.least else f"at least {method.least}"
            )
            if method.most and method.most != method.least:
                wanted = f"{method.least} to {method.most}"
            raise UserError(f"{name} takes {wanted} models{beside}; the recipe has {len(merged)}")


def _left_out(recipe: MergeRecipe, listed: Sequence[str]) -> str:
    base = recipe.base_model
    others = [m for m in recipe.references() if m not in listed and m != base]
    return f"; {others[0]} is not listed" if others else ""


def _merged(method: Method, piece: Slice) -> list[Entry]:
    """The sources that count as models: not the base, where the method has one."""
    if method.base == "unused":
        return [s for s in piece.sources if not _only_base(piece, s)]
    return [s for s in piece.sources if s.model != piece.base_model]


def _only_base(piece: Slice, source: Entry) -> bool:
    """A base that was added to the slice, not listed: it has settings for the result alone."""
    return source is piece.sources[-1] and source.model == piece.base_model and _is_added(source)


def _is_added(source: Entry) -> bool:
    return not source.parameters and source.model_fields_set <= {"model", "layer_range"}


def places(
    recipe: MergeRecipe, pieces: Sequence[Slice], models: dict[str, Model]
) -> Iterator[Place]:
    """Every tensor of the result, layers counted anew: first what comes before them, last the
    head and the last norm."""
    first = models[pieces[0].sources[0].model]
    outside = [name for name in first.tensors if first.layer_of(name) is None]
    before = [name for name in outside if _is_before(name)]
    after = [name for name in outside if not _is_before(name)]
    untied = any(HEAD in models[source.model].tensors for source in pieces[-1].sources)
    if HEAD not in outside and untied:
        after.append(HEAD)
    for name in before:
        yield _outside(pieces[0], name, models)
    layer = 0
    for piece in pieces:
        ranges = [_range(source, models[source.model]) for source in piece.sources]
        count = ranges[0][1] - ranges[0][0]
        if any(end - start != count for start, end in ranges):
            raise UserError(
                "the sources of a slice have different numbers of layers: "
                + ", ".join(
                    f"{s.model} {list(r)}" for s, r in zip(piece.sources, ranges, strict=True)
                ),
                "give each the same length of layer_range",
            )
        for offset in range(count):
            depth = offset / (count - 1) if count > 1 else 1.0
            at = [start + offset for start, _ in ranges]
            yield from _layer(piece, models, at, layer, depth)
            layer += 1
    for name in after:
        yield _outside(pieces[-1], name, models)


def _is_before(name: str) -> bool:
    return any(part in name for part in ("embed", "wte", "wpe", "word_embeddings"))


def _outside(piece: Slice, name: str, models: dict[str, Model]) -> Place:
    inputs = tuple((source, models[source.model], name) for source in piece.sources)
    return Place(piece, name, inputs, 0.0)


def _range(source: Entry, model: Model) -> tuple[int, int]:
    _, count = model.layers
    if source.layer_range is None:
        return 0, count
    start, end = source.layer_range
    if not 0 <= start < end <= count:
        raise UserError(
            f"layer_range {[start, end]} is outside of {source.model}, which has {count} layers",
            f"the first is 0; all are [0, {count}]",
        )
    return start, end


def _layer(
    piece: Slice, models: dict[str, Model], at: Sequence[int], layer: int, depth: float
) -> Iterator[Place]:
    first = models[piece.sources[0].model]
    prefix, _ = first.layers
    own = f"{prefix}{at[0]}."
    for name in first.tensors:
        if name.startswith(own):
            rest = name.removeprefix(own)
            inputs = tuple(
                (source, models[source.model], f"{models[source.model].layers[0]}{number}.{rest}")
                for source, number in zip(piece.sources, at, strict=True)
            )
            yield Place(piece, f"{prefix}{layer}.{rest}", inputs, depth)


def check_complete(pieces: Sequence[Slice], models: dict[str, Model]) -> None:
    """Raise when a model has a tensor that the first one lacks: the merge would lose it. And when
    one lacks a head that its config does not tie to the embedding."""
    for piece in pieces:
        first = models[piece.sources[0].model]
        known = {*_by_place(first, piece.sources[0]).values(), (None, HEAD)}
        used = [models[source.model] for source in piece.sources]
        heads = [model for model in used if HEAD in model.tensors]
        for source in piece.sources:
            model = models[source.model]
            untied = model.config.get("tie_word_embeddings") is False
            if heads and model not in heads and untied:
                raise UserError(
                    f"{model.text} has no tensor {HEAD}, which {heads[0].text} has, and its "
                    "config.json does not tie it to the embedding",
                    "save that checkpoint again, with its head",
                )
            extra = [n for n, place in _by_place(model, source).items() if place not in known]
            if extra:
                raise UserError(
                    f"{source.model} has the tensor {extra[0]}, which {first.text} has not"
                    + (f", and {len(extra) - 1} more" if extra[1:] else ""),
                    "merge checkpoints of one architecture, saved alike",
                )


def _by_place(model: Model, source: Entry) -> dict[str, tuple[int | None, str]]:
    """Each tensor's layer, counted from the first of the slice, and its name in there."""
    (prefix, _), (start, end) = model.layers, _range(source, model)
    layers = {name: model.layer_of(name) for name in model.tensors}
    return {
        name: (None, name) if at is None else (at - start, name.removeprefix(f"{prefix}{at}."))
        for name, at in layers.items()
        if at is None or start <= at < end
    }


def tensors(
    recipe: MergeRecipe,
    models: dict[str, Model],
    work: Work,
    vocabulary: Vocabulary | None,
    tied: bool,
) -> list[Tensor]:
    """The result's tensors in order, ready to be written."""
    method = method_of(recipe)
    pieces = slices_of(recipe, models)
    check_inputs(recipe, method, pieces)
    check_complete(pieces, models)
    planned = []
    for place in places(recipe, pieces, models):
        if tied and place.name == HEAD:
            continue
        planned.append(_tensor(recipe, method, place, models, work, vocabulary))
    return planned


def _tensor(
    recipe: MergeRecipe,
    method: Method,
    place: Place,
    models: dict[str, Model],
    work: Work,
    vocabulary: Vocabulary | None,
) -> Tensor:
    base_text = place.piece.base_model if method.base != "unused" else None
    found: list[tuple[Model, Source]] = []
    for _, model, name in place.inputs:
        source = model.source(work.files, name)
        if source is None:
            raise UserError(
                f"{model.text} has no tensor {name}, which others have",
                "merge checkpoints of one architecture, saved alike",
            )
        found.append((model, source))
    sources = [source for _, source in found]
    if vocabulary is not None:
        sources = vocabulary.apply(place.name, found, models.get(place.piece.base_model or ""))
    _same_shapes(place, sources)
    merged = [entry.model for entry in _merged(method, place.piece)]
    picked = [
        (entry, source, name)
        for (entry, _, name), source in zip(place.inputs, sources, strict=True)
        if entry.model in merged
    ]
    base = next(
        (s for (e, _, _), s in zip(place.inputs, sources, strict=True) if e.model == base_text),
        None,
    )
    if sources[0].dtype not in FLOATS:
        return _unmerged(place, sources, work)
    settings = settings_for(
        recipe, method, place.piece, [(e, n) for e, _, n in picked], place.name, place.depth
    )
    explained(lambda: method.check(settings), place.name)
    main = base or next((s for m, s in found if m.text == place.piece.base_model), None)
    dtype = work.dtype or (main or picked[0][1]).dtype
    inputs = [source for _, source, _ in picked]
    return made(place.name, inputs, base, method, settings, dtype, work)


def _same_shapes(place: Place, sources: Sequence[Source]) -> None:
    for (_, model, name), source in zip(place.inputs, sources, strict=True):
        if source.shape != sources[0].shape:
            first = place.inputs[0]
            raise UserError(
                f"{first[2]} is {list(sources[0].shape)} in {first[1].text}, "
                f"but {name} is {list(source.shape)} in {model.text}",
                "merge models of one shape; for vocabularies, set tokenizer_source",
            )


def _unmerged(place: Place, sources: Sequence[Source], work: Work) -> Tensor:
    """Whole numbers are no weights: they are copied when all models agree."""
    contents = []
    for source in sources:
        assert source.stored is not None
        raw = np.empty(source.stored.num_bytes, np.uint8)
        work.files.read(source.stored, 0, raw)
        contents.append((source.dtype, raw.tobytes()))
    if len(set(contents)) > 1:
        raise UserError(
            f"{place.name} is stored as {sources[0].dtype} and differs between models; such "
            "tensors are not merged",
            "use full-precision checkpoints",
        )
    assert sources[0].stored is not None
    return copied(work.files, sources[0].stored, place.name)
