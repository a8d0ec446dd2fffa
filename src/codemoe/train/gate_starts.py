"""The token gates before any gradient: fitted on labelled text, or started in another way.

All are without a bias, as Mixtral's and Qwen's gates, and say how often they are right at the
answer's tokens when every gate before them was. Gates that are fitted in several rounds say it of
what they are fitted on: that, and what each round's gates led to.
"""

# N tokens, D model, E experts, L layers

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codemoe.data.rows import Row
from codemoe.errors import UserError
from codemoe.recipe import Recipe

if TYPE_CHECKING:
    import torch

    from codemoe.models.load import CodeModel
    from codemoe.models.routers_file import TokenRouters
    from codemoe.train.router_features import TokenSamples


def start_gates(
    model: "CodeModel", rows: Sequence[Row], labels: Sequence[int], recipe: Recipe
) -> "tuple[TokenRouters, dict[int, float]]":
    """A gate for each layer from `router.from_layer` on, and the accuracy of each by layer.

    Of fitted gates it is cross-validated; the others have not seen the rows.
    """
    from codemoe.routing.routers import build_router
    from codemoe.train.router_features import token_samples

    config = recipe.router
    assert model.mixture is not None
    num_layers = model.model.config.num_hidden_layers
    if config.from_layer >= num_layers:
        raise UserError(
            f"router.from_layer is {config.from_layer} but the base has {num_layers} layers",
            f"choose 0 to {num_layers - 1}",
        )
    layers = list(range(config.from_layer, num_layers))
    most, longest = config.gate_tokens_per_expert, recipe.experts.train.max_length

    def build(weight_ED: "torch.Tensor"):  # type: ignore[no-untyped-def]
        return build_router(
            config.kind,
            weight_ED,
            top_k=config.num_experts_per_tok,
            capacity_factor=config.capacity_factor,
        )

    def gates_of(tokens: "TokenSamples") -> "tuple[TokenRouters, dict[int, float]]":
        weights, accuracies = _weights(model, tokens, layers, recipe)
        shared = build(weights[layers[0]]) if config.shared else None
        gates = tuple(
            None if layer not in weights else shared or build(weights[layer])
            for layer in range(num_layers)
        )
        return gates, accuracies

    tokens = token_samples(model, rows, labels, most, longest)
    gates, accuracies = gates_of(tokens)
    for _ in range(1, config.fit_rounds):
        for gate in gates:
            if gate is not None:
                gate.eval()  # without noise and capacities: as it will choose
        tokens = tokens.with_more(token_samples(model, rows, labels, most, longest, gates=gates))
        gates, accuracies = gates_of(tokens)
    return gates, accuracies


def _weights(
    model: "CodeModel", tokens: "TokenSamples", layers: Sequence[int], recipe: Recipe
) -> "tuple[dict[int, torch.Tensor], dict[int, float]]":
    """(E, D) and accuracy for each layer; the same weights for all of them if they share."""
    import torch

    from codemoe.routing.fit import fit_router
    from codemoe.routing.init import orthogonal_gate, prompt_gate, random_gate
    from codemoe.train.router_features import prompt_samples

    config = recipe.router
    assert model.mixture is not None
    num_experts = len(model.mixture.experts)
    groups = [[*layers]] if config.shared else [[layer] for layer in layers]
    if config.start == "prompts":
        texts = [config.prompts[name] for name in recipe.expert_filters]
        prompts = prompt_samples(model, [(one.positive, one.negative) for one in texts])
    weights: dict[int, torch.Tensor] = {}
    accuracies: dict[int, float] = {}
    generator = torch.Generator().manual_seed(recipe.seed)
    for group in groups:
        states_ND = tokens.features_LND[group].flatten(0, 1)
        labels_N = tokens.labels_N.repeat(len(group))
        if config.start == "fitted":
            fit = fit_router(
                states_ND,
                labels_N,
                num_experts,
                method=config.method,
                ridge=config.ridge,
                folds=config.folds,
                groups_N=tokens.sequences_N.repeat(len(group)),
                bias=False,
            )
            weight_ED, right_N = fit.weight_ED, fit.predicted_N == labels_N
        else:
            if config.start == "random":
                weight_ED = random_gate(num_experts, states_ND.shape[1], generator)
            elif config.start == "orthogonal":
                weight_ED = orthogonal_gate(num_experts, states_ND.shape[1], generator)
            else:
                means_ND = prompts.features_LND[group].mean(0)
                weight_ED = prompt_gate(means_ND, prompts.labels_N, prompts.signs_N, num_experts)
            right_N = (states_ND @ weight_ED.T).argmax(-1) == labels_N
        for layer, right in zip(group, right_N.double().view(len(group), -1).mean(1), strict=True):
            weights[layer] = weight_ED
            accuracies[layer] = float(right)
    return weights, accuracies
