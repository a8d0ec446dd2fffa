"""pass@k over verdicts: the mean over problems, how sure it is, how small a change it can show."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from codemoe.evaluate.sandbox.records import STATUSES, Verdict

Interval = tuple[float, float]


def summarise(verdicts: Sequence[Verdict], k: Sequence[int]) -> dict[str, Any]:
    """n, passed, by_status, pass_at_k and its interval, in all and by language; keys are texts.

    Statuses that say nothing about a program are counted under `not_run` and left out elsewhere.
    """
    languages: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        languages[verdict.language].append(verdict)
    by_language = {name: _figures(languages[name], k) for name in sorted(languages)}
    return {**_figures(verdicts, k), "by_language": by_language}


def per_problem(verdicts: Sequence[Verdict], k: int) -> dict[str, float]:
    """pass@k of every problem that has k samples or more, by id."""
    from codemoe.evaluate.statistics import pass_at_k

    counted = [verdict for verdict in verdicts if verdict.counted]
    tries: Counter[str] = Counter(verdict.id for verdict in counted)
    passes: Counter[str] = Counter(v.id for v in counted if v.status == "pass")
    return {name: pass_at_k(n, passes[name], k) for name, n in tries.items() if n >= k}


def mean_interval(values: Sequence[float]) -> Interval | None:
    """95 % interval of a mean of per-problem values in 0 to 1; None for no values.

    Wilson's where every value is 0 or 1, or all are the same (a bootstrap of fifty failures would
    be sure of 0), else the percentile bootstrap over problems.
    """
    from codemoe.evaluate.statistics import bootstrap_interval, share_interval

    if not values:
        return None
    if all(value in (0.0, 1.0) for value in values) or len(set(values)) == 1:
        return share_interval(sum(values) / len(values), len(values))
    return bootstrap_interval(values)


def _figures(verdicts: Sequence[Verdict], k: Sequence[int]) -> dict[str, Any]:
    from codemoe.evaluate.statistics import detectable_difference

    found = Counter(verdict.status for verdict in verdicts)
    counted = sum(verdict.counted for verdict in verdicts)
    by_k = {str(size): list(per_problem(verdicts, size).values()) for size in k}
    means = {size: sum(vs) / len(vs) if vs else None for size, vs in by_k.items()}
    first, values = next(iter(by_k.items()), ("", []))
    mean = means.get(first)
    return {
        "n": counted,
        "passed": found["pass"],
        "not_run": len(verdicts) - counted,
        "by_status": {status: found[status] for status in STATUSES if found[status]},
        "pass_at_k": means,
        "pass_at_k_interval": {
            size: None if (pair := mean_interval(vs)) is None else list(pair)
            for size, vs in by_k.items()
        },
        "detectable_difference": (
            None if mean is None else detectable_difference(len(values), share=mean)
        ),
    }
