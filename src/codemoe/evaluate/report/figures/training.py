"""Training curves of the experts."""

from typing import TYPE_CHECKING

from codemoe.evaluate.report.figures.figure import Figure, Theme, bare, canvas
from codemoe.evaluate.report.read import Evaluation
from codemoe.evaluate.report.words import language_label, model_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def curves(evaluation: Evaluation) -> Figure | None:
    if not evaluation.curves:
        return None
    names = [name for name in evaluation.languages if name in evaluation.curves]
    names += [name for name in evaluation.curves if name not in names]
    ordered = {name: evaluation.curves[name] for name in names}
    rows = [(name, step, loss) for name, curve in ordered.items() for step, loss in curve]

    def draw(theme: Theme) -> "Canvas":
        from matplotlib.ticker import LogLocator, NullLocator

        figure = canvas(2.9)
        axes = figure.subplots()
        losses = [row[2] for row in rows]
        for i, (name, curve) in enumerate(ordered.items()):
            steps, values = zip(*curve, strict=True)
            axes.plot(
                steps, values, lw=1.7, color=theme.series[i % len(theme.series)],
                ls="-" if i < len(theme.series) else "--",
                label=f"{_label(name)} ({values[-1]:.2f})",
            )  # fmt: skip
        if min(losses) > 0 and max(losses) > 10 * min(losses):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
        else:
            axes.set_ylim(0, None)
        axes.set_xlabel("step")
        axes.set_ylabel("training loss")
        axes.yaxis.grid(True)
        axes.tick_params(labelcolor=theme.muted, which="both", length=0)
        axes.legend(loc="upper right", handlelength=1.2)
        bare(axes, "bottom")
        return figure

    return Figure(
        "training",
        "Training of the experts",
        "Training loss per step, on the answer's tokens only; in brackets the last value.",
        ("expert", "step", "loss"),
        rows,
        draw,
    )


def _label(name: str) -> str:
    return model_label(name) if model_label(name) != name else language_label(name)
