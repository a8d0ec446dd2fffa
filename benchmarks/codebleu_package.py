"""CodeBLEU against the codebleu package 0.7.0: speed, agreement, memory, long answers.

The package lives in its own virtual environment, on the grammars that it pins:

    python3.11 -m venv peer
    peer/bin/pip install codebleu==0.7.0 tree-sitter==0.22.3 tree-sitter-python==0.21.0 \\
        tree-sitter-java==0.21.0 tree-sitter-javascript==0.21.4 tree-sitter-cpp==0.22.3 \\
        tree-sitter-c==0.21.4 tree-sitter-c-sharp==0.21.3 tree-sitter-go==0.21.2 \\
        tree-sitter-php==0.22.8 tree-sitter-ruby==0.21.0 tree-sitter-rust==0.21.2
    python benchmarks/codebleu_package.py peer/bin/python DATA

For --parts today a second one, where the package is made to run on the parser and the grammars
that codemoe has:

    python3.11 -m venv today
    today/bin/pip install --no-deps codebleu==0.7.0
    today/bin/pip install $(pip freeze | grep '^tree-sitter')
    python benchmarks/codebleu_package.py today/bin/python DATA --parts today

DATA holds `reference_outputs/`, `codebleu_codexglue/`, `dev/<language>.jsonl` and, for --parts
sound, `train/<language>.jsonl`. Both sides score the same pairs in turn, in processes of their own;
the package's time is that of its calls, ours of all that a call does.
"""

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median
from typing import Any

from codebleu_pairs import Row, codexglue, damaged, published, sound

from codemoe.evaluate.codebleu import score_corpus
from codemoe.evaluate.codebleu.compat import (
    PACKAGE_LANGUAGES,
    compat_score,
    count_pair,
    read_compats,
)
from codemoe.evaluate.codebleu.floors import Pair
from codemoe.evaluate.codebleu.grammar import grammar_of
from codemoe.evaluate.codebleu.judging import BOTH
from codemoe.evaluate.codebleu.source import source_text
from codemoe.evaluate.measure import measure

HERE = Path(__file__).resolve()
RESULTS = HERE.parent / "results"
NO_FLOOR = ", no floor"
PARSING = "tree-sitter alone, every different text once"
SEEDS = ("0", "1", "2", "3")
MORE_SEEDS = tuple(str(seed) for seed in range(4, 104))


# -- our side, in a process of its own ---------------------------------------------------------


