"""Gate weights before any training. `fit.py` has the fitted ones.

Every row has (about) norm 1, so that logits of a normalised state are of the same size whatever the
start: of variance 1 where the state's mean square is 1.
"""

# N prompts, D features, E experts

import torch

from codemoe.errors import UserError


def random_gate(num_experts: int, num_features: int, generator: torch.Generator) -> torch.Tensor:
    """(E, D) of independent normals with variance 1/D."""
    return torch.randn(num_experts, num_features, generator=generator) / num_features**0.5


def orthogonal_gate(
    num_experts: int, num_features: int, generator: torch.Generator
) -> torch.Tensor:
    """(E, D) of orthonormal rows (E <= D): no two experts start out alike."""
    weight_ED = torch.empty(num_experts, num_features)
    return torch.nn.init.orthogonal_(weight_ED, generator=generator)


def prompt_gate(
    x_ND: torch.Tensor, labels_N: torch.Tensor, signs_N: torch.Tensor, num_experts: int
) -> torch.Tensor:
    """(E, D) from what the router sees for prompts that an expert should (+1) or not (-1) answer.

    `x_ND` are true router inputs pooled over each prompt without its pads, `labels_N` says whose
    prompt each is. A row is the mean of the expert's positive inputs, minus the mean of its
    negative ones if it has any, without the direction of the mean over experts, at norm 1.

    That direction is most of every state. Left in, all rows are nearly the same at norm 1, and all
    probabilities nearly even.
    """
    x_ND = x_ND.double()
    positives: list[torch.Tensor] = []
    for expert in range(num_experts):
        own_ND = x_ND[(labels_N == expert) & (signs_N > 0)]
        if not len(own_ND):
            raise UserError(
                f"expert {expert} has no positive prompt", "give every expert at least one"
            )
        positives.append(own_ND.mean(0))
    positive_ED = torch.stack(positives)
    weight_ED = positive_ED.clone()
    for expert in range(num_experts):
        negative_ND = x_ND[(labels_N == expert) & (signs_N < 0)]
        if len(negative_ND):
            weight_ED[expert] -= negative_ND.mean(0)
    shared_D = torch.nn.functional.normalize(positive_ED.mean(0), dim=0)
    weight_ED = weight_ED - (weight_ED @ shared_D)[:, None] * shared_D
    _refuse_alike(weight_ED, float(positive_ED.norm(dim=-1).mean()))
    return torch.nn.functional.normalize(weight_ED, dim=-1).float()


def _refuse_alike(weight_ED: torch.Tensor, scale: float) -> None:
    """Two experts whose rows are the same cannot be told apart by any input."""
    distance_EE = torch.cdist(weight_ED, weight_ED)
    distance_EE.fill_diagonal_(torch.inf)
    first, second = divmod(int(distance_EE.argmin()), len(weight_ED))
    if float(distance_EE.min()) <= 1e-5 * scale:
        raise UserError(
            f"the prompts of experts {first} and {second} look the same to the router",
            "give them prompts that differ, or fit the router on labelled text",
        )
