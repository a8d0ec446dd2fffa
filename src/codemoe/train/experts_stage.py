"""The `experts` stage: one adapter, or whole MLPs, per expert; the dense baseline on all data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from codemoe.artifacts import Redo, run_stage
from codemoe.recipe import DENSE, ExpertFilter, LoraConfig, Recipe, TrainConfig
from codemoe.train.expert_job import ExpertJob, launch, run_job
from codemoe.train.saved_adapter import settle
from codemoe.train_config import UNFELT


def run(recipe: Recipe, *, redo: Redo = "never") -> bool:
    """Make `experts/<name>/` for each expert, then `experts/dense-all/`; True when any was made."""
    made = False
    filters = recipe.expert_filters
    lora = recipe.experts.lora if recipe.experts.method == "lora" else None
    for name, filter_ in filters.items():
        if filter_.checkpoint is not None:
            made |= _adopt(recipe, name, filter_, redo)
            continue
        made |= _train(recipe, name, "expert", [filter_], lora, recipe.experts.train, redo)
    if recipe.experts.dense_baseline:
        lora, train = dense_budget(lora, recipe.experts.train, len(filters))
        made |= _train(recipe, DENSE, "dense", list(filters.values()), lora, train, redo)
    return made


def _adopt(recipe: Recipe, name: str, about: ExpertFilter, redo: Redo) -> bool:
    """An expert that exists already, by reference to nothing: its files are copied."""
    from codemoe.models.reference import content_sha256, read_reference
    from codemoe.train.existing import adopt

    assert about.checkpoint is not None
    config: Mapping[str, Any] = {
        "name": name,
        "filters": [_filter(about)],
        "existing": {
            "checkpoint": about.checkpoint,
            "revision": about.revision,
            "content": content_sha256(about.checkpoint),
            "method": recipe.experts.method,
        },
    }

    def work(out: Path) -> None:
        adopt(recipe, name, about, read_reference(recipe.run_dir / "base"), out)

    return run_stage(
        recipe.run_dir / "experts" / name,
        "expert",
        config,
        {"base": recipe.run_dir / "base"},
        work,
        seed=recipe.seed,
        redo=redo,
    )


def _unused(train: TrainConfig) -> set[str]:
    """Keys that say nothing: experts made before there were such keys are still the same."""
    weights = set() if train.source_weights else {"source_weights"}
    return weights | (set() if train.fim_rate else {"fim_rate", "fim_spm_rate"})


def _filter(about: ExpertFilter) -> dict[str, Any]:
    """What it admits."""
    return about.model_dump(mode="json", include={"languages", "sources"})


def dense_budget(
    lora: LoraConfig | None, train: TrainConfig, num_experts: int
) -> tuple[LoraConfig | None, TrainConfig]:
    """One adapter with the experts' trainable parameters and steps added up, at their scaling.

    Whole MLPs are as many for one as for several: their steps only are added up.
    """
    train = train.model_copy(update={"steps": train.steps * num_experts})
    if lora is None:
        return None, train
    # The scaling is alpha / rank, or alpha / sqrt(rank).
    growth = num_experts**0.5 if lora.use_rslora else num_experts
    grown = {"rank": lora.rank * num_experts, "alpha": lora.alpha * growth}
    return lora.model_copy(update=grown), train


def _train(
    recipe: Recipe,
    name: str,
    kind: str,
    filters: Sequence[ExpertFilter],
    lora: LoraConfig | None,
    train: TrainConfig,
    redo: Redo,
) -> bool:
    run_dir = recipe.run_dir
    # The dense model has no router to wait for: it acts on all tokens.
    activation = recipe.experts.activation if kind == "expert" else "all"
    config: Mapping[str, Any] = {
        "name": name,
        "filters": [_filter(one) for one in filters],
        "experts": {
            **({"method": "full"} if lora is None else {"lora": lora.model_dump(mode="json")}),
            "train": train.model_dump(mode="json", exclude=UNFELT | _unused(train)),
            "activation": activation,
        },
        "seed": recipe.seed,
    }

    def work(out: Path) -> None:
        from codemoe.models.model_card import read_training, write_card
        from codemoe.models.reference import read_reference

        job = ExpertJob(
            run_dir=str(run_dir),
            name=name,
            filters=tuple(_filter(one) for one in filters),
            lora=None if lora is None else lora.model_dump(mode="json"),
            train=train.model_dump(mode="json"),
            activation=activation,
            seed=recipe.seed,
            out=str(out),
        )
        if train.num_processes == 1:
            run_job(job)
        else:
            launch(job, train.num_processes)
        reference = read_reference(run_dir / "base")
        if lora is None:
            kind_of, library, what = "full-MLP", "codemoe", "Complete copies of the base's MLPs"
        else:
            settle(out / "adapter_config.json")
            kind_of, library = "LoRA", "peft"
            what = f"A LoRA adapter of rank {lora.rank} ({lora.target} projections)"
        about = read_training([out])
        write_card(
            out,
            reference,
            title=f"{name}: a {kind_of} expert",
            languages=about.languages,
            library=library,
            kind=kind_of.lower(),
            what=f"{what}, trained to act as `{activation}`.",
            licenses=about.licenses,
        )

    return run_stage(
        run_dir / "experts" / name,
        kind,
        config,
        {"data": run_dir / "data", "base": run_dir / "base"},
        work,
        seed=recipe.seed,
        redo=redo,
    )
