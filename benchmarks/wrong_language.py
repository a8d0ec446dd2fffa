"""How often an answer's language is told rightly, on real code.

    python benchmarks/wrong_language.py DATA

DATA holds `<language>.jsonl`, files of `{"code": ...}`. Each piece is looked at whole, cut off at a
random place (as at a token limit) and, where line ends mean nothing, in one line; asked for in its
own language, in another one, and in none.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from paired import RESULTS, provenance, publish

from codemoe.evaluate.wrong_language import language_of
from codemoe.languages import get_language

BY_LINES = ("python", "ruby", "go")


def read(folder: Path, most: int, seed: int) -> dict[str, list[str]]:
    """language -> pieces of code, the same ones for a seed."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        random.Random(seed).shuffle(lines)
        found[get_language(path.stem).name] = [json.loads(line)["code"] for line in lines[:most]]
    return found


def forms_of(code: str, language: str, chance: random.Random) -> Iterator[tuple[str, str]]:
    yield "whole", code
    yield "cut off", code[: int(len(code) * chance.uniform(0.4, 0.95))]
    if language not in BY_LINES:
        yield "in one line", " ".join(code.split())


def table(pieces: dict[str, list[str]], seed: int) -> tuple[list[str], float]:
    """Rows of shares, and seconds for an answer."""
    names = list(pieces)
    chance = random.Random(seed)
    counts: dict[tuple[str, str], Counter[str]] = {}
    spent, n = 0.0, 0
    for language, codes in pieces.items():
        others = [name for name in names if name != language]
        for at, code in enumerate(codes):
            other = others[at % len(others)]
            for form, text in forms_of(code, language, chance):
                row = counts.setdefault((language, form), Counter())
                start = time.perf_counter()
                own = language_of(text, asked=language)
                strange = language_of(text, asked=other)
                free = language_of(text)
                spent += time.perf_counter() - start
                n += 3
                row["n"] += 1
                row["blamed"] += own not in (None, language)
                row["unsure"] += own is None
                row["seen"] += strange not in (None, other)
                row["named"] += strange == language
                row["right"] += free == language
                row["wrong"] += free not in (None, language)
    keys = ("blamed", "unsure", "seen", "named", "right", "wrong")
    lines = [
        "| code in | form | n | asked for it: called wrong | unsure | another asked for: called "
        "wrong | and named | nothing asked for: named | misnamed |",
        "|---" * 9 + "|",
    ]
    total = {form: Counter[str]() for _, form in counts}
    for (language, form), row in counts.items():
        total[form] += row
        lines.append(_row(get_language(language).label, form, row, keys))
    lines += [_row("all", form, row, keys) for form, row in total.items()]
    return lines, spent / n


def _row(name: str, form: str, row: Counter[str], keys: tuple[str, ...]) -> str:
    shares = " | ".join(f"{row[key] / row['n']:.1%}" for key in keys)
    return f"| {name} | {form} | {row['n']} | {shares} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--most", type=int, default=200, help="pieces of a language")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    lines, seconds = table(read(options.data, options.most, options.seed), options.seed)
    arguments = ["DATA", "--most", str(options.most), "--seed", str(options.seed)]
    head = ["# Telling the language of an answer", ""]
    head += provenance(
        "wrong_language.py", arguments, "cpu", f"tree-sitter {version('tree-sitter')}"
    )
    explained = [
        "",
        "Called wrong: another language than the one asked for was found. Where the asked language "
        "is the code's, that is an error; where it is not, it is what the count of wrong-language "
        f"answers is made of. {seconds * 1e3:.1f} ms for an answer, on one core.",
        "",
    ]
    publish([*head, *explained, *lines], options.out / "wrong_language.md")


if __name__ == "__main__":
    main()
