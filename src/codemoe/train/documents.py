"""Plain documents for pre-training a base: files of code, some functions with a comment above.

A document never shows the prompt format: the base that comes of it is fluent in every language and
weak at instructions, as a real base is.
"""

import random
from collections.abc import Sequence

from codemoe.data.rows import Row
from codemoe.languages import get_language


def described(row: Row, with_steps: bool) -> str:
    """The row's code under comments, as a programmer might have left them: what it does, and how.

    Parts of the text that stand in the code itself (a signature) are not repeated.
    """
    comment = get_language(row.language).line_comment
    title, _, steps = row.text.strip().partition("|")
    lines = [title.strip().partition("\n")[0]]
    if with_steps:
        parts = [part.strip() for part in steps.split(" ; ")]
        lines += [part for part in parts if part and "\n" not in part and part not in row.code]
    return "".join(f"{comment} {line}\n" for line in lines if line) + row.code


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
            parts = []
            for row in pool[start : start + size]:
                if rng.random() < described_fraction:
                    parts.append(described(row, with_steps=rng.random() < 0.5))
                else:
                    parts.append(row.code)
            result.append("\n\n\n".join(parts) + "\n")
            start += size
    rng.shuffle(result)
    return result
