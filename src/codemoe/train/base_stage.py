"""The `base` stage: a reference to a frozen base, or a tiny one trained from scratch."""

from pathlib import Path

from codemoe.artifacts import Redo, run_stage
from codemoe.data.stage import read_split
from codemoe.models.reference import content_sha256
from codemoe.recipe import BUILTIN, Recipe
from codemoe.train_config import UNFELT


def run(recipe: Recipe, *, redo: Redo = "never") -> bool:
    """Make `base/`; True when it was made, False when it was there already."""
    base = recipe.base
    data_dir = recipe.run_dir / "data"
    scratch = base.from_scratch is not None
    content = None if base.model is None else content_sha256(base.model)

    def work(out: Path) -> None:
        if base.from_scratch is not None:
            from codemoe.train.pretrain import pretrain

            pretrain(read_split(data_dir, "train"), base.from_scratch, recipe.seed, out)
            return
        from codemoe.models.load import load_tokenizer
        from codemoe.models.reference import BaseReference, resolve, write_reference

        assert base.model is not None
        # Absolute, so that the run can be used from another folder; `builtin` is one anywhere.
        where = base.model if base.model == BUILTIN else resolve(base.model)
        revision = _resolved_revision(base.model, base.revision)
        reference = BaseReference(where, revision, base.quantization, content)
        load_tokenizer(reference)  # an unusable checkpoint is refused here, not hours later
        write_reference(reference, out)

    return run_stage(
        recipe.run_dir / "base",
        "base",
        {"base": base.model_dump(mode="json", exclude={"from_scratch": UNFELT})}
        | ({"seed": recipe.seed} if scratch else {"content": content}),
        {"data": data_dir} if scratch else {},
        work,
        seed=recipe.seed,
        redo=redo,
    )


def _resolved_revision(model: str, revision: str | None) -> str | None:
    """The commit that a hub id stands for today, so that a later run loads the same weights."""
    from transformers import AutoConfig

    from codemoe.models.reference import resolve

    name = resolve(model)
    if Path(name).is_dir():
        return None

    try:
        config = AutoConfig.from_pretrained(name, revision=revision)
    except (OSError, ValueError):
        return revision  # load_tokenizer says what is wrong with it
    return getattr(config, "_commit_hash", None) or revision
