"""Add one expert to a fitted router. The old experts' rows stay as they are, bit for bit.

The new expert takes a sample where its logit z(x) is above m(x), the best of the old logits, and
that is the only way in which routing can change. So the margin z - m is what is fitted. z is the
ridge regression of m(x) + d on samples of the new expert and of m(x) - d on those of the old ones,
where d is the lead that winners usually have among the old logits. So the new row is on their
scale, and where new text looks like one old language (m is linear there) it may follow that
language's row. A one-vs-rest score, the row that a router fitted on all languages at once would
have, needs a scale to be compared with m, and none of those tried did better.

Then the bias moves to where held-out samples are told apart with the fewest mistakes, while at most
`max_old_changed` of the old ones change (a Neyman-Pearson threshold). What cannot be told apart,
such as one description in two languages with neither named, therefore stays where it was.
"""

# N samples, D features, E experts (the new one last in the result), F folds

from dataclasses import dataclass

import torch

from codemoe.routing.fit import solve_ridge

MAX_OLD_CHANGED = 0.01


@dataclass(frozen=True)
class ExtendedRouter:
    """The old rows and the new expert's after them."""

    weight_ED: torch.Tensor
    bias_E: torch.Tensor
    # Cross-validated, row and threshold both: the new expert takes this sample.
    taken_N: torch.Tensor


def extend_router(
    x_ND: torch.Tensor,
    is_new_N: torch.Tensor,
    weight_ED: torch.Tensor,
    bias_E: torch.Tensor,
    *,
    ridge: float = 1e-2,
    folds: int = 5,
    groups_N: torch.Tensor | None = None,
    max_old_changed: float = MAX_OLD_CHANGED,
) -> ExtendedRouter:
    """One more row, fitted on samples of the new expert (`is_new_N`) and of the old ones.

    `groups_N` (int64) keeps samples of one group (one problem, one document) in one fold. There
    must be samples of both kinds in at least two folds.
    """
    x_ND = x_ND.double()
    old_NE = x_ND @ weight_ED.double().T + bias_E.double()
    best_N = old_NE.amax(-1)
    lead = _usual_lead(old_NE[~is_new_N])
    target_N1 = (best_N + torch.where(is_new_N, lead, -lead))[:, None]
    groups_N = torch.arange(len(x_ND)) if groups_N is None else groups_N
    fold_N = torch.unique(groups_N, return_inverse=True)[1] % folds
    margin_N = torch.empty_like(best_N)
    for test_N in _folds(fold_N):
        weight_1D, bias_1 = solve_ridge(x_ND[~test_N], target_N1[~test_N], ridge, True)
        margin_N[test_N] = (x_ND[test_N] @ weight_1D.T + bias_1)[:, 0] - best_N[test_N]
    taken_N = torch.empty_like(is_new_N)
    for test_N in _folds(fold_N):
        threshold = _threshold(
            margin_N[~test_N], is_new_N[~test_N], len(weight_ED), max_old_changed
        )
        taken_N[test_N] = margin_N[test_N] > threshold
    threshold = _threshold(margin_N, is_new_N, len(weight_ED), max_old_changed)
    weight_1D, bias_1 = solve_ridge(x_ND, target_N1, ridge, True)
    return ExtendedRouter(
        weight_ED=torch.cat([weight_ED, weight_1D.to(weight_ED.dtype)]),
        bias_E=torch.cat([bias_E, (bias_1 - threshold).to(bias_E.dtype)]),
        taken_N=taken_N,
    )


def _folds(fold_N: torch.Tensor) -> list[torch.Tensor]:
    """The test mask of each fold."""
    return [fold_N == fold for fold in fold_N.unique()]


def _usual_lead(logits_NE: torch.Tensor) -> float:
    """How far the winner usually is ahead of the second; 1 where there is none to compare with."""
    if logits_NE.shape[1] == 1:
        return 1.0
    first_N, second_N = logits_NE.topk(2).values.T
    return float((first_N - second_N).median()) or 1.0


def _threshold(
    margin_N: torch.Tensor, is_new_N: torch.Tensor, num_old: int, max_old_changed: float
) -> float:
    """The margin above which the new expert takes a sample.

    Of the cuts between sorted samples that leave at most `max_old_changed` of the old ones above,
    the one with the fewest mistakes, each of the E + 1 experts counting the same; in the middle of
    its gap.
    """
    order_N = margin_N.argsort()
    sorted_N, new_N = margin_N[order_N], is_new_N[order_N].double()
    zero = new_N.new_zeros(1)
    # Cut i lies below sample i; the last one lies above all.
    old_above = torch.cat([(1 - new_N).flip(0).cumsum(0).flip(0), zero]) / (1 - new_N).sum()
    new_below = torch.cat([zero, new_N.cumsum(0)]) / new_N.sum()
    span = sorted_N[-1:] - sorted_N[:1]
    edges = torch.cat([sorted_N[:1] - span, sorted_N, sorted_N[-1:] + span])
    usable = (old_above <= max_old_changed) & (edges[1:] > edges[:-1])
    cost = torch.where(usable, num_old * old_above + new_below, torch.inf)
    cut = int(cost.argmin())
    return float((edges[cut] + edges[cut + 1]) / 2)
