"""The mixture minus each other model on the same tasks: by CodeBLEU, and by programs that pass."""

from codemoe.evaluate.report.compare import Gap, ValueOf, gap_between
from codemoe.evaluate.report.read import Answer, Evaluation
from codemoe.evaluate.report.summary import MIXTURE
from codemoe.evaluate.report.table import Cell, Table
from codemoe.evaluate.report.words import DASH, interval, model_label, score, standing
from codemoe.evaluate.sandbox.records import NOT_COUNTED

COLUMNS = ("Model", "Difference", "p", "The mixture is")
_HOW = (
    "by paired bootstrap over tasks. Unseen: so small a true gap would probably not show with so "
    "many tasks (less than 80 % power at the 5 % level)."
)


def against_each(evaluation: Evaluation) -> Table | None:
    """CodeBLEU; None without a mixture or anything to compare it with."""
    rows = _rows(evaluation, lambda answer: answer.codebleu)
    if not rows:
        return None
    return Table(
        "against",
        "The mixture against each model, on the same tasks",
        COLUMNS,
        rows,
        f"Difference in CodeBLEU, mixture minus model, {_HOW}",
    )


def tested_against(evaluation: Evaluation) -> Table | None:
    """Programs that pass; None where tests did not run."""
    rows = _rows(evaluation, _passed)
    if not rows:
        return None
    return Table(
        "tested-against",
        "pass@1: the mixture against each model, on the same tasks",
        COLUMNS,
        rows,
        f"Difference in the share of programs that pass, mixture minus model, {_HOW}",
    )


def _passed(answer: Answer) -> float | None:
    if answer.status is None or answer.status in NOT_COUNTED:
        return None
    return float(answer.status == "pass")


def _rows(evaluation: Evaluation, value_of: ValueOf) -> tuple[tuple[Cell, ...], ...]:
    mixture = evaluation.models.get(MIXTURE)
    if mixture is None:
        return ()
    gaps = {
        name: gap_between(mixture, model, value_of)
        for name, model in evaluation.models.items()
        if name != MIXTURE
    }
    return tuple(_row(name, gap) for name, gap in gaps.items() if gap is not None)


def _row(name: str, gap: Gap) -> tuple[Cell, ...]:
    found = gap.found
    identical = found.difference == 0 and found.interval == (0.0, 0.0)
    p = f"{found.p:.3f}" if found.p >= 0.001 else "< 0.001"
    unsure = found.interval[0] <= 0 <= found.interval[1] and not identical
    return (
        Cell(model_label(name), name if model_label(name) != name else ""),
        Cell(score(found.difference), interval(found.interval), strong=True),
        Cell(DASH if identical else p),
        Cell(
            "identical" if identical else standing(found.interval),
            f"a gap under {score(gap.least)} would be unseen" if unsure and gap.least else "",
        ),
    )