def own(what: str, rows_path: str, cores: int) -> None:
    """Print seconds and peak memory of one way of scoring all rows."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    rows = json.loads(Path(rows_path).read_text(encoding="utf-8"))
    columns = [[row[key] for row in rows] for key in ("reference", "prediction", "language")]
    score_corpus(["a = 1"], ["a = 1"], "python", workers=1)
    for language in sorted(set(columns[2])):  # grammars are loaded before
        score_corpus(["a = 1"], ["a = 1"], language, workers=1)
    wall = time.perf_counter()
    before = _cpu()
    if what == "both modes and audit":
        measure(
            (Pair(row["language"], row["reference"], row["prediction"]) for row in rows),
            workers=cores,
        )
    elif what == PARSING:
        texts = {
            (source_text(row[key], row["language"]), row["language"])
            for row in rows
            for key in ("reference", "prediction")
        }
        before = _cpu()
        wall = time.perf_counter()
        for text, language in texts:
            grammar_of(language).parser.parse(text.encode("utf-8", "replace"))
    else:
        score_corpus(
            *columns,
            mode=what.removesuffix(NO_FLOOR),  # type: ignore[arg-type]
            workers=cores,
            with_floor=not what.endswith(NO_FLOOR),
        )
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": _cpu() - before}))


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run_own(what: str, rows_path: Path, cores: int) -> dict[str, float]:
    command = [sys.executable, str(HERE), "--own", what, str(rows_path), str(cores)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def run_peer(python: str, rows_path: Path, seed: str) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        core = str(min(os.sched_getaffinity(0)))
        script = str(HERE.with_name("codebleu_peer.py"))
        subprocess.run(
            ["taskset", "-c", core, python, script, str(rows_path), out.name],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        return json.loads(Path(out.name).read_text())


# -- the tables --------------------------------------------------------------------------------


def speed(python: str, rows_path: Path, n: int, repeats: int) -> list[str]:
    ways = [
        (what, cores)
        for what in (
            "corrected",
            "corrected" + NO_FLOOR,
            "compat",
            "compat" + NO_FLOOR,
            "both modes and audit",
        )
        for cores in (1, 2)
    ]
    ways.append((PARSING, 1))
    peer: list[dict[str, float]] = []
    found: dict[tuple[str, int], list[dict[str, float]]] = {way: [] for way in ways}
    for turn in range(repeats):
        peer.append(run_peer(python, rows_path, "0")["seconds"])
        for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
            found[way].append(run_own(way[0], rows_path, way[1]))
    load = os.getloadavg()[0]
    lines = [
        f"{n} pairs (of the published outputs); medians of {repeats} turns, ratios within a turn. "
        f"Load average at the end: {load:.1f}. On a busy machine wall times say little; processor "
        "time on one core is what to compare then. No floor: what the package computes, no more.",
        "",
        "| | cores | pairs/s of processor time | times the package, processor time (range) | "
        "times the package, wall time (range) |",
        "|---|---|---|---|---|",
        f"| codebleu 0.7.0 | 1 | {n / median(one['cpu'] for one in peer):.0f} | 1 | 1 |",
    ]
    for way in ways:
        cells = []
        for clock in ("cpu", "wall"):
            ratio = [a[clock] / b[clock] for a, b in zip(peer, found[way], strict=True)]
            cells.append(f"{median(ratio):.1f} ({min(ratio):.1f} to {max(ratio):.1f})")
        rate = f"{n / median(one['cpu'] for one in found[way]):.0f}"
        if way[1] > 1:  # the processes that share the work are not waited for, nor so their time
            rate = cells[0] = ""
        lines.append(f"| codemoe, {way[0]} | {way[1]} | {rate} | {' | '.join(cells)} |")
    return lines


def agreement(python: str, rows: list[Row], rows_path: Path) -> list[str]:
    runs = [run_peer(python, rows_path, seed)["scores"] for seed in SEEDS]
    columns = [[row[key] for row in rows] for key in ("reference", "prediction", "language")]
    own_scores = score_corpus(*columns, mode="compat").per_sample
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        groups[row["source"], row["language"]].append(at)
    lines = [
        "Pairs that differ from the package by more than 1e-6, on the grammars that it pins. Data "
        "flow: of the pairs where the package agrees with itself over PYTHONHASHSEED "
        f"{', '.join(SEEDS)}. Means are of those runs.",
        "",
        "| source | language | n | n-gram | weighted | syntax | data flow (of) | mean, codemoe | "
        "mean, package | difference |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (source, language), members in groups.items():
        differ = [0] * 4
        stable = 0
        for at in members:
            one = own_scores[at]
            mine = (one.ngram_match, one.weighted_ngram_match, one.syntax_match, one.dataflow_match)
            theirs = [run[at][1:] for run in runs]
            for part in range(3):
                differ[part] += abs((mine[part] or 0.0) - theirs[0][part]) > 1e-6
            if len({round(scores[3], 9) for scores in theirs}) == 1:
                stable += 1
                differ[3] += abs((mine[3] or 0.0) - theirs[0][3]) > 1e-6
        mean = fmean(own_scores[at].codebleu for at in members)
        theirs_mean = fmean(fmean(run[at][0] for run in runs) for at in members)
        lines.append(
            f"| {source} | {language} | {len(members)} | {differ[0]} | {differ[1]} | {differ[2]} | "
            f"{differ[3]} ({stable}) | {mean:.4f} | {theirs_mean:.4f} | {mean - theirs_mean:+.4f} |"
        )
    return lines


def today(python: str, rows: list[Row], rows_path: Path) -> list[str]:
    """Agreement with the package on the same parser."""
    runs = [run_peer(python, rows_path, seed)["scores"] for seed in SEEDS]
    wanted, found = (
        read_compats([(row[key], row["language"]) for row in rows], as_pinned=False)
        for key in ("reference", "prediction")
    )
    own_scores = [compat_score(count_pair(*pair)) for pair in zip(wanted, found, strict=True)]
    differ = [0] * 3
    flows: list[set[float]] = []
    for at, one in enumerate(own_scores):
        mine = (one.ngram_match, one.weighted_ngram_match, one.syntax_match)
        for part in range(3):
            differ[part] += abs((mine[part] or 0.0) - runs[0][at][1 + part]) > 1e-6
        flows.append({round(run[at][4], 6) for run in runs})
    unlike = [
        at
        for at, one in enumerate(own_scores)
        if round(one.dataflow_match or 0.0, 6) not in flows[at]
    ]
    stable = sum(len(values) == 1 for values in flows)
    doubtful = sum(len(flows[at]) == 1 for at in unlike)
    some_path = rows_path.with_name("some.json")
    some_path.write_text(json.dumps([rows[at] for at in unlike]), encoding="utf-8")
    for seed in MORE_SEEDS if unlike else ():
        for at, scores in zip(unlike, run_peer(python, some_path, seed)["scores"], strict=True):
            flows[at].add(round(scores[4], 6))
    rest = [at for at in unlike if round(own_scores[at].dataflow_match or 0.0, 6) not in flows[at]]
    steady = sum(len(flows[at]) == 1 for at in rest)
    return [
        f"The package on tree-sitter {version('tree-sitter')} and today's grammars, compat on the "
        f"trees that these build; {len(rows)} pairs.",
        "",
        "| part | pairs that differ by more than 1e-6 |",
        "|---|---|",
        f"| n-gram match | {differ[0]} |",
        f"| weighted n-gram match | {differ[1]} |",
        f"| syntax match | {differ[2]} |",
        f"| data flow, of the {stable} pairs where the package agrees with itself over 4 values of "
        f"PYTHONHASHSEED | {doubtful} |",
        f"| ... and over {len(SEEDS) + len(MORE_SEEDS)} | {steady} |",
        f"| data flow, all pairs: no value of the package's over these seeds | {len(rest)} |",
    ]


def memory(rows: list[Row]) -> list[str]:
    """Peak memory of `codemoe score` on files of different length."""
    lines = ["| rows | peak memory of `codemoe score`, largest process, MB |", "|---|---|"]
    for times in (1, 8):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            with path.open("w", encoding="utf-8") as file:
                for _ in range(times):
                    file.writelines(json.dumps(row) + "\n" for row in rows)
            script = (
                "import resource, subprocess, sys; "
                "subprocess.run([sys.executable, '-m', 'codemoe', 'score', sys.argv[1], '--json'],"
                " check=True, capture_output=True); "
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
            )
            done = subprocess.run(
                [sys.executable, "-c", script, str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
        lines.append(f"| {len(rows) * times} | {int(done.stdout) / 1024:.0f} |")
    return lines


def long_answers(rows: list[Row]) -> list[str]:
    """Seconds to score one answer of many lengths, in both modes."""
    good = next(row["reference"] for row in rows if row["source"] == "java_finetuned")
    body = re.sub(r"^.*?(static .*)\}\s*$", r"\1", good, flags=re.DOTALL)
    chance = random.Random(0)
    noise = "".join(chance.choice("abc(){};=+ \"\n'<>0123") for _ in range(1_000_000))
    kinds = {
        "sound Java": lambda size: "class A { " + body * (size // len(body) + 1) + " }",
        "digits": lambda size: "1 2 3 " * (size // 6),
        "open brackets": lambda size: "(" * size,
        "random characters": lambda size: noise[:size],
        "random characters, as TypeScript reads them": lambda size: noise[:size],
        "arrows, as Java reads them": lambda size: "a=>" * (size // 3),
        "Python, asked for Java": lambda size: "for i in x:\n    a[i] = b\n" * (size // 25),
    }
    sizes = (10_000, 100_000, 1_000_000)
    lines = [
        "Seconds for one answer, both modes; as TypeScript, which the package has not, corrected.",
        "",
        f"| answer | {' | '.join(f'{size // 1000} kB' for size in sizes)} |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    for kind, make in kinds.items():
        spent = []
        language = "typescript" if "TypeScript" in kind else "java"
        for size in sizes:
            start = time.perf_counter()
            for mode in BOTH if language in PACKAGE_LANGUAGES else BOTH[:1]:
                score_corpus([good], [make(size)], language, mode=mode, workers=1)
            spent.append(f"{time.perf_counter() - start:.2f}")
        lines.append(f"| {kind} | {' | '.join(spent)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("peer", help="Python of the package's virtual environment")
    parser.add_argument("data", type=Path, help="folder with reference_outputs/ and dev/")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", default=["speed", "agreement", "size"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--every", type=int, default=1, help="use every so many-th pair for speed")
    options = parser.parse_args()
    rows = published(options.data)
    everything = rows + codexglue(options.data) + damaged(options.data)
    with tempfile.TemporaryDirectory() as folder:
        rows_path, all_path = Path(folder) / "rows.json", Path(folder) / "all.json"
        timed = rows[:: options.every]
        rows_path.write_text(json.dumps(timed), encoding="utf-8")
        all_path.write_text(json.dumps(everything), encoding="utf-8")
        if "agreement" in options.parts:
            lines = agreement(options.peer, everything, all_path)
            write(options, "agreement", {"Agreement of compat with the package": lines})
        if "sound" in options.parts:
            whole = sound(options.data)
            all_path.write_text(json.dumps(whole), encoding="utf-8")
            lines = agreement(options.peer, whole, all_path)
            write(options, "sound", {"Agreement of compat with the package on sound code": lines})
            all_path.write_text(json.dumps(everything), encoding="utf-8")
        if "today" in options.parts:
            lines = today(options.peer, everything, all_path)
            write(options, "today", {"Agreement of compat with the package, one parser": lines})
        if "speed" in options.parts:
            lines = speed(options.peer, rows_path, len(timed), options.repeats)
            write(options, "speed", {"Speed": lines})
        if "size" in options.parts:
            sections = {"Memory": memory(rows), "Long answers": long_answers(rows)}
            write(options, "size", sections)


def write(options: argparse.Namespace, part: str, sections: dict[str, list[str]]) -> None:
    """benchmarks/results/codebleu_PART.md."""
    from paired import provenance, publish

    venv = "today" if part == "today" else "peer"
    arguments = [f"{venv}/bin/python", "DATA", "--parts", part]
    if part == "speed":
        arguments += ["--repeats", str(options.repeats), "--every", str(options.every)]
    lines = ["# CodeBLEU against the codebleu package", ""]
    lines += provenance("codebleu_package.py", arguments, "cpu", "codebleu 0.7.0")
    for title, section in sections.items():
        lines += ["", f"## {title}", "", *section]
    publish(lines, options.out / f"codebleu_{part}.md")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--own"]:
        own(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
