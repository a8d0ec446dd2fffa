"""Published suites in the report: pass@k of every model, with what so few problems can show."""

from collections.abc import Iterator

from codemoe.evaluate.report.read import Evaluation, SuiteResult
from codemoe.evaluate.report.summary import MIXTURE
from codemoe.evaluate.report.table import Cell, Table
from codemoe.evaluate.report.words import DASH, NOT_RUN, interval, model_label, percent

SIDE_BY_SIDE = 5  # suites in one table: more would not fit on paper


def suites_tables(evaluation: Evaluation) -> Iterator[Table]:
    """One row a model, one column a suite; several tables for many suites."""
    suites: dict[str, SuiteResult] = {}
    for model in evaluation.models.values():
        suites |= {name: one for name, one in model.suites.items() if name not in suites}
    names = list(suites)
    for start in range(0, len(names), SIDE_BY_SIDE):
        some = names[start : start + SIDE_BY_SIDE]
        yield Table(
            f"suites-{start // SIDE_BY_SIDE + 1}",
            "Published suites: pass@k" + (", continued" if start else ""),
            ("Model", *(f"{name} pass@{_first_k(suites[name])}" for name in some)),
            tuple(
                (Cell(model_label(key), key), *(_cell(model.suites.get(name)) for name in some))
                for key, model in evaluation.models.items()
            ),
            _foot(evaluation, {name: suites[name] for name in some}),
            model_label(MIXTURE),
        )


def _first_k(suite: SuiteResult) -> str:
    return next(iter(suite.pass_at_k or {"1": None}))


def _cell(suite: SuiteResult | None) -> Cell:
    """pass@k for the first k; its interval and the other k beside it."""
    if suite is None:
        return Cell(DASH, "not asked", muted=True)
    values, intervals = suite.pass_at_k or {}, suite.pass_at_k_interval or {}
    first = _first_k(suite)
    value = values.get(first)
    if value is None:
        return Cell(NOT_RUN, muted=True)
    notes = [interval(intervals.get(first), 1, 100)]
    notes += [f"@{k} {percent(v)}" for k, v in values.items() if k != first and v is not None]
    return Cell(percent(value), "; ".join(note for note in notes if note))


def _foot(evaluation: Evaluation, suites: dict[str, SuiteResult]) -> str:
    said = ["Unbiased estimator, 95 % intervals over problems."]
    for name, suite in suites.items():
        drawn = "one answer each" if suite.samples == 1 else f"{suite.samples} answers each"
        found = [
            model.suites[name].detectable_difference
            for model in evaluation.models.values()
            if name in model.suites
        ]
        known = [value for value in found if value is not None]
        least = (
            f"; a change below about {percent(max(known), 0)} cannot be told from chance"
            if known
            else ""
        )
        said.append(f"{name}: {suite.problems:,} problems, {drawn}{least}.")
    return " ".join(said)
