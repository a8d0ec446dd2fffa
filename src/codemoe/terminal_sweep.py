"""How `codemoe sweep` looks."""

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from codemoe.sweep.compare import HEADS, cells, notes


def show_sweep(compared: dict[str, Any], table_file: Path) -> None:
    width = None if sys.stdout.isatty() else 160
    console = Console(width=width, markup=False, highlight=False)
    for name, rows in compared["models"].items():
        table = Table(title=name)
        for i, head in enumerate(HEADS):
            table.add_column(head, justify="right" if i else "left")
        for row in rows:
            table.add_row(*cells(row))
        console.print(table)
    for line in notes(compared):
        console.print(line, soft_wrap=True)
    console.print(f"table: {table_file}", soft_wrap=True)
