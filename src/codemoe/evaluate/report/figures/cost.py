"""Quality beside cost: tokens per second against CodeBLEU."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codemoe.evaluate.report.figures.figure import Figure, Theme, bare, canvas
from codemoe.evaluate.report.read import Evaluation
from codemoe.evaluate.report.summary import MIXTURE
from codemoe.evaluate.report.words import model_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def cost_quality(evaluation: Evaluation) -> Figure | None:
    known = {n: m for n, m in evaluation.models.items() if m.cost.tokens_per_s}
    if len(known) < 2:
        return None
    rows = [
        (
            name,
            model.cost.tokens_per_s,
            model.cost.active_parameters,
            model.cost.total_parameters,
            model.total.codebleu,
            *(model.total.codebleu_interval or (None, None)),
        )
        for name, model in known.items()
    ]

    def draw(theme: Theme) -> "Canvas":
        figure = canvas(2.9)
        axes = figure.subplots()
        speeds = [model.cost.tokens_per_s or 0.0 for model in known.values()]
        heights = [model.total.codebleu for model in known.values()]
        low, high = min(speeds), max(speeds)
        if high > 8 * low:
            axes.set_xscale("log")
            axes.set_xlim(low / 1.3, high * 1.3)
        else:
            margin = max(0.08 * (high - low), 0.02 * high)
            axes.set_xlim(low - margin, high + margin)
        top, bottom = min(1.0, max(heights) + 0.06), max(0.0, min(heights) - 0.06)
        axes.set_ylim(bottom, top)
        label_at = _spread(heights, (top - bottom) * 0.075, bottom, top)
        for (name, model), x, y, text_y in zip(known.items(), speeds, heights, label_at, strict=True):
            colour = theme.of_model(name)
            if model.total.codebleu_interval:
                axes.plot([x, x], model.total.codebleu_interval, color=colour, lw=4, alpha=0.3)
            axes.plot(x, y, "o", color=colour, ms=7)
            axes.annotate(
                model_label(name), (x, y), (1.04, text_y),
                textcoords=axes.get_yaxis_transform(), va="center", annotation_clip=False,
                color=colour, fontsize=8.5, fontweight="bold" if name == MIXTURE else "normal",
                arrowprops={"arrowstyle": "-", "color": theme.rule, "lw": 0.7, "shrinkB": 4},
            )  # fmt: skip
        axes.set_xlabel("tokens per second")
        axes.set_ylabel("CodeBLEU")
        axes.grid(True)
        axes.tick_params(labelcolor=theme.muted)
        bare(axes)
        return figure

    return Figure(
        "cost-quality",
        "Quality and speed",
        "CodeBLEU with its 95 % interval against the tokens per second of the same evaluation; "
        "right and high is better.",
        (
            "model", "tokens_per_s", "active_parameters", "total_parameters",
            "codebleu", "codebleu_low", "codebleu_high",
        ),
        rows,
        draw,
    )  # fmt: skip


def _spread(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near `values`, at least `gap` apart and within low to high, in the same order."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    gap = min(gap, (high - low) / max(len(values), 1))
    places = [0.0] * len(values)
    floor = low
    for i in order:
        places[i] = max(values[i], floor)
        floor = places[i] + gap
    ceiling = high
    for i in reversed(order):
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - gap
    return places
