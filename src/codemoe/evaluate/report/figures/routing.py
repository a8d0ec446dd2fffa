"""Where prompts and tokens go: confusion, wrong languages, load per layer, gate accuracy."""

from typing import TYPE_CHECKING, Any

from codemoe.evaluate.report.figures.figure import Figure, Theme, bare, canvas, heat_map
from codemoe.evaluate.report.read import Evaluation
from codemoe.evaluate.report.summary import MIXTURE
from codemoe.evaluate.report.words import language_label, model_label, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

TOKEN = "moe-token"


def confusion(evaluation: Evaluation) -> Figure | None:
    """Language asked against expert chosen, of the mixture with sequence routing."""
    model = evaluation.models.get(MIXTURE)
    routing = model.routing if model else None
    if routing is None or not routing.confusion:
        return None
    counts = routing.confusion
    rows = [
        (language, expert, count)
        for language, line in zip(routing.languages, counts, strict=True)
        for expert, count in zip(routing.experts, line, strict=True)
    ]

    def draw(theme: Theme) -> "Canvas":
        figure = canvas(0.75 + 0.42 * len(counts))
        axes = figure.subplots()
        heat_map(
            axes,
            theme,
            [[count / max(sum(line), 1) for count in line] for line in counts],
            [[str(count) for count in line] for line in counts],
            [language_label(name) for name in routing.languages],
            [language_label(name) for name in routing.experts],
        )
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("expert chosen")
        axes.set_ylabel("language asked")
        axes.tick_params(axis="x", labelcolor=theme.ink, length=0)
        return figure

    return Figure(
        "confusion",
        "Where the prompts went",
        "Prompts of each language (rows) by the expert that the sequence router chose (columns); "
        "shade: share of the row.",
        ("language", "expert", "prompts"),
        rows,
        draw,
    )


def wrong_language(evaluation: Evaluation) -> Figure:
    """Share of answers in another language than asked, every model and language."""
    names, languages = list(evaluation.models), evaluation.languages
    table = [
        [
            scores.wrong_language
            if (scores := evaluation.models[name].languages.get(lang))
            else None
            for lang in languages
        ]
        for name in names
    ]
    rows = [
        (name, language, share)
        for name, line in zip(names, table, strict=True)
        for language, share in zip(languages, line, strict=True)
        if share is not None
    ]

    def draw(theme: Theme) -> "Canvas":
        from dataclasses import replace

        figure = canvas(0.45 + 0.36 * len(names))
        axes = figure.subplots()
        heat_map(
            axes,
            replace(theme, colour_map=(theme.colour_map[0], theme.bad)),
            [[share or 0.0 for share in line] for line in table],
            [["" if share is None else f"{100 * share:.0f} %" for share in line] for line in table],
            [model_label(name) for name in names],
            [language_label(name) for name in languages],
        )
        axes.xaxis.tick_top()
        axes.tick_params(axis="x", labelcolor=theme.ink, length=0)
        return figure

    return Figure(
        "wrong-language",
        "Answers in a wrong language",
        "Share of answers recognised as another language than the one asked for.",
        ("model", "language", "share"),
        rows,
        draw,
    )


def token_load(evaluation: Evaluation) -> Figure | None:
    """Token routing: share of a language's tokens that each layer sends to each expert."""
    model = evaluation.models.get(TOKEN)
    routing = model.routing if model else None
    if routing is None or not routing.load:
        return None
    load = {language: layers for language, layers in routing.load.items() if layers}
    if not load:
        return None
    rows = [
        (language, layer, expert, share)
        for language, layers in load.items()
        for layer, line in enumerate(layers)
        for expert, share in zip(routing.experts, line, strict=True)
    ]

    def draw(theme: Theme) -> "Canvas":
        depth = max(len(layers) for layers in load.values())
        lines = -(-len(load) // 2)
        cell = max(0.06, min(0.24, 1.3 / depth))
        figure = canvas(lines * (0.55 + cell * depth) + 0.1)
        grid = figure.subplots(lines, 2, squeeze=False)
        for axes in grid.flat[len(load) :]:
            axes.set_visible(False)
        for place, (language, layers) in enumerate(load.items()):
            axes = grid.flat[place]
            every = 1 if depth <= 8 else 4
            heat_map(
                axes,
                theme,
                layers,
                None,
                [str(i) if i % every == 0 else "" for i in range(len(layers))],
                [language_label(name) for name in routing.experts],
                gap=1.2 if depth <= 8 else 0.3,
            )
            axes.tick_params(axis="x", labelsize=6.8 if len(routing.experts) > 3 else 8)
            axes.tick_params(axis="y", labelsize=7.5, labelcolor=theme.muted)
            axes.set_title(f"{language_label(language)} asked", fontsize=9, fontweight="bold")
            if place % 2 == 0:
                axes.set_ylabel("layer")
        return figure

    return Figure(
        "token-load",
        "Load per layer under token routing",
        "Share of a language's tokens that each layer's gate sends to each expert; a column that "
        "is dark from top to bottom means that the tokens stay with one expert.",
        ("language", "layer", "expert", "share"),
        rows,
        draw,
    )


def gate_accuracy(evaluation: Evaluation) -> Figure | None:
    """Cross-validated accuracy of the fitted routers, layer by layer."""
    metrics: Any = evaluation.router or {}
    gates = [(int(row["layer"]), float(row["accuracy"])) for row in metrics.get("token") or ()]
    sequence = metrics.get("sequence") or {}
    accuracy = sequence.get("accuracy")
    if not gates:
        return None
    rows: list[tuple[Any, ...]] = [("token", layer, value) for layer, value in gates]
    product = 1.0
    for _, value in gates:
        product *= value
    if accuracy is not None:
        rows.append(("sequence", sequence.get("layer"), accuracy))

    def draw(theme: Theme) -> "Canvas":
        figure = canvas(2.1)
        axes = figure.subplots()
        colour = theme.of_model(TOKEN)
        axes.plot(*zip(*gates, strict=True), "o-", color=colour, lw=1.6, ms=5)
        worst = min(gates, key=lambda gate: gate[1])
        side = "left" if worst == gates[0] else "right" if worst == gates[-1] else "center"
        axes.annotate(
            "token gates", worst, (0, -6), textcoords="offset points", ha=side, va="top",
            color=colour, fontweight="bold", fontsize=8.5,
        )  # fmt: skip
        if accuracy is not None:
            own = theme.of_model(MIXTURE)
            axes.axhline(accuracy, color=own, lw=1.6)
            axes.annotate(
                f"sequence router {100 * accuracy:.1f} %", (gates[0][0], accuracy), (0, 4),
                textcoords="offset points", va="bottom", color=own, fontweight="bold", fontsize=8.5,
            )  # fmt: skip
        low = max(0.0, min(0.9, worst[1] - 0.08))
        axes.set_ylim(low, 1 + 0.14 * (1 - low))
        axes.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.6g} %" if y <= 1.001 else "")
        axes.locator_params(axis="x", integer=True)
        axes.set_xlabel("layer")
        axes.yaxis.grid(True)
        axes.tick_params(labelcolor=theme.muted)
        bare(axes)
        return figure

    return Figure(
        "gate-accuracy",
        "How often the fitted gates are right",
        f"Cross-validated on training code. A token passes every gate: if their errors were "
        f"independent, {percent(product)} of tokens would be routed rightly in all "
        f"{len(gates)} layers.",
        ("router", "layer", "accuracy"),
        rows,
        draw,
    )
