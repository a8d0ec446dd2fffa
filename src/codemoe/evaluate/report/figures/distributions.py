"""Distributions of per-answer CodeBLEU: the reference paper's Figures 3 and 4, mirrored."""

from typing import TYPE_CHECKING

import numpy as np

from codemoe.evaluate.report.figures.figure import Figure, Theme, bare, canvas
from codemoe.evaluate.report.read import Evaluation
from codemoe.evaluate.report.summary import BASE, EXPERT, MIXTURE
from codemoe.evaluate.report.words import language_label, model_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

BINS = 25
_READING = (
    "Each side is scaled to its own highest bin; ticks mark the means. The last bin holds the "
    "perfect answers."
)


def before_after(evaluation: Evaluation) -> Figure | None:
    return _mirrored(
        evaluation,
        "distribution-experts",
        "Scores before and after fine-tuning",
        EXPERT,
        f"CodeBLEU of single answers: the base below the line, each language's expert above it. "
        f"{_READING}",
    )


def base_mixture(evaluation: Evaluation) -> Figure | None:
    return _mirrored(
        evaluation,
        "distribution-mixture",
        "Scores of base and mixture",
        MIXTURE,
        f"CodeBLEU of single answers: the base below the line, the mixture above it. {_READING}",
    )


def _mirrored(
    evaluation: Evaluation, name: str, title: str, above: str, caption: str
) -> Figure | None:
    if BASE not in evaluation.models or above not in evaluation.models:
        return None
    low, high = evaluation.models[BASE].scores, evaluation.models[above].scores
    languages = [lang for lang in evaluation.languages if low.get(lang) and high.get(lang)]
    if not languages:
        return None
    rows = [
        (model, language, value)
        for model, scores in ((BASE, low), (above, high))
        for language in languages
        for value in scores[language]
    ]

    def draw(theme: Theme) -> "Canvas":
        figure = canvas(0.45 + 0.92 * len(languages))
        all_axes = figure.subplots(len(languages), 1, sharex=True, squeeze=False)[:, 0]
        for axes, language in zip(all_axes, languages, strict=True):
            _row(axes, theme, language, above, low[language], high[language])
        all_axes[-1].tick_params(labelbottom=True)
        all_axes[-1].set_xlabel("CodeBLEU of one answer")
        return figure

    return Figure(name, title, caption, ("model", "language", "codebleu"), rows, draw)


def _row(
    axes: "Axes", theme: Theme, language: str, above: str, low: list[float], high: list[float]
) -> None:
    edges = np.linspace(0, 1, BINS + 1)
    for values, sign, model in ((high, 1, above), (low, -1, BASE)):
        counts, _ = np.histogram(np.clip(values, 0, 1), edges)
        heights = sign * counts / counts.max()
        colour = theme.of_model(model)
        axes.bar(edges[:-1], heights, np.diff(edges), align="edge", color=colour, lw=0)
        mean = float(np.mean(values))
        axes.plot([mean, mean], [0, sign * 1.12], color=theme.ink, lw=1.1)
        left = mean > 0.82
        axes.annotate(
            f"{mean:.2f}",
            (mean, sign * 1.12),
            (-3 if left else 3, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="top" if sign > 0 else "bottom",
            color=colour,
            fontweight="bold",
            fontsize=8.5,
        )
    axes.axhline(0, color=theme.rule, lw=0.8)
    axes.text(0, 1.05, language_label(language), fontweight="bold", va="top")
    if axes.get_subplotspec() is not None and axes.get_subplotspec().is_first_row():  # type: ignore[union-attr]
        axes.text(0, 0.52, model_label(above), color=theme.of_model(above), va="top", fontsize=8)
        axes.text(0, -0.52, model_label(BASE), color=theme.of_model(BASE), va="bottom", fontsize=8)
    axes.set_ylim(-1.2, 1.2)
    axes.set_xlim(-0.005, 1.005)
    axes.set_yticks([])
    bare(axes)
