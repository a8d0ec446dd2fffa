"""What the codebleu package 0.7.0 makes of broken programs on codemoe's own parser and grammars,
for tests/evaluate/codebleu/compat/golden_broken.json.

    python3.11 -m venv today
    today/bin/pip install --no-deps codebleu==0.7.0
    today/bin/pip install $(pip freeze | grep '^tree-sitter')
    python scripts/compat_golden.py today/bin/python

The programs are the tests' own, cut, doubled and sprinkled with signs; and Python in one line.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from codemoe.evaluate.codebleu.compat import PACKAGE_LANGUAGES  # noqa: E402
from tests.evaluate.codebleu.programs import PROGRAMS  # noqa: E402

OUT = ROOT / "tests/evaluate/codebleu/compat/golden_broken.json"
SEEDS = range(24)
SIGNS = ("", "#", '"', " x ", "$x", "é", "'", "\n", ";", "{", "/* a */", "// b\n", "(a, b)")
PAIRS = 6  # of a language


def pairs() -> list[dict[str, str]]:
    chance = random.Random(0)
    found = []
    for language in sorted(PACKAGE_LANGUAGES):
        code = PROGRAMS[language]
        for at in range(PAIRS):
            start = chance.randrange(len(code))
            end = start + chance.randrange(12)
            broken = code[:start] + chance.choice(SIGNS) + code[end:]
            if at % 3 == 2:
                broken = broken[: chance.randrange(len(code) // 2, len(code))]
            sides = [code, broken] if at % 2 else [broken, code]
            found.append(dict(zip(("reference", "prediction"), sides, strict=True)))
            found[-1]["language"] = language
    code = PROGRAMS["python"]
    for mark in (" NEW_LINE ", " "):  # as data sets keep it: no grammar reads it
        line = mark.join(code.split("\n"))
        found.append({"language": "python", "reference": line, "prediction": code})
        found.append(
            {"language": "python", "reference": line, "prediction": line.replace("x", "y")}
        )
    return found


def main(python: str) -> None:
    rows = pairs()
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "rows.json", Path(folder) / "out.json"
        given.write_text(json.dumps(rows), encoding="utf-8")
        for seed in SEEDS:
            command = [python, str(ROOT / "benchmarks/codebleu_peer.py"), str(given), str(out)]
            subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": str(seed)})
            runs.append(json.loads(out.read_text(encoding="utf-8"))["scores"])
    golden = []
    for row, *scores in zip(rows, *runs, strict=True):
        ngram, weighted, syntax = scores[0][1:4]
        golden.append(
            {
                **row,
                "ngram_match": ngram,
                "weighted_ngram_match": weighted,
                "syntax_match": syntax,
                "dataflow_match": sorted({round(score[4], 12) for score in scores}),
            }
        )
    OUT.write_text(json.dumps(golden, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
