"""The `router` stage: fit the sequence router and the token gates, and say how good they are."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codemoe.artifacts import Redo, run_stage
from codemoe.data.rows import Row
from codemoe.data.stage import read_split
from codemoe.errors import UserError
from codemoe.progress import say
from codemoe.recipe import Recipe

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
    from codemoe.models.load import ROUTER_FILE, SequenceRouter, load_mixture, save_routers
    from codemoe.routing.fit import fit_router
    from codemoe.routing.routers import LinearRouter
    from codemoe.train.router_features import KINDS, sequence_samples, token_samples

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
        tokens = token_samples(
            model, rows, labels, config.gate_tokens_per_expert, recipe.experts.train.max_length
        )
        metrics["token"] = []
        for index, features_ND in enumerate(tokens.features_LND):
            # Mixtral's and Qwen's gates have no bias, so neither have these.
            fit = fit_router(
                features_ND,
                tokens.labels_N,
                len(experts),
                ridge=config.ridge,
                folds=config.folds,
                groups_N=tokens.sequences_N,
                bias=False,
            )
            token_routers.append(LinearRouter(fit.weight_ED))
            metrics["token"].append({"layer": index, "accuracy": fit.accuracy})
        shown = ", ".join(f"{row['accuracy']:.3f}" for row in metrics["token"])
        say(f"router: token gates, cross-validated accuracy by layer: {shown}")
    save_routers(
        out / ROUTER_FILE,
        SequenceRouter(layer, LinearRouter(best.weight_ED, best.bias_E)),
        token_routers,
    )
    (out / METRICS).write_text(json.dumps(metrics, indent=2) + "\n")
