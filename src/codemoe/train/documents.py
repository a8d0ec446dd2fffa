"""Plain documents for pre-training a base: files of code, some functions with a comment above.

A document never shows the prompt format: the base that comes of it is fluent in every language and
weak at instructions, as a real base is.
"""

import random
from collections.abc import Sequence

from codemoe.data.rows import Row
from codemoe.languages import get_language


def described(row: Row, rng: random.Random) -> str:
    """The row's code under comments, as programmers leave them: what it does, often how, often the
    head of the function that follows."""
    comment = get_language(row.language).line_comment
    title, _, rest = row.text.strip().partition("|")
    parts = [part.strip() for part in rest.split(" ; ") if part.strip() and "\n" not in part]
    lines = [title.strip().partition("\n")[0]]
    if rng.random() < 0.7:
        lines += [part for part in parts if part not in row.code]
    if rng.random() < 0.6:
        lines += [part for part in parts if part in row.code]
    return "".join(f"{comment} {line}".lstrip() + "\n" for line in lines if line) + row.code


def documents(rows: Sequence[Row], described_fraction: float, seed: int) -> list[str]:
    """One pass over the rows as shuffled documents of one to three programs of one language."""
    rng = random.Random(f"documents:{seed}")
    by_language: dict[str, list[Row]] = {}
    for row in rows:
        by_language.setdefault(row.language, []).append(row)
    result = []
    for language in sorted(by_language):
        pool = by_language[language]
        rng.shuffle(pool)
        start = 0
        while start < len(pool):
            size = rng.randint(1, 3)
            parts = [
                described(row, rng) if rng.random() < described_fraction else row.code
                for row in pool[start : start + size]
            ]
            result.append("\n\n\n".join(parts) + "\n")
            start += size
    rng.shuffle(result)
    return result
