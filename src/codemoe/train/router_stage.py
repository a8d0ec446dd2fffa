"""The `router` stage: the sequence router and the token gates, and how good they are."""

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
    from codemoe.models.routers_file import SequenceRouter

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
    from codemoe.models.load import leave_unpacked, load_mixture
    from codemoe.models.routers_file import ROUTER_FILE, TokenRouters, save_routers
    from codemoe.routing.routers import build_router
    from codemoe.train.gate_starts import start_gates

    config = recipe.router
    model = load_mixture(recipe.run_dir / "moe")
    assert model.mixture is not None
    if config.train_gates is not None:
        leave_unpacked(model.model)
    rows, labels = labelled_rows(
        read_split(recipe.run_dir / "data", "train"), recipe, config.samples_per_expert
    )
    sequence, about = fit_sequence_router(model, rows, labels, recipe)
    metrics: dict[str, Any] = {"experts": list(model.mixture.experts), "sequence": about}
    say(
        f"router: the sequence router reads layer {sequence.layer}, "
        f"cross-validated accuracy {about['accuracy']:.4f}"
    )
    token_routers: TokenRouters = ()
    if recipe.steered_by_tokens:
        token_routers, accuracies = start_gates(model, rows, labels, recipe)
        metrics["token"] = [{"layer": i, "accuracy": a} for i, a in accuracies.items()]
        shown = ", ".join(f"{accuracy:.3f}" for accuracy in accuracies.values())
        checked = "cross-validated " if config.start == "fitted" else ""
        say(f"router: {config.start} token gates, {checked}accuracy by layer: {shown}")
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
        if config.kind == "expert-choice":
            # It trains gates and cannot run them: whether an expert takes a token depends on later
            # ones. Their weights run in a top-k router.
            token_routers = tuple(
                gate and build_router("top-k", gate.weight, top_k=config.num_experts_per_tok)
                for gate in token_routers
            )
    save_routers(out / ROUTER_FILE, model.mixture.experts, sequence, token_routers)
    (out / METRICS).write_text(json.dumps(metrics, indent=2) + "\n")


def fit_sequence_router(
    model: "CodeModel", rows: Sequence[Row], labels: Sequence[int], recipe: Recipe
) -> "tuple[SequenceRouter, dict[str, Any]]":
    """The router on the layer that `choose_layer` says, and its cross-validated figures."""
    import torch

    from codemoe.models.routers_file import SequenceRouter
    from codemoe.routing.calibrate import prior_bias
    from codemoe.routing.fit import fit_router
    from codemoe.routing.routers import LinearRouter
    from codemoe.train.router_features import KINDS, sequence_samples

    config = recipe.router
    assert model.mixture is not None
    experts = model.mixture.experts
    samples = sequence_samples(model, rows, labels)
    fits = [
        fit_router(
            features_ND,
            samples.labels_N,
            len(experts),
            method=config.method,
            ridge=config.ridge,
            folds=config.folds,
            groups_N=samples.groups_N,
        )
        for features_ND in samples.features_LND
    ]
    layer = choose_layer([fit.accuracy for fit in fits], len(samples.labels_N))
    best = fits[layer]
    bias_E, held_out_NE = best.bias_E, best.held_out_NE
    if config.prior:
        prior_E = torch.tensor([config.prior[name] for name in experts])
        shift_E = prior_bias(held_out_NE, prior_E)
        bias_E, held_out_NE = bias_E + shift_E, held_out_NE + shift_E
    right_N = held_out_NE.argmax(-1) == samples.labels_N
    by_kind = {
        kind: float(right_N[samples.kinds_N == i].double().mean()) for i, kind in enumerate(KINDS)
    }
    confusion_EE = torch.zeros(len(experts), len(experts), dtype=torch.int64)
    at = (samples.labels_N, held_out_NE.argmax(-1))
    confusion_EE.index_put_(at, torch.tensor(1), accumulate=True)
    return SequenceRouter(layer, LinearRouter(best.weight_ED, bias_E)), {
        "layer": layer,
        "accuracy": float(right_N.double().mean()),
        "accuracy_by_kind": by_kind,
        "accuracy_by_layer": [fit.accuracy for fit in fits],
        "log_loss": float(torch.nn.functional.cross_entropy(held_out_NE, samples.labels_N)),
        "confusion": confusion_EE.tolist(),
        "samples": len(samples.labels_N),
    }


def choose_layer(accuracies: Sequence[float], num_samples: int) -> int:
    """The first layer that is as good as the best, within one standard error of the best's.

    (Breiman et al. 1984, section 3.4.3.) Early, because up to that layer the marker is read once
    for each expert (`models.one_pass`).
    """
    best = max(accuracies)
    error = (best * (1 - best) / num_samples) ** 0.5
    return next(i for i, accuracy in enumerate(accuracies) if accuracy >= best - error)
