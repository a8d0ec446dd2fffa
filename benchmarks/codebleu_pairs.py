"""Pairs of real code for the CodeBLEU benchmarks: published, the metric's own, and damaged ones."""

import json
import random
import re
from itertools import pairwise
from pathlib import Path

from codemoe.evaluate.audit.rows import find_layout, read_pairs
from codemoe.evaluate.codebleu.floors import Pair
from codemoe.evaluate.codebleu.program import read_program

FILES = {
    "java_base": "java_references",
    "java_finetuned": "java_references",
    "python_base": "python_references",
    "python_finetuned": "python_references",
    "mixed_base": "mixed_base_references",
    "mixed_moe": "mixed_references",
}
Row = dict[str, str]
MOST_CHARACTERS = 3_000


def published(data: Path) -> list[Row]:
    folder = data / "reference_outputs"
    rows = []
    for name, references in FILES.items():
        language = name.split("_")[0]
        layout = find_layout(
            folder / f"{name}_predictions.jsonl",
            folder / f"{references}.jsonl",
            None,
            None,
            "expert" if language == "mixed" else language,
        )
        rows += [
            {"source": name, **{key: getattr(pair, key) for key in Pair.__slots__}}
            for pair in read_pairs(layout)
        ]
    return rows


def codexglue(data: Path) -> list[Row]:
    """The pairs of the original metric's release: C#, scored there as Java."""
    folder = data / "codebleu_codexglue"
    columns = [
        (folder / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        for name in ("references", "predictions")
    ]
    return [
        {"source": "codexglue", "language": language, "reference": wanted, "prediction": found}
        for language in ("csharp", "java")
        for wanted, found in zip(*columns, strict=True)
    ]


def sound(data: Path, per_language: int = 400) -> list[Row]:
    """Real code that its grammar reads to the last byte, each piece beside another one."""
    chance = random.Random(0)
    rows = []
    for path in sorted((data / "train").glob("*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        chance.shuffle(lines)
        codes: list[str] = []
        for line in lines:
            code = json.loads(line)["code"]
            if len(code) < MOST_CHARACTERS and not read_program(code, path.stem).unreadable:
                codes.append(code)
            if len(codes) > per_language:
                break
        rows += [
            {"source": "train", "language": path.stem, "reference": code, "prediction": answer}
            for code, answer in pairwise(codes)
        ]
    return rows


def damaged(data: Path, per_language: int = 80) -> list[Row]:
    """Real code beside a cut, renamed, shortened or other version of it."""
    chance = random.Random(0)
    rows = []
    for path in sorted((data / "dev").glob("*.jsonl")):
        codes = [json.loads(line)["code"] for line in path.read_text().splitlines()]
        chance.shuffle(codes)
        codes = codes[:per_language]
        for at, code in enumerate(codes):
            words = sorted(set(re.findall(r"\b[a-z_]\w*\b", code)))
            lines = code.split("\n")
            how = at % 4
            if how == 0:
                answer = codes[at - 1]
            elif how == 1:
                answer = re.sub(rf"\b{re.escape(chance.choice(words))}\b", "renamed", code)
            elif how == 2:
                answer = code[: int(len(code) * chance.uniform(0.3, 0.95))]
            else:
                gone = chance.randrange(len(lines))
                answer = "\n".join(lines[:gone] + lines[gone + 1 :])
            rows.append(
                {"source": "dev", "language": path.stem, "reference": code, "prediction": answer}
            )
    return rows
