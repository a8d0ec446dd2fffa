"""Regions of a grid, said in English and written as loops: the border, a diagonal, every row."""

from collections.abc import Callable
from dataclasses import dataclass

Grid = list[list[int]]


@dataclass(frozen=True)
class Loop:
    """How a language walks over a region: opening lines, the cell's expression, a condition.

    An empty `where` means that every visited cell belongs to the region.
    """

    heads: tuple[str, ...]
    cell: str = "x"
    where: str = ""


@dataclass(frozen=True)
class Region:
    key: str
    words: tuple[str, ...]  # in a function's name: ("on", "border")
    phrases: tuple[str, ...]  # "Sum of the even numbers {} of a grid"
    steps: tuple[str, ...]  # the comment that says which cells are visited
    python: Loop
    javascript: str  # an array of the region's cells
    java: Loop
    cpp: Loop
    holds: Callable[[int, int, int, int], bool]  # of row, column, rows, columns
    square: bool = False


_JAVA_I = "for (int i = 0; i < grid.length; i++) {"
_CPP_I = "for (size_t i = 0; i < grid.size(); i++) {"
_JAVA_ROW = "for (int[] row : grid) {"
_CPP_ROW = "for (const auto& row : grid) {"

REGIONS = (
    Region(
        "all", ("in", "grid"), ("in all rows", "in all cells"),
        ("Visit each cell of each row", "Go over all rows and all their cells"),
        Loop(("for row in grid", "for x in row")),
        "grid.flat()",
        Loop((_JAVA_ROW, "for (int x : row) {")),
        Loop((_CPP_ROW, "for (int x : row) {")),
        lambda i, j, rows, columns: True,
    ),
    Region(
        "main", ("on", "main", "diagonal"),
        ("on the main diagonal", "on the diagonal from the top left"),
        ("Visit the cell i of each row i", "Go down and right from the top left cell"),
        Loop(("for i, row in enumerate(grid)",), "row[i]"),
        "grid.map((row, i) => row[i])",
        Loop((_JAVA_I,), "grid[i][i]"),
        Loop((_CPP_I,), "grid[i][i]"),
        lambda i, j, rows, columns: i == j,
        square=True,
    ),
    Region(
        "anti", ("on", "anti", "diagonal"),
        ("on the anti diagonal", "on the diagonal from the top right"),
        ("Visit the cell i from the end of each row i",
         "Go down and left from the top right cell"),
        Loop(("for i, row in enumerate(grid)",), "row[-1 - i]"),
        "grid.map((row, i) => row[row.length - 1 - i])",
        Loop((_JAVA_I,), "grid[i][grid.length - 1 - i]"),
        Loop((_CPP_I,), "grid[i][grid.size() - 1 - i]"),
        lambda i, j, rows, columns: i + j == rows - 1,
        square=True,
    ),
    Region(
        "firstrow", ("in", "first", "row"), ("in the first row", "in the top row"),
        ("Visit each cell of row 0", "Go over the first row only"),
        Loop(("for x in grid[0]",)),
        "grid[0]",
        Loop(("for (int x : grid[0]) {",)),
        Loop(("for (int x : grid[0]) {",)),
        lambda i, j, rows, columns: i == 0,
    ),
    Region(
        "lastrow", ("in", "last", "row"), ("in the last row", "in the bottom row"),
        ("Visit each cell of the last row", "Go over the bottom row only"),
        Loop(("for x in grid[-1]",)),
        "grid[grid.length - 1]",
        Loop(("for (int x : grid[grid.length - 1]) {",)),
        Loop(("for (int x : grid.back()) {",)),
        lambda i, j, rows, columns: i == rows - 1,
    ),
    Region(
        "firstcolumn", ("in", "first", "column"), ("in the first column", "in the left column"),
        ("Visit the first cell of each row", "Go over column 0 only"),
        Loop(("for row in grid",), "row[0]"),
        "grid.map((row) => row[0])",
        Loop((_JAVA_ROW,), "row[0]"),
        Loop((_CPP_ROW,), "row[0]"),
        lambda i, j, rows, columns: j == 0,
    ),
    Region(
        "lastcolumn", ("in", "last", "column"), ("in the last column", "in the right column"),
        ("Visit the last cell of each row", "Go over the last column only"),
        Loop(("for row in grid",), "row[-1]"),
        "grid.map((row) => row[row.length - 1])",
        Loop((_JAVA_ROW,), "row[row.length - 1]"),
        Loop((_CPP_ROW,), "row.back()"),
        lambda i, j, rows, columns: j == columns - 1,
    ),
    Region(
        "border", ("on", "border"), ("on the border", "on the outer edge"),
        ("Visit the cells of the first and last row and column",
         "Go over the cells at the edge once each"),
        Loop(("for i, row in enumerate(grid)", "for j, x in enumerate(row)"), "x",
             "i in (0, len(grid) - 1) or j in (0, len(row) - 1)"),
        "grid.flatMap((row, i) =>\n"
        "    row.filter((_, j) =>\n"
        "        i === 0 || j === 0 || i === grid.length - 1 || j === row.length - 1\n"
        "    )\n"
        ")",
        Loop((_JAVA_I, "for (int j = 0; j < grid[i].length; j++) {"), "grid[i][j]",
             "i == 0 || j == 0 || i == grid.length - 1 || j == grid[i].length - 1"),
        Loop((_CPP_I, "for (size_t j = 0; j < grid[i].size(); j++) {"), "grid[i][j]",
             "i == 0 || j == 0 || i + 1 == grid.size() || j + 1 == grid[i].size()"),
        lambda i, j, rows, columns: i in (0, rows - 1) or j in (0, columns - 1),
    ),
    Region(
        "interior", ("in", "interior"), ("inside the border", "away from the outer edge"),
        ("Skip the first and last row and column",
         "Go over the cells that are not at the edge"),
        Loop(("for row in grid[1:-1]", "for x in row[1:-1]")),
        "grid.slice(1, -1).flatMap((row) => row.slice(1, -1))",
        Loop(("for (int i = 1; i < grid.length - 1; i++) {",
              "for (int j = 1; j < grid[i].length - 1; j++) {"), "grid[i][j]"),
        Loop(("for (size_t i = 1; i + 1 < grid.size(); i++) {",
              "for (size_t j = 1; j + 1 < grid[i].size(); j++) {"), "grid[i][j]"),
        lambda i, j, rows, columns: 0 < i < rows - 1 and 0 < j < columns - 1,
    ),
    Region(
        "upper", ("in", "upper", "triangle"),
        ("on and above the main diagonal", "in the upper triangle"),
        ("Visit the cells of each row i from column i on",
         "Go over the cells whose column is not less than the row"),
        Loop(("for i, row in enumerate(grid)", "for x in row[i:]")),
        "grid.flatMap((row, i) => row.slice(i))",
        Loop((_JAVA_I, "for (int j = i; j < grid.length; j++) {"), "grid[i][j]"),
        Loop((_CPP_I, "for (size_t j = i; j < grid.size(); j++) {"), "grid[i][j]"),
        lambda i, j, rows, columns: i <= j,
        square=True,
    ),
    Region(
        "lower", ("in", "lower", "triangle"),
        ("on and below the main diagonal", "in the lower triangle"),
        ("Visit the cells of each row i up to column i",
         "Go over the cells whose column is not greater than the row"),
        Loop(("for i, row in enumerate(grid)", "for x in row[:i + 1]")),
        "grid.flatMap((row, i) => row.slice(0, i + 1))",
        Loop((_JAVA_I, "for (int j = 0; j <= i; j++) {"), "grid[i][j]"),
        Loop((_CPP_I, "for (size_t j = 0; j <= i; j++) {"), "grid[i][j]"),
        lambda i, j, rows, columns: j <= i,
        square=True,
    ),
    Region(
        "evenrows", ("in", "even", "rows"), ("in the even rows", "in rows with even index"),
        ("Visit each cell of the rows 0 , 2 , 4 and so on", "Go over every second row from row 0"),
        Loop(("for row in grid[::2]", "for x in row")),
        "grid.filter((_, i) => i % 2 === 0).flat()",
        Loop(("for (int i = 0; i < grid.length; i += 2) {", "for (int x : grid[i]) {")),
        Loop(("for (size_t i = 0; i < grid.size(); i += 2) {", "for (int x : grid[i]) {")),
        lambda i, j, rows, columns: i % 2 == 0,
    ),
    Region(
        "oddcolumns", ("in", "odd", "columns"),
        ("in the odd columns", "in columns with odd index"),
        ("Visit the cells 1 , 3 , 5 and so on of each row",
         "Go over every second column from column 1"),
        Loop(("for row in grid", "for x in row[1::2]")),
        "grid.flatMap((row) => row.filter((_, j) => j % 2 === 1))",
        Loop((_JAVA_ROW, "for (int j = 1; j < row.length; j += 2) {"), "row[j]"),
        Loop((_CPP_ROW, "for (size_t j = 1; j < row.size(); j += 2) {"), "row[j]"),
        lambda i, j, rows, columns: j % 2 == 1,
    ),
)  # fmt: skip


def cells_of(region: Region, grid: Grid) -> list[int]:
    """The region's cells row by row, independent of the programs."""
    rows, columns = len(grid), len(grid[0])
    return [
        grid[i][j] for i in range(rows) for j in range(columns) if region.holds(i, j, rows, columns)
    ]
