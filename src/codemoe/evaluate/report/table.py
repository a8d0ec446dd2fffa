"""A table as a record, and as Markdown; the page's template writes it as HTML."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """What stands in a cell; `note` is set smaller beside it (an interval), `strong` stands out."""

    text: str
    note: str = ""
    strong: bool = False
    muted: bool = False


@dataclass(frozen=True)
class Table:
    """`rows` hold one cell per column, the first names the row; `foot` explains what is below."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    foot: str = ""
    marked: str = ""  # the first cell of the row to emphasise


def markdown(tables: Iterable[Table], title: str, notes: Iterable[str]) -> str:
    """tables.md: the title, the notes as paragraphs, then every table with its explanation."""
    parts = [f"# {title}", *notes]
    for table in tables:
        lines = [
            f"## {table.title}",
            "",
            "| " + " | ".join(_escaped(column) for column in table.columns) + " |",
            "|" + "|".join([":--", *["--:"] * (len(table.columns) - 1)]) + "|",
            *("| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in table.rows),
        ]
        if table.foot:
            lines += ["", table.foot]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _markdown_cell(cell: Cell) -> str:
    text = f"**{_escaped(cell.text)}**" if cell.strong else _escaped(cell.text)
    return f"{text} ({_escaped(cell.note)})" if cell.note else text


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
