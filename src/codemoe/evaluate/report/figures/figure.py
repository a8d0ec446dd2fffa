"""What a figure is, its two themes, and how it becomes PNG and CSV.

Every figure is drawn 4.4 inches wide, so that its letters stay readable on a phone and two stand
side by side on a desk. Drawn without pyplot: no global state, no display.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

WIDTH_IN = 4.4
DPI = 200
_FONTS = (
    "Inter",
    "Source Sans 3",
    "Helvetica Neue",
    "Helvetica",
    "Arial",
    "Liberation Sans",
    "Nimbus Sans",
    "DejaVu Sans",
)


@dataclass(frozen=True)
class Theme:
    """Colours of one appearance; the page's style sheet uses the same."""

    name: str
    paper: str
    ink: str
    muted: str
    rule: str
    accent: str
    good: str
    bad: str
    models: dict[str, str]
    series: tuple[str, ...]
    colour_map: tuple[str, str]  # of heat maps, low to high

    def of_model(self, name: str) -> str:
        return self.models.get(name, self.muted)


LIGHT = Theme(
    "light",
    paper="#ffffff",
    ink="#1c1f24",
    muted="#6a6f77",
    rule="#dedbd4",
    accent="#0b7a6e",
    good="#15803d",
    bad="#b42318",
    models={
        "base": "#a09b92",
        "expert": "#2f6db3",
        "merged-ties": "#b8641a",
        "merged-average": "#d99a55",
        "merged-slerp": "#8f7a1f",
        "dense-all": "#7d55a6",
        "moe-token": "#b0507a",
        "moe-sequence": "#0b7a6e",
        "moe-oracle": "#58a89d",
    },
    series=("#2f6db3", "#b8641a", "#7d55a6", "#0b7a6e", "#b0507a", "#8a7a1f", "#4c5a6b"),
    colour_map=("#f3f1ec", "#0b7a6e"),
)
DARK = Theme(
    "dark",
    paper="#1b1e24",
    ink="#e9e6df",
    muted="#9aa1ab",
    rule="#363b44",
    accent="#45cdb8",
    good="#4ade80",
    bad="#f97066",
    models={
        "base": "#8d9199",
        "expert": "#6fa9ea",
        "merged-ties": "#e39a52",
        "merged-average": "#b98a58",
        "merged-slerp": "#c2b04a",
        "dense-all": "#b792de",
        "moe-token": "#e288b0",
        "moe-sequence": "#45cdb8",
        "moe-oracle": "#2c8f83",
    },
    series=("#6fa9ea", "#e39a52", "#b792de", "#45cdb8", "#e288b0", "#cdbb55", "#a3afbd"),
    colour_map=("#262a32", "#45cdb8"),
)


@dataclass(frozen=True)
class Figure:
    """A figure's data as rows (what the CSV holds) and `draw`, which paints them in a theme."""

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    draw: Callable[[Theme], "Canvas"]


def csv_text(figure: Figure) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(figure.columns)
    writer.writerows(figure.rows)
    return buffer.getvalue()


def png(figure: Figure, theme: Theme) -> bytes:
    """The figure as PNG, on the theme's paper colour, 880 pixels wide."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    settings: Any = _settings(theme)
    with matplotlib.rc_context(settings):
        canvas = FigureCanvasAgg(figure.draw(theme))
        canvas.draw()
    image = Image.frombytes("RGBA", canvas.get_width_height(), canvas.buffer_rgba().tobytes())
    buffer = io.BytesIO()
    # 128 colours are plenty for flat graphics and a third of the size.
    image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True, dpi=(DPI, DPI)
    )
    return buffer.getvalue()


def _settings(theme: Theme) -> dict[str, Any]:
    from matplotlib import font_manager

    installed = {font.name for font in font_manager.fontManager.ttflist}
    return {
        "font.family": [name for name in _FONTS if name in installed],
        "font.size": 9.0,
        "figure.facecolor": theme.paper,
        "savefig.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": theme.rule,
        "axes.labelcolor": theme.muted,
        "axes.labelsize": 8.5,
        "axes.linewidth": 0.8,
        "axes.axisbelow": True,
        "text.color": theme.ink,
        "xtick.color": theme.rule,
        "ytick.color": theme.rule,
        "xtick.labelcolor": theme.muted,
        "ytick.labelcolor": theme.ink,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 9.0,
        "grid.color": theme.rule,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "legend.labelcolor": theme.ink,
    }


def canvas(height_in: float) -> "Canvas":
    """An empty figure of the report's width."""
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(WIDTH_IN, height_in), dpi=DPI, layout="constrained")


def bare(axes: "Axes", *keep: str) -> None:
    """Remove the frame except the named sides."""
    for side in ("left", "right", "top", "bottom"):
        axes.spines[side].set_visible(side in keep)
    axes.tick_params(length=0)


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on a colour (relative luminance, WCAG 2)."""
    from matplotlib.colors import to_rgb

    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#14161a" if luminance > 0.2 else "#ffffff"


def shade(theme: Theme, share: float) -> str:
    """The heat-map colour of a value from 0 to 1."""
    from matplotlib.colors import to_hex, to_rgb

    low, high = (to_rgb(colour) for colour in theme.colour_map)
    share = min(max(share, 0.0), 1.0)
    mixed = tuple(a + share * (b - a) for a, b in zip(low, high, strict=True))
    return to_hex((mixed[0], mixed[1], mixed[2]))


def heat_map(
    axes: "Axes",
    theme: Theme,
    shares: Sequence[Sequence[float]],
    texts: Sequence[Sequence[str]] | None,
    rows: Sequence[str],
    columns: Sequence[str],
    gap: float = 1.2,
) -> None:
    """Paint cells of 0 to 1 with a text in each, rows from the top, `gap` points between them."""
    from matplotlib.patches import Rectangle

    for i, line in enumerate(shares):
        for j, share in enumerate(line):
            colour = shade(theme, share)
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, edgecolor=theme.paper, lw=gap))
            if texts is not None:
                faint = texts[i][j] in ("0", "0 %")
                axes.text(
                    j + 0.5,
                    i + 0.5,
                    texts[i][j],
                    ha="center",
                    va="center",
                    color=theme.muted if faint else ink_on(colour),
                )
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(rows), 0)
    axes.set_xticks([j + 0.5 for j in range(len(columns))], columns)
    axes.set_yticks([i + 0.5 for i in range(len(rows))], rows)
    bare(axes)
