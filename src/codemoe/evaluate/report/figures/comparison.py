"""Models side by side: their scores, what the mixture keeps, and how their programs end."""

from typing import TYPE_CHECKING

from codemoe.evaluate.report.figures.figure import Figure, Theme, bare, canvas, ink_on
from codemoe.evaluate.report.read import Evaluation
from codemoe.evaluate.report.summary import EXPERT, MIXTURE, ratios
from codemoe.evaluate.report.words import language_label, model_label, percent
from codemoe.evaluate.sandbox.records import NOT_COUNTED, STATUSES

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def models(evaluation: Evaluation) -> Figure:
    """CodeBLEU of every model with interval and floor, and pass@1 where the tests ran."""
    ranked = sorted(evaluation.models.items(), key=lambda item: item[1].total.codebleu)
    tested = any(model.total.pass_at_1 is not None for _, model in ranked)
    rows = [
        (
            name,
            model.total.codebleu,
            *(model.total.codebleu_interval or (None, None)),
            model.total.floor,
            model.total.pass_at_1,
            *(model.total.pass_at_1_interval or (None, None)),
        )
        for name, model in reversed(ranked)
    ]

    def draw(theme: Theme) -> "Canvas":
        figure = canvas(0.75 + 0.36 * len(ranked))
        axes = figure.subplots()
        for y, (name, model) in enumerate(ranked):
            total, colour = model.total, theme.of_model(name)
            if total.codebleu_interval:
                axes.plot(total.codebleu_interval, [y, y], color=colour, lw=5, alpha=0.3)
            axes.plot(total.codebleu, y, "o", color=colour, ms=7)
            if total.pass_at_1 is not None:
                axes.plot(total.pass_at_1, y, "D", mfc=theme.paper, mec=colour, mew=1.4, ms=5.5)
            if total.floor is not None:
                axes.plot([total.floor] * 2, [y - 0.3, y + 0.3], color=theme.muted, lw=1.2)
            axes.text(
                1.07, y, f"{total.codebleu:.3f}", ha="left", va="center", color=colour,
                fontweight="bold", clip_on=False,
            )  # fmt: skip
        axes.set_yticks(range(len(ranked)), [model_label(name) for name, _ in ranked])
        for label, (name, _) in zip(axes.get_yticklabels(), ranked, strict=True):
            label.set_fontweight("bold" if name == MIXTURE else "normal")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.6, len(ranked) - 0.4)
        axes.xaxis.grid(True)
        bare(axes)
        axes.plot([], [], "o", color=theme.muted, label="CodeBLEU, 95 %")
        if tested:
            axes.plot([], [], "D", mfc=theme.paper, mec=theme.muted, mew=1.4, label="pass@1")
        axes.plot([], [], "|", color=theme.muted, mew=1.2, ms=9, label="floor")
        figure.legend(loc="outside lower right", ncols=3, handletextpad=0.3, columnspacing=1.4)
        return figure

    columns = (
        "model", "codebleu", "codebleu_low", "codebleu_high", "floor",
        "pass_at_1", "pass_at_1_low", "pass_at_1_high",
    )  # fmt: skip
    caption = (
        "All languages. Dots with bars: CodeBLEU with its 95 % interval"
        + ("; diamonds: pass@1" if tested else " (the tests were not run)")
        + "; strokes: the floor, what answers to other tasks would score."
    )
    return Figure("models", "Every compared model", caption, columns, rows, draw)


