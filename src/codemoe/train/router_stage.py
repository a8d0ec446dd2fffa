"""The `router` stage: fit the sequence router and the token gates, and say how good they are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codemoe.artifacts import Redo, run_stage
from codemoe.data.rows import Row
from codemoe.data.stage import read_split
from codemoe.errors import UserError
from codemoe.progress import say
from codemoe.recipe import Recipe

if TYPE_CHECKING:
    from codemoe.models.load import CodeModel
    from codemoe.routing.routers import LinearRouter

METRICS = "routing_metrics.json"


def run(recipe: Recipe, *, redo: Redo = "never") -> bool:
    """Make `router/`; True when it was made, False when it was there already."""
    run_dir = recipe.run_dir
    return run_stage(
        run_dir / "router",
        "router",
        {"router": recipe.router.model_dump(mode="json"), "seed": recipe.seed},
        {"moe": run_dir / "moe", "data": run_dir / "data"},
        lambda out: _fit(recipe, out),
        seed=recipe.seed,
        redo=redo,
    )


def labelled_rows(
    rows: Sequence[Row], recipe: Recipe, per_expert: int
) -> tuple[list[Row], list[int]]:
    """Up to `per_expert` rows for each expert, spread over the data, with the expert's index."""
    chosen: list[Row] = []
    labels: list[int] = []
    for index, (name, filter_) in enumerate(recipe.expert_filters.items()):
        own = [row for row in rows if filter_.admits(row.language, row.source)]
        if not own:
            raise UserError(f"no rows to fit the router on for expert {name!r}")
        count = min(per_expert, len(own))
        chosen += [own[i * len(own) // count] for i in range(count)]
        labels += [index] * count
    return chosen, labels


def _fit(recipe: Recipe, out: Path) -> None:
    from codemoe.models.load import (
        ROUTER_FILE,
        SequenceRouter,
        load_mixture,
        save_routers,
    )
    from codemoe.routing.fit import fit_router
    from codemoe.routing.routers import LinearRouter
    from codemoe.train.router_features import KINDS, sequence_samples

    config = recipe.router
    model = load_mixture(recipe.run_dir / "moe")
    assert model.mixture is not None
    experts = model.mixture.experts
    rows, labels = labelled_rows(
        read_split(recipe.run_dir / "data", "train"), recipe, config.samples_per_expert
    )
    samples = sequence_samples(model, rows, labels)
    fits = [
        fit_router(
            features_ND,
            samples.labels_N,
            len(experts),
            ridge=config.ridge,
            folds=config.folds,
            groups_N=samples.groups_N,
        )
        for features_ND in samples.features_LND
    ]
    layer = max(range(len(fits)), key=lambda i: (fits[i].accuracy, -fits[i].log_loss))
    best = fits[layer]
    by_kind = {
        kind: float((best.predicted_N == samples.labels_N)[samples.kinds_N == i].double().mean())
        for i, kind in enumerate(KINDS)
    }
    metrics: dict[str, Any] = {
        "experts": list(experts),
        "sequence": {
            "layer": layer,
            "accuracy": best.accuracy,
            "accuracy_by_kind": by_kind,
            "accuracy_by_layer": [fit.accuracy for fit in fits],
            "log_loss": best.log_loss,
            "confusion": best.confusion_EE.tolist(),
            "samples": len(samples.labels_N),
        },
    }
    say(
        f"router: the sequence router reads layer {layer}, "
        f"cross-validated accuracy {best.accuracy:.4f}"
    )
    token_routers: list[LinearRouter] = []
    if recipe.experts.lora.target == "mlp":
        token_routers, accuracies = fit_token_gates(model, rows, labels, recipe)
        metrics["token"] = [{"layer": i, "accuracy": a} for i, a in enumerate(accuracies)]
        shown = ", ".join(f"{accuracy:.3f}" for accuracy in accuracies)
        say(f"router: token gates, cross-validated accuracy by layer: {shown}")
        if config.train_gates is not None:
            from codemoe.train.gate_training import train_gates

            metrics["trained"] = train_gates(
                model,
                token_routers,
                rows,
                labels,
                config.train_gates,
                recipe.experts.train.max_length,
                recipe.seed,
                out,
            )
            say(f"router: trained gates are right on {metrics['trained']['accuracy']:.3f}")
    save_routers(
        out / ROUTER_FILE,
        SequenceRouter(layer, LinearRouter(best.weight_ED, best.bias_E)),
        token_routers,
    )
    (out / METRICS).write_text(json.dumps(metrics, indent=2) + "\n")


def fit_token_gates(
    model: "CodeModel", rows: Sequence[Row], labels: Sequence[int], recipe: Recipe
) -> "tuple[list[LinearRouter], list[float]]":
    """One gate a layer and its cross-validated accuracy, on states that right choices made."""
    from codemoe.models.load import token_router
    from codemoe.routing.fit import fit_router
    from codemoe.train.router_features import token_samples

    config = recipe.router
    assert model.mixture is not None
    tokens = token_samples(
        model, rows, labels, config.gate_tokens_per_expert, recipe.experts.train.max_length
    )
    fits = [
        fit_router(
            features_ND,
            tokens.labels_N,
            len(model.mixture.experts),
            ridge=config.ridge,
            folds=config.folds,
            groups_N=tokens.sequences_N,
            bias=False,  # as Mixtral's and Qwen's gates
        )
        for features_ND in tokens.features_LND
    ]
    gates = [token_router(fit.weight_ED, config.num_experts_per_tok) for fit in fits]
    return gates, [fit.accuracy for fit in fits]
