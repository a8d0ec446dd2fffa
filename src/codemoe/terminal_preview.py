"""How `codemoe preview` looks: colours on a terminal, marks in a file."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from codemoe.train.preview import ExpertPreview, Padding, Span

_OPEN, _CLOSE = (
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}",
    ("\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}"),
)


def show_preview(previews: "Sequence[ExpertPreview]", color: bool | None = None) -> None:
    """`color` None: on a terminal."""
    colored = sys.stdout.isatty() if color is None else color
    console = Console(
        force_terminal=colored,
        no_color=not colored,
        color_system="standard" if colored else None,
        width=None if sys.stdout.isatty() else 120,
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    console.print(_legend(colored))
    for one in previews:
        console.print()
        console.print(Text(f"== {one.name}", style="bold"))
        _show_counts(console, one)
        for sample in one.samples:
            console.print(
                Text(f"-- sample {sample.id}, row {sample.row} of the first batch", style="bold")
            )
            console.print(Text.assemble(*(_span(span, colored) for span in sample.spans)))


def _legend(colored: bool) -> Text:
    from codemoe.train.preview import Span

    parts = [
        Span("learned", 1, True, True),
        Span("read by the expert, not learned", 1, False, True),
        Span("read by the base alone", 1, False, False),
    ]
    text = Text("Tokens: ")
    for i, part in enumerate(parts):
        text.append(", " if i else "")
        text.append_text(_span(part, colored))
    return text


def _span(span: "Span", colored: bool) -> Text:
    """Learned is green; in plain text, learned stands in quotation marks and active in braces."""
    if colored:
        style = "green" if span.learned else "yellow" if span.active else "dim"
        if span.learned and not span.active:
            style = "red"  # would be a mistake: learned where the expert does not act
        return Text(span.text, style=style)
    if span.learned:
        return Text(f"{_OPEN}{span.text}{_CLOSE}")
    return Text(f"{{{span.text}}}" if span.active else span.text)


def _show_counts(console: Console, one: "ExpertPreview") -> None:
    lengths, padding = one.lengths, one.padding
    console.print(
        f"{one.used:,} of {one.rows:,} rows are used; {one.too_long:,} are longer than "
        f"{one.longest} tokens and dropped, none is cut; {one.passes:.2f} passes over them"
    )
    acting = ", ".join(f"{n:,} on `{kind}`" for kind, n in one.batches_acting_on.items())
    console.print(
        f"{one.learned_share:.1%} of the tokens are learned; batches whose expert acts: {acting}"
    )
    console.print(
        f"tokens a sample: {lengths.minimum} to {lengths.maximum}, median {lengths.median:.0f}, "
        f"95 % up to {lengths.p95:.0f}"
    )
    most = max(count for _, _, count in lengths.histogram)
    for low, high, count in lengths.histogram:
        bar = "#" * (-(-40 * count // most))
        mark = "  (dropped)" if low > one.longest else ""
        console.print(f"  {low:>6} to {high:<6} {count:>7,} {bar}{mark}")
    _show_padding(console, padding, one.packing)


def _show_padding(console: Console, padding: "Padding", packing: bool) -> None:
    def useful(computed: int) -> str:
        return f"{padding.tokens / computed:.1%}"

    now, other = ("packed", "padded") if packing else ("padded", "packed")
    shares = {"padded": useful(padding.padded), "packed": useful(padding.packed)}
    turn = "experts.train.packing=false" if packing else "experts.train.packing=true"
    console.print(
        f"useful share of what {padding.batches:,} batches compute: {shares[now]} {now} as set, "
        f"{shares[other]} {other} ({turn}), "
        f"{useful(padding.to_max_length)} were each sample padded to max_length"
    )
