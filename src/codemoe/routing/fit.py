"""Fit a linear router on labelled router inputs: seconds on a CPU, no gradient in any model."""

# N samples, D features, E experts, F folds

from dataclasses import dataclass
from typing import Literal

import torch

from codemoe.errors import UserError
from codemoe.routing.calibrate import minimise, temperature_scale


@dataclass(frozen=True)
class FittedRouter:
    """Weights for raw features, and how well they did on held-out folds."""

    weight_ED: torch.Tensor
    bias_E: torch.Tensor
    accuracy: float  # cross-validated
    log_loss: float  # cross-validated, after temperature calibration
    confusion_EE: torch.Tensor  # int64, rows are labels, columns predictions
    held_out_NE: torch.Tensor  # cross-validated logits, on the scale of the weights

    @property
    def predicted_N(self) -> torch.Tensor:
        """The choices, cross-validated."""
        return self.held_out_NE.argmax(-1)


def solve_ridge(
    x_ND: torch.Tensor, y_NE: torch.Tensor, ridge: float, bias: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Multi-output ridge regression to centred one-hot targets, in float64.

    `ridge` is relative to the mean feature variance, so that it means the same at every scale.
    """
    mean_D = x_ND.mean(0) if bias else torch.zeros_like(x_ND[0])
    centred_ND = x_ND - mean_D
    gram_DD = centred_ND.T @ centred_ND
    penalty = ridge * gram_DD.diagonal().mean().clamp_min(1e-12)
    gram_DD = gram_DD + penalty * torch.eye(len(gram_DD), dtype=gram_DD.dtype)
    weight_DE = torch.linalg.solve(gram_DD, centred_ND.T @ (y_NE - y_NE.mean(0)))
    bias_E = y_NE.mean(0) - mean_D @ weight_DE if bias else torch.zeros_like(y_NE[0])
    return weight_DE.T, bias_E


def _logistic(
    x_ND: torch.Tensor, y_NE: torch.Tensor, ridge: float, bias: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Multinomial logistic regression: mean log loss plus an L2 penalty, in float64 by L-BFGS.

    The penalty is ridge/2 times the squared weights on features scaled to a mean variance of 1, so
    that `ridge` means the same at every scale, and what it means to `solve_ridge`.
    """
    mean_D = x_ND.mean(0) if bias else torch.zeros_like(x_ND[0])
    scaled_ND = x_ND - mean_D
    scale = scaled_ND.square().mean().sqrt().clamp_min(1e-12)
    scaled_ND /= scale
    weight_ED = x_ND.new_zeros(y_NE.shape[1], x_ND.shape[1], requires_grad=True)
    bias_E = x_ND.new_zeros(y_NE.shape[1], requires_grad=bias)

    def objective() -> torch.Tensor:
        logits_NE = scaled_ND @ weight_ED.T + bias_E
        penalty = ridge / 2 * weight_ED.square().sum()
        return torch.nn.functional.cross_entropy(logits_NE, y_NE) + penalty

    minimise(objective, [weight_ED, bias_E] if bias else [weight_ED])
    weight_ED = weight_ED.detach() / scale
    return weight_ED, bias_E.detach() - weight_ED @ mean_D


Method = Literal["ridge", "logistic"]
_SOLVERS = {"ridge": solve_ridge, "logistic": _logistic}


def fit_router(
    x_ND: torch.Tensor,
    labels_N: torch.Tensor,
    num_experts: int,
    *,
    method: Method = "ridge",
    ridge: float = 1e-2,
    folds: int = 5,
    groups_N: torch.Tensor | None = None,
    bias: bool = True,
) -> FittedRouter:
    """Linear classifier with cross-validated accuracy and calibrated confidence.

    `ridge` is one linear solve, quickest for few features; `logistic` models the probabilities, and
    sees a class that lies between two others, which a ridge to one-hot targets cannot.
    `groups_N` (int64) keeps samples of one group (one problem, one document) in one fold.
    """
    solve = _SOLVERS[method]
    x_ND = x_ND.double()
    y_NE = torch.nn.functional.one_hot(labels_N, num_experts).double()
    groups_N = torch.arange(len(x_ND)) if groups_N is None else groups_N
    # Dense ranks, so that consecutive groups fall into different folds.
    ranks_N = torch.unique(groups_N, return_inverse=True)[1]
    for expert in range(num_experts):
        found = ranks_N[labels_N == expert].unique().numel()
        if found < 2:
            raise UserError(
                f"expert {expert} has samples of {found} groups (problems); cross-validation needs "
                "2 at least, one to fit on and one to judge by",
                "give each expert rows of more problems, or rows their own `group`",
            )
    fold_N = ranks_N % folds
    held_out_NE = torch.zeros_like(y_NE)
    for fold in range(folds):
        test_N = fold_N == fold
        if not test_N.any() or test_N.all():
            continue
        weight_ED, bias_E = solve(x_ND[~test_N], y_NE[~test_N], ridge, bias)
        held_out_NE[test_N] = x_ND[test_N] @ weight_ED.T + bias_E
    scale = temperature_scale(held_out_NE, labels_N)
    predicted_N = held_out_NE.argmax(-1)
    confusion_EE = torch.zeros(num_experts, num_experts, dtype=torch.int64)
    confusion_EE.index_put_((labels_N, predicted_N), torch.tensor(1), accumulate=True)
    weight_ED, bias_E = solve(x_ND, y_NE, ridge, bias)
    return FittedRouter(
        weight_ED=(weight_ED * scale).float(),
        bias_E=(bias_E * scale).float(),
        accuracy=float((predicted_N == labels_N).double().mean()),
        log_loss=float(torch.nn.functional.cross_entropy(held_out_NE * scale, labels_N)),
        confusion_EE=confusion_EE,
        held_out_NE=held_out_NE * scale,
    )
