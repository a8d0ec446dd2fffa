from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codemoe.errors import UserError
from codemoe.evaluate.report.compare import (
    difference,
    over_languages,
    paired_scores,
    ratio,
    ratio_interval,
)
from codemoe.evaluate.report.read import read_evaluation
from codemoe.evaluate.statistics import share_interval


def test_ratio_of_proportional_scores_is_exact() -> None:
    b = np.random.default_rng(0).random(40) + 0.1
    low, high = ratio_interval(0.5 * b, b) or (0, 0)
    assert low == pytest.approx(0.5)
    assert high == pytest.approx(0.5)


def test_ratio_interval_is_near_the_delta_method() -> None:
    """Var(mean a / mean b) is about Var(a - r b) / (n mean(b)^2)."""
    rng = np.random.default_rng(1)
    b = rng.uniform(0.4, 1.0, 300)
    a = 0.9 * b + rng.normal(0, 0.1, 300)
    r = a.mean() / b.mean()
    half = 1.96 * (a - r * b).std() / np.sqrt(300) / b.mean()
    low, high = ratio_interval(a, b) or (0, 0)
    assert low == pytest.approx(r - half, abs=0.15 * half)
    assert high == pytest.approx(r + half, abs=0.15 * half)
    # Pairing matters: the same numbers in another order are far less certain.
    shuffled = ratio_interval(rng.permutation(a), b) or (0, 0)
    assert shuffled[1] - shuffled[0] > 1.5 * (high - low)


def test_ratio_interval_edges() -> None:
    assert ratio_interval([0.2, 0.4], [0.0, 0.0]) is None
    assert ratio_interval([0.0, 0.0], [0.5, 0.5]) == (0.0, 0.0)
    assert ratio_interval([0.3], [0.6]) == (0.5, 0.5)
    with pytest.raises(UserError, match="pairs"):
        ratio_interval([0.3, 0.2], [0.6])
    with pytest.raises(UserError, match="pairs"):
        ratio_interval([], [])


def test_wilson_interval() -> None:
    z2 = 1.959964**2
    assert share_interval(0.0, 10) == pytest.approx((0.0, z2 / (10 + z2)))
    low, high = share_interval(0.5, 96) or (0, 0)
    assert low + high == pytest.approx(1.0)
    # The value of Wilson's formula for 3 of 20, worked by hand.
    assert share_interval(0.15, 20) == pytest.approx((0.0524, 0.3604), abs=1e-4)
    assert share_interval(0.0, 0) is None


def test_models_are_paired_by_id_not_by_place(full_run: Path) -> None:
    models = read_evaluation(full_run).models
    mixture, base = models["moe-sequence"], models["base"]
    backwards = replace(base, answers=dict(reversed(base.answers.items())))
    assert ratio(mixture, base, "java") == ratio(mixture, backwards, "java")
    a, b = paired_scores(mixture, backwards)
    assert len(a) == len(b) == 96
    assert a.mean() == pytest.approx(mixture.total.codebleu)
    assert b.mean() == pytest.approx(base.total.codebleu)


def test_without_answers_a_ratio_has_no_interval(full_run: Path) -> None:
    models = read_evaluation(full_run).models
    mute = replace(models["base"], answers={})
    found = ratio(models["moe-sequence"], mute)
    assert found is not None
    assert found.interval is None
    assert found.value == pytest.approx(
        models["moe-sequence"].total.codebleu / models["base"].total.codebleu
    )
    assert difference(models["moe-sequence"], mute) is None


def test_totals_over_some_languages(partial_run: Path) -> None:
    """Where a language has no expert, "all" must not compare 60 tasks with 48."""
    models = read_evaluation(partial_run).models
    expert, mixture = models["expert"], models["moe-sequence"]
    assert "rust" not in expert.languages
    common = over_languages(mixture, expert.languages)
    assert common is not None
    assert (common.n, mixture.total.n) == (48, 60)
    parts = [mixture.languages[name].codebleu for name in expert.languages]
    assert common.codebleu == pytest.approx(np.mean(parts))
    assert over_languages(expert, expert.languages) is expert.total
    kept = ratio(mixture, expert)
    assert kept is not None
    assert kept.n == 48
    assert kept.value == pytest.approx(common.codebleu / expert.total.codebleu)
