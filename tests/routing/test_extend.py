"""One more expert in a fitted router: the old rows stay, and so does what they decide."""

import torch

from codemoe.routing.extend import MAX_OLD_CHANGED, ExtendedRouter, extend_router
from codemoe.routing.fit import FittedRouter, fit_router
from codemoe.routing.routers import LinearRouter

OLD, D = 3, 12


def _blobs(num: int, spread: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """`num` samples of each of four classes, the last of them new to the router."""
    centres_ED = 3 * torch.randn(OLD + 1, D, generator=torch.Generator().manual_seed(7))
    labels_N = torch.arange(num * (OLD + 1)) % (OLD + 1)
    noise_ND = torch.randn(len(labels_N), D, generator=torch.Generator().manual_seed(seed))
    return centres_ED[labels_N] + spread * noise_ND, labels_N


def _old_router(x_ND: torch.Tensor, labels_N: torch.Tensor) -> FittedRouter:
    old_N = labels_N < OLD
    return fit_router(x_ND[old_N], labels_N[old_N], OLD)


def _extended(
    spread: float, num: int = 100
) -> tuple[FittedRouter, ExtendedRouter, torch.Tensor, torch.Tensor]:
    x_ND, labels_N = _blobs(num, spread)
    old = _old_router(*_blobs(num, spread, seed=1))
    return old, extend_router(x_ND, labels_N == OLD, old.weight_ED, old.bias_E), x_ND, labels_N


def _chosen(weight_ED: torch.Tensor, bias_E: torch.Tensor, x_ND: torch.Tensor) -> torch.Tensor:
    return LinearRouter(weight_ED, bias_E)(x_ND).experts_NK[:, 0]


def test_old_rows_are_the_same_bits() -> None:
    old, new, _, _ = _extended(2.0)
    assert torch.equal(new.weight_ED[:OLD], old.weight_ED)
    assert torch.equal(new.bias_E[:OLD], old.bias_E)
    assert new.weight_ED.shape == (OLD + 1, D)
    assert new.weight_ED.dtype == old.weight_ED.dtype


def test_what_can_be_told_apart_is_told_apart() -> None:
    old, new, x_ND, labels_N = _extended(0.3)
    assert torch.equal(new.taken_N, labels_N == OLD)
    # Also of samples that nothing was fitted on.
    for x_MD, labels_M in ((x_ND, labels_N), _blobs(200, 0.3, seed=2)):
        chosen_M = _chosen(new.weight_ED, new.bias_E, x_MD)
        was_M = _chosen(old.weight_ED, old.bias_E, x_MD)
        assert torch.equal(chosen_M, torch.where(labels_M == OLD, OLD, was_M))


def test_old_decisions_hold_within_the_bound() -> None:
    """Where the classes overlap, the new expert goes without rather than take what is not its."""
    old, new, x_ND, labels_N = _extended(3.0, num=400)
    is_old_N = labels_N < OLD
    changed = _chosen(new.weight_ED, new.bias_E, x_ND) != _chosen(old.weight_ED, old.bias_E, x_ND)
    # One sample more than the bound: the row is not the one that the threshold was found with.
    assert changed[is_old_N].sum() <= MAX_OLD_CHANGED * is_old_N.sum() + 1
    assert 0 < new.taken_N[~is_old_N].double().mean() < 1
    fresh_MD, labels_M = _blobs(400, 3.0, seed=3)
    taken_M = _chosen(new.weight_ED, new.bias_E, fresh_MD) == OLD
    assert taken_M[labels_M < OLD].double().mean() <= 3 * MAX_OLD_CHANGED
    # What was measured on held-out folds is what happens.
    assert (
        abs(
            float(taken_M[labels_M == OLD].double().mean() - new.taken_N[~is_old_N].double().mean())
        )
        < 0.1
    )


def test_a_looser_bound_gives_the_new_expert_more() -> None:
    x_ND, labels_N = _blobs(400, 4.0)
    old = _old_router(*_blobs(400, 4.0, seed=1))
    is_new_N = labels_N == OLD
    shares = []
    for bound in (0.0, 0.005, 1.0):
        new = extend_router(x_ND, is_new_N, old.weight_ED, old.bias_E, max_old_changed=bound)
        shares.append([float(new.taken_N[mask].double().mean()) for mask in (is_new_N, ~is_new_N)])
    assert shares[0][0] < shares[1][0] < shares[2][0]
    # The wrong twin of the bound: without one, old routing does change.
    assert shares[2][1] > 5 * MAX_OLD_CHANGED


def test_a_huge_offset_takes_everything() -> None:
    """The wrong twin of the threshold: the row alone, pushed up, does change old routing."""
    _, new, x_ND, _ = _extended(0.3)
    bias_E = new.bias_E.clone()
    bias_E[-1] += 100 * float(new.bias_E.abs().max())
    assert (_chosen(new.weight_ED, bias_E, x_ND) == OLD).all()


def test_what_cannot_be_told_apart_stays_with_the_old() -> None:
    """The same samples under both labels, as a text that names no language has."""
    x_ND, labels_N = _blobs(100, 1.0)
    old = _old_router(x_ND, labels_N)
    twice_ND = torch.cat([x_ND[labels_N < OLD], x_ND[labels_N < OLD]])
    is_new_N = torch.arange(len(twice_ND)) >= len(twice_ND) // 2
    groups_N = torch.arange(len(twice_ND)) % (len(twice_ND) // 2)
    new = extend_router(twice_ND, is_new_N, old.weight_ED, old.bias_E, groups_N=groups_N)
    assert new.taken_N.double().mean() <= MAX_OLD_CHANGED
    # Beside such samples, those that can be told apart are.
    mixed_ND = torch.cat([x_ND, x_ND[labels_N < OLD]])
    is_new_N = torch.cat([labels_N == OLD, torch.ones(len(mixed_ND) - len(x_ND), dtype=torch.bool)])
    new = extend_router(mixed_ND, is_new_N, old.weight_ED, old.bias_E)
    assert new.taken_N[: len(x_ND)][labels_N == OLD].double().mean() > 0.97
    assert new.taken_N[: len(x_ND)][labels_N < OLD].double().mean() <= 2 * MAX_OLD_CHANGED


def test_the_new_row_is_on_the_scale_of_the_old_ones() -> None:
    """Old logits times 3 give a new row times 3; old logits plus 5, a new bias plus 5."""
    x_ND, labels_N = _blobs(100, 1.0)
    old = _old_router(x_ND, labels_N)
    plain = extend_router(x_ND, labels_N == OLD, old.weight_ED, old.bias_E)
    scaled = extend_router(x_ND, labels_N == OLD, 3 * old.weight_ED, 3 * old.bias_E)
    assert torch.allclose(scaled.weight_ED[-1], 3 * plain.weight_ED[-1], rtol=1e-4, atol=1e-4)
    assert torch.allclose(scaled.bias_E[-1], 3 * plain.bias_E[-1], rtol=1e-4, atol=1e-4)
    shifted = extend_router(x_ND, labels_N == OLD, old.weight_ED, old.bias_E + 5)
    assert torch.allclose(shifted.weight_ED[-1], plain.weight_ED[-1], rtol=1e-4, atol=1e-4)
    assert torch.allclose(shifted.bias_E[-1], plain.bias_E[-1] + 5, rtol=1e-4, atol=1e-4)
    # The new expert wins by about as much as an old one does.
    logits_NE = x_ND @ plain.weight_ED.T + plain.bias_E
    lead_N = logits_NE.topk(2).values.diff(dim=1)[:, 0].neg()
    new_lead, old_lead = lead_N[labels_N == OLD].median(), lead_N[labels_N < OLD].median()
    assert 1 / 3 < float(new_lead / old_lead) < 3


def test_the_order_of_the_old_experts_does_not_matter() -> None:
    x_ND, labels_N = _blobs(60, 1.0)
    old = _old_router(x_ND, labels_N)
    plain = extend_router(x_ND, labels_N == OLD, old.weight_ED, old.bias_E)
    order = [2, 0, 1]
    other = extend_router(x_ND, labels_N == OLD, old.weight_ED[order], old.bias_E[order])
    assert torch.equal(other.weight_ED[-1], plain.weight_ED[-1])
    assert torch.equal(other.taken_N, plain.taken_N)


def test_one_old_expert_is_enough() -> None:
    x_ND, labels_N = _blobs(60, 0.3)
    new = extend_router(x_ND, labels_N == OLD, torch.zeros(1, D), torch.zeros(1))
    assert torch.equal(new.taken_N, labels_N == OLD)


def test_groups_stay_in_one_fold() -> None:
    """Copies of one sample on both sides of a fold would make noise look learnable."""
    x_ND = torch.randn(40, 60, generator=torch.Generator().manual_seed(0)).repeat_interleave(5, 0)
    is_new_N = (torch.arange(40) % 2 == 0).repeat_interleave(5)
    groups_N = torch.arange(40).repeat_interleave(5)
    old = torch.zeros(1, 60), torch.zeros(1)
    leaky = extend_router(x_ND, is_new_N, *old).taken_N
    honest = extend_router(x_ND, is_new_N, *old, groups_N=groups_N).taken_N
    assert leaky[is_new_N].double().mean() > 0.95
    assert honest[is_new_N].double().mean() < 0.5
