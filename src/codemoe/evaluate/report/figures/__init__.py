"""The report's figures: each one its data (saved as CSV) and how to draw it in either theme."""

from collections.abc import Mapping

from codemoe.evaluate.report.figures import comparison, cost, distributions, routing, training
from codemoe.evaluate.report.figures.figure import DARK, LIGHT, Figure, Theme, csv_text, png
from codemoe.evaluate.report.read import Evaluation

__all__ = ["DARK", "LIGHT", "Figure", "Theme", "all_figures", "csv_text", "png"]


def all_figures(
    evaluation: Evaluation, thresholds: Mapping[str, float | None]
) -> dict[str, Figure]:
    """Every figure that the evaluated models allow, by name, in reading order."""
    made = (
        distributions.before_after(evaluation),
        distributions.base_mixture(evaluation),
        comparison.models(evaluation),
        comparison.retention(evaluation, thresholds.get("retention")),
        routing.confusion(evaluation),
        routing.wrong_language(evaluation),
        routing.token_load(evaluation),
        routing.gate_accuracy(evaluation),
        comparison.outcomes(evaluation),
        cost.speed(evaluation),
        cost.parameters(evaluation),
        training.curves(evaluation),
    )
    return {figure.name: figure for figure in made if figure is not None}
