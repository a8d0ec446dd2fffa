"""Published suites in the report: pass@k of every model, with what so few problems can show."""

from codemoe.evaluate.report.read import Evaluation, SuiteResult
from codemoe.evaluate.report.summary import MIXTURE
from codemoe.evaluate.report.table import Cell, Table
from codemoe.evaluate.report.words import DASH, NOT_RUN, interval, model_label, percent


def suites_table(evaluation: Evaluation) -> Table | None:
    """One row a model, one column for each suite and k; None when no suite was asked."""
    columns: dict[tuple[str, str], SuiteResult] = {}
    for model in evaluation.models.values():
        for name, suite in model.suites.items():
            for k in suite.pass_at_k or {"1": None}:
                columns.setdefault((name, k), suite)
    if not columns:
        return None
    rows = []
    for name, model in evaluation.models.items():
        cells = [_cell(model.suites.get(suite), k) for suite, k in columns]
        rows.append((Cell(model_label(name), name), *cells))
    return Table(
        "suites",
        "Published suites: pass@k",
        ("Model", *(f"{suite} pass@{k}" for suite, k in columns)),
        tuple(rows),
        _foot(evaluation, {suite: result for (suite, _), result in columns.items()}),
        model_label(MIXTURE),
    )


def _cell(suite: SuiteResult | None, k: str) -> Cell:
    if suite is None:
        return Cell(DASH, "not asked", muted=True)
    value = (suite.pass_at_k or {}).get(k)
    if value is None:
        return Cell(NOT_RUN, muted=True)
    return Cell(percent(value), interval((suite.pass_at_k_interval or {}).get(k), 1, 100))


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