def retention(evaluation: Evaluation, required: float | None) -> Figure | None:
    """Mixture over own expert per language, with intervals and the threshold."""
    kept = ratios(evaluation, MIXTURE, EXPERT)
    if not kept:
        return None
    rows = [
        (language, value.value, *(value.interval or (None, None)), value.n)
        for language, value in kept.items()
    ]

    def draw(theme: Theme) -> "Canvas":
        figure = canvas(0.55 + 0.36 * len(kept))
        axes = figure.subplots()
        bounds = [1.0] if required is None else [1.0, required]
        for y, value in enumerate(reversed(kept.values())):
            missed = required is not None and value.value < required
            colour = theme.bad if missed else theme.accent
            bounds += [value.value, *(value.interval or ())]
            if value.interval:
                axes.plot(value.interval, [y, y], color=colour, lw=5, alpha=0.3)
            axes.plot(value.value, y, "o", color=colour, ms=7)
            axes.text(
                1.02, y, percent(value.value), transform=axes.get_yaxis_transform(),
                va="center", color=colour, fontweight="bold",
            )  # fmt: skip
        low, high = min(bounds), max(bounds)
        margin = max(0.006, 0.08 * (high - low))
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(-0.6, len(kept) - 0.4)
        axes.axvline(1, color=theme.ink, lw=1)
        if required is not None:
            axes.axvspan(low - margin, required, color=theme.bad, alpha=0.09, lw=0)
            axes.axvline(required, color=theme.bad, lw=1, ls=(0, (4, 3)))
        axes.set_yticks(range(len(kept)), [language_label(name) for name in reversed(kept)])
        axes.xaxis.set_major_formatter(lambda x, _: f"{100 * x:.6g} %")
        axes.locator_params(axis="x", nbins=5)
        bare(axes)
        return figure

    threshold = f"; dashed: the required {percent(required)}" if required is not None else ""
    return Figure(
        "retention",
        "What the mixture keeps of each expert",
        f"CodeBLEU of the mixture over that of the language's own expert, with paired bootstrap "
        f"95 % intervals. Line: all of it{threshold}.",
        ("language", "retention", "low", "high", "tasks"),
        rows,
        draw,
    )


def outcomes(evaluation: Evaluation) -> Figure | None:
    """How the programs of every model ended in the sandbox."""
    counted = {
        name: model.total.by_status
        for name, model in evaluation.models.items()
        if any(status not in NOT_COUNTED for status in model.total.by_status)
    }
    if not counted:
        return None
    present = [s for s in STATUSES if any(found.get(s) for found in counted.values())]
    rows = [
        (name, status, found.get(status, 0))
        for name, found in counted.items()
        for status in present
    ]

    def draw(theme: Theme) -> "Canvas":
        from matplotlib.colors import to_hex, to_rgb

        reds = len([s for s in present if s != "pass"])
        failing = [s for s in present if s != "pass"]

        def colour_of(status: str) -> str:
            if status == "pass":
                return theme.good
            strength = 0.75 - 0.6 * failing.index(status) / max(reds - 1, 1)
            mixed = [
                p + strength * (b - p)
                for p, b in zip(to_rgb(theme.paper), to_rgb(theme.bad), strict=True)
            ]
            return to_hex((mixed[0], mixed[1], mixed[2]))

        figure = canvas(0.7 + 0.34 * len(counted))
        axes = figure.subplots()
        for y, found in enumerate(reversed(counted.values())):
            left, total = 0.0, sum(found.values())
            for status in present:
                share = found.get(status, 0) / total
                colour = colour_of(status)
                axes.barh(y, share, left=left, height=0.72, color=colour, ec=theme.paper, lw=0.8)
                if share >= 0.09:
                    axes.text(
                        left + share / 2, y, f"{100 * share:.0f} %", ha="center", va="center",
                        color=ink_on(colour), fontsize=8,
                    )  # fmt: skip
                left += share
        for status in present:
            axes.barh(0, 0, color=colour_of(status), label=status.replace("_", " "))
        axes.set_yticks(range(len(counted)), [model_label(name) for name in reversed(counted)])
        axes.set_xlim(0, 1)
        axes.set_xticks([])
        bare(axes)
        figure.legend(
            loc="outside lower center", ncols=len(present) if len(present) <= 5 else 4,
            handlelength=0.9, handleheight=0.9, handletextpad=0.5, columnspacing=1.2, fontsize=8,
        )  # fmt: skip
        return figure

    return Figure(
        "outcomes",
        "How the programs ended",
        "Every answer run against its task's tests in the sandbox, all languages.",
        ("model", "status", "answers"),
        rows,
        draw,
    )
