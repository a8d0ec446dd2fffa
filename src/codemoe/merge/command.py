"""`codemoe merge MERGEKIT.yaml OUT`: read the recipe, check the models, stream the result."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.merge import output
from codemoe.merge.card import write_card
from codemoe.merge.compatible import (
    NAMES,
    SPECIAL,
    TEMPLATE,
    TOKEN_KEYS,
    VOCAB_SIZE,
    VOCABULARY,
    Choices,
    check_models,
    merged_config,
    signature,
)
from codemoe.merge.kernels import load as load_kernels
from codemoe.merge.model import Model, fingerprint, open_model
from codemoe.merge.options import Options
from codemoe.merge.plan import slices_of, tensors
from codemoe.merge.recipe import MergeRecipe, load_merge
from codemoe.merge.same import check_distinct
from codemoe.merge.settings import method_of, uncounted_base
from codemoe.merge.tokens import Tokenizer, copy_files
from codemoe.merge.vocabulary import Vocabulary, join
from codemoe.merge.work import output_dtype, work_for
from codemoe.models.storage.read import Files
from codemoe.models.storage.write import Tensor, lay_out
from codemoe.progress import say

KIND = "merged"


def merge_models(path: Path, out: Path, options: Options) -> dict[str, Any]:
    """Run a mergekit recipe; what was made, for --json.

    Raises UserError for recipes and models that do not fit, WorkError when the disk is too small.
    In both cases nothing is left behind.
    """
    started = time.monotonic()
    recipe = load_merge(path)
    method = method_of(recipe)
    files = Files()
    try:
        models = open_models(recipe.references(), recipe.base_model, path.parent)
        config = _config(recipe, models, options)
        if output.is_made(out, KIND, config, options.force):
            say(f"{out} is finished and is what this recipe makes; nothing to do")
            return _told(out, recipe, [], 0, started, made=False)
        base = models[recipe.base_model] if recipe.base_model else None
        merged = [m for m in models.values() if m is not base]
        notes = check_distinct(merged, base, files, options.allow_identical or len(merged) < 2)
        if not any(model.lora for model in merged):  # those need a base to stand on
            notes += uncounted_base(recipe, method)
        for note in notes:
            say(f"note: {note}")
        if options.rank:
            return _adapter(path, recipe, models, out, config, options, notes, started)
        load_kernels(sum(s.num_elements for m in models.values() for s in m.tensors.values()))
        planned = _plan(recipe, models, options, files)
        shards = lay_out(planned.tensors, options.shard_bytes)
        with output.made_in(out) as partial:
            hashes = output.write_weights(
                shards, partial, config, f"merge {recipe.merge_method}", options.num_threads
            )
            output.write_json(partial / "config.json", planned.config)
            copy_files(
                planned.tokens_of,
                planned.vocabulary.added if planned.vocabulary else (),
                planned.template_of,
                _template_text(recipe),
                partial,
            )
            write_card(partial / "README.md", "merge", path, _title(recipe), list(models.values()))
            inputs = {model.text: fingerprint(model) for model in models.values()}
            output.write_manifest(partial, KIND, config, inputs, hashes, options.seed, started)
        return _told(out, recipe, notes, sum(s.num_bytes for s in shards), started, made=True)
    finally:
        files.close()


def _adapter(
    path: Path,
    recipe: MergeRecipe,
    models: Mapping[str, Model],
    out: Path,
    config: Mapping[str, Any],
    options: Options,
    notes: Sequence[str],
    started: float,
) -> dict[str, Any]:
    """Adapters into one adapter of --rank."""
    from codemoe.merge.low_rank import merge_to_rank, write_adapter

    merged = merge_to_rank(recipe, method_of(recipe), models, options.rank, options.seed)
    adapters = [model for model in models.values() if model.lora]
    with output.made_in(out) as partial:
        hashes = write_adapter(merged, adapters, partial, config, options.rank)
        write_card(partial / "README.md", "merge", path, _title(recipe), list(models.values()))
        inputs = {model.text: fingerprint(model) for model in models.values()}
        output.write_manifest(partial, KIND, config, inputs, hashes, options.seed, started)
    size = sum(file.stat().st_size for file in out.glob("*.safetensors"))
    kept = {"rank": options.rank, "squared_norm_lost": merged.lost}
    say(f"rank {options.rank} leaves out {merged.lost:.2%} of the merged updates' squared norm")
    return _told(out, recipe, notes, size, started, made=True) | kept


def _told(
    out: Path, recipe: MergeRecipe, notes: Sequence[str], count: int, started: float, *, made: bool
) -> dict[str, Any]:
    return {
        "path": str(out),
        "method": recipe.merge_method,
        "made": made,
        "bytes": count,
        "notes": list(notes),
        "seconds": round(time.monotonic() - started, 3),
    }


def _title(recipe: MergeRecipe) -> str:
    return f"{recipe.merge_method} ({method_of(recipe).cites})"


def open_models(texts: Sequence[str], base: str | None, beside: Path) -> dict[str, Model]:
    """Models by the name the recipe gives them, the base first; adapters alone stand on it."""
    opened: dict[str, Model] = {}
    for text in sorted(texts, key=lambda t: t != base):
        opened[text] = open_model(text, beside, opened.get(base) if base else None)
    return opened


def _config(recipe: MergeRecipe, models: Mapping[str, Model], options: Options) -> dict[str, Any]:
    """All that the result depends on."""
    return {
        "recipe": recipe.model_dump(mode="json", exclude_defaults=True),
        "models": {text: fingerprint(model) for text, model in models.items()},
        "prefer": dict(options.prefer),
        "shard_bytes": options.shard_bytes,
        "seed": options.seed,
        "rank": options.rank,
    }


@dataclass(frozen=True)
class _Planned:
    tensors: list[Tensor]
    config: dict[str, Any]
    tokens_of: Model
    template_of: Model | None
    vocabulary: Vocabulary | None


def _plan(
    recipe: MergeRecipe, models: dict[str, Model], options: Options, files: Files
) -> _Planned:
    everyone = list(models.values())
    first = everyone[0]
    settled = [] if recipe.tokenizer_from is None else [*TOKEN_KEYS, TEMPLATE]
    if recipe.chat_template:
        settled.append(TEMPLATE)
    choices = check_models(everyone, options.prefer, settled, other_layers=bool(recipe.slices))
    tokens_of, vocabulary = _vocabulary(recipe, everyone, choices)
    config = merged_config(first, choices)
    for key in ("bos_token_id", "eos_token_id", "pad_token_id") if recipe.tokenizer_from else ():
        if key in tokens_of.config:
            config[key] = tokens_of.config[key]
    if vocabulary is not None:
        config["vocab_size"] = vocabulary.size
    tied = bool(signature(replace(first, config=config))["tie_word_embeddings"])
    dtype = output_dtype(recipe.out_dtype or recipe.dtype)
    planned = tensors(recipe, models, work_for(everyone, files, options, dtype), vocabulary, tied)
    _count_layers(recipe, models, config)
    output.set_dtype(config, planned)
    template_of = _template_owner(recipe, models, choices, tokens_of)
    return _Planned(planned, config, tokens_of, template_of, vocabulary)


def _vocabulary(
    recipe: MergeRecipe, models: Sequence[Model], choices: Choices
) -> tuple[Model, Vocabulary | None]:
    """Whose tokenizer files the result has, and how embeddings are brought to its tokens."""
    source, owner = recipe.tokenizer_from, models[0]
    if source not in (None, "base", "union"):
        owner = next((m for m in models if m.text == source), owner)
        if owner.text != source:
            raise UserError(
                f"tokenizer_source {source!r} is not a model of the recipe",
                f"base, union, or one of {', '.join(m.text for m in models)}",
            )
    for key in (VOCAB_SIZE, VOCABULARY):
        if key in choices.of:
            source, owner = choices.of[key].text, choices.of[key]
    vocabulary = None if source is None else join(source, owner, models)
    special = choices.of.get(SPECIAL)
    if special is not None and special is not owner:
        if not Tokenizer(special.folder).same_vocabulary(Tokenizer(owner.folder)):
            raise UserError(
                f"--prefer {SPECIAL}={special.text}: its tokens are not those of {owner.text}",
                f"--prefer {VOCABULARY}={special.text} takes both",
            )
        owner = special
    return owner, vocabulary


def _template_owner(
    recipe: MergeRecipe, models: Mapping[str, Model], choices: Choices, tokens_of: Model
) -> Model | None:
    """The model whose chat template the result has; None when the recipe brings its own text."""
    wanted = recipe.chat_template
    if wanted and wanted != "auto":
        if wanted not in models and "{" not in wanted:
            raise UserError(
                f"chat_template {wanted!r} is neither a model of the recipe nor a template",
                "write the template's text there, or the model whose template it is",
            )
        return models.get(wanted)
    if TEMPLATE in choices.of:
        return choices.of[TEMPLATE]
    # The first model's where nothing was said: taking another's special tokens changes no template.
    return tokens_of if recipe.tokenizer_from else next(iter(models.values()))


def _template_text(recipe: MergeRecipe) -> str | None:
    wanted = recipe.chat_template
    if not wanted or wanted == "auto" or "{" not in wanted:
        return None
    return wanted


def _count_layers(recipe: MergeRecipe, models: dict[str, Model], config: dict[str, Any]) -> None:
    """Bring the config to the layers that the slices leave."""
    if not recipe.slices:
        return
    types: list[Any] = []
    for piece in slices_of(recipe, models):
        source = piece.sources[0]
        model = models[source.model]
        start, end = source.layer_range or (0, model.layers[1])
        own = model.config.get("layer_types")
        types += own[start:end] if isinstance(own, list) else [None] * (end - start)
    name = next(n for n in NAMES["num_hidden_layers"] if n in config)
    config[name] = len(types)
    if "layer_types" in config:
        config["layer_types"] = types
