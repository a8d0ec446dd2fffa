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
    "Each side is scaled to its own highest bin; strokes mark the means. The last bin holds the "
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
        figure = canvas(0.75 + 0.8 * len(languages))
        all_axes = figure.subplots(len(languages), 1, sharex=True, squeeze=False)[:, 0]
        for axes, language in zip(all_axes, languages, strict=True):
            _row(axes, theme, language, above, low[language], high[language])
        all_axes[0].text(
            1.03, 1.35, "mean", transform=all_axes[0].get_yaxis_transform(), va="bottom",
            color=theme.muted, fontsize=8,
        )  # fmt: skip
        all_axes[-1].tick_params(labelbottom=True)
        all_axes[-1].set_xlabel("CodeBLEU of one answer")
        for model in (above, BASE):
            all_axes[0].bar(0, 0, color=theme.of_model(model), label=model_label(model))
        figure.legend(loc="outside upper center", ncols=2, handlelength=0.9, handleheight=0.9)
        return figure

    return Figure(name, title, caption, ("model", "language", "codebleu"), rows, draw)


def _row(
    axes: "Axes", theme: Theme, language: str, above: str, low: list[float], high: list[float]
) -> None:
    edges = np.linspace(0, 1, BINS + 1)
    for values, sign, model in ((high, 1, above), (low, -1, BASE)):
        counts, _ = np.histogram(np.clip(values, 0, 1), edges)
        colour = theme.of_model(model)
        axes.stairs(sign * counts / counts.max(), edges, fill=True, color=colour, lw=0)
        mean = float(np.mean(values))
        axes.plot([mean, mean], [0, sign * 1.25], color=theme.ink, lw=1)
        axes.text(
            1.03, sign * 0.62, f"{mean:.2f}", transform=axes.get_yaxis_transform(), va="center",
            color=colour, fontweight="bold",
        )  # fmt: skip
    axes.axhline(0, color=theme.rule, lw=0.8)
    axes.set_ylim(-1.3, 1.3)
    axes.set_xlim(-0.005, 1.005)
    axes.set_yticks([0], [language_label(language)])
    bare(axes)
