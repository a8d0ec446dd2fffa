"""How `codemoe sweep` looks."""

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codemoe.sweep.compare import notes, tables


def show_sweep(compared: dict[str, Any], table_file: Path) -> None:
    width = None if sys.stdout.isatty() else 180
    console = Console(width=width, markup=False, highlight=False)
    for title, heads, lines in tables(compared):
        table = Table(title=title)
        for i, head in enumerate(heads):
            table.add_column(head, justify="right" if i else "left")
        for row in lines:
            table.add_row(*row)
        console.print(table)
    for line in notes(compared):
        console.print(line, soft_wrap=True)
    console.print(f"table: {table_file}", soft_wrap=True)
