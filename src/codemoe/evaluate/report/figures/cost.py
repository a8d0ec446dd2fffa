"""Quality beside cost: CodeBLEU against speed and against active parameters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from codemoe.evaluate.report.figures.figure import Figure, Theme, bare, canvas
from codemoe.evaluate.report.read import Evaluation
from codemoe.evaluate.report.summary import MIXTURE
from codemoe.evaluate.report.words import model_label, quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


def speed(evaluation: Evaluation) -> Figure | None:
    """Tokens per second against CodeBLEU."""
    return _scatter(
        evaluation,
        "cost-speed",
        "Quality and speed",
        "tokens_per_s",
        "tokens per second",
        "the tokens per second of the same evaluation; right and high is better.",
    )


def parameters(evaluation: Evaluation) -> Figure | None:
    """Parameters at work for one token against CodeBLEU."""
    return _scatter(
        evaluation,
        "cost-parameters",
        "Quality and size",
        "active_parameters",
        "active parameters",
        "the parameters at work for one token; left and high is better.",
    )


def _scatter(
    evaluation: Evaluation, figure_name: str, title: str, key: str, label: str, against: str
) -> Figure | None:
    known = {n: m for n, m in evaluation.models.items() if getattr(m.cost, key)}
    if len(known) < 2:
        return None
    rows = [
        (
            name,
            getattr(model.cost, key),
            model.total.codebleu,
            *(model.total.codebleu_interval or (None, None)),
        )
        for name, model in known.items()
    ]

    def draw(theme: Theme) -> "Canvas":
        figure = canvas(2.9)
        axes = figure.subplots()
        places = [float(getattr(model.cost, key)) for model in known.values()]
        heights = [model.total.codebleu for model in known.values()]
        _limit_x(axes, min(places), max(places))
        top, bottom = min(1.02, max(heights) + 0.06), max(-0.02, min(heights) - 0.06)
        axes.set_ylim(bottom, top)
        labels = _spread(heights, (top - bottom) * 0.078, bottom, top)
        for (name, model), x, y, at in zip(known.items(), places, heights, labels, strict=True):
            colour = theme.of_model(name)
            if model.total.codebleu_interval:
                axes.plot([x, x], model.total.codebleu_interval, color=colour, lw=4, alpha=0.3)
            axes.annotate(
                model_label(name), (x, y), (1.06, at), textcoords=axes.get_yaxis_transform(),
                va="center", annotation_clip=False, color=colour, fontsize=8.5,
                fontweight="bold" if name == MIXTURE else "normal",
                arrowprops={
                    "arrowstyle": "-", "color": colour, "alpha": 0.35, "lw": 0.8,
                    "relpos": (0, 0.5), "shrinkA": 1, "shrinkB": 3,
                },
            )  # fmt: skip
            axes.plot(x, y, "o", color=colour, mec=theme.paper, mew=0.8, ms=7.5, zorder=3)
        axes.xaxis.set_major_formatter(lambda x, _: quantity(x))
        axes.set_xlabel(label)
        axes.set_ylabel("CodeBLEU")
        axes.grid(True)
        axes.tick_params(labelcolor=theme.muted)
        bare(axes)
        return figure

    return Figure(
        figure_name,
        title,
        f"CodeBLEU with its 95 % interval against {against}",
        ("model", key, "codebleu", "codebleu_low", "codebleu_high"),
        rows,
        draw,
    )


def _limit_x(axes: "Axes", low: float, high: float) -> None:
    """A linear axis that shows small differences as small, a logarithmic one for large ones."""
    if high > 8 * low:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.3, high * 1.3)
        return
    span = max(high - low, 0.25 * high)
    middle = (low + high) / 2
    axes.set_xlim(middle - 0.58 * span, middle + 0.58 * span)
    axes.locator_params(axis="x", nbins=4)


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
