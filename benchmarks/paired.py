"""What the benchmarks share: contenders in turn, ratios within a turn, where and how it was run."""

import os
import platform
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch

RESULTS = Path(__file__).parent / "results"
Found = TypeVar("Found")


def in_turn(
    runs: Mapping[str, Callable[[], Found]], repeats: int, warmup: int
) -> dict[str, list[Found]]:
    """What each run returned, by repetition. The order rotates, so that neighbours change."""
    names = list(runs)
    found: dict[str, list[Found]] = {name: [] for name in names}
    for repeat in range(-warmup, repeats):
        shift = repeat % len(names)
        for name in names[shift:] + names[:shift]:
            result = runs[name]()
            if repeat >= 0:
                found[name].append(result)
    return found


def ratios(own: Sequence[float], other: Sequence[float]) -> list[float]:
    """One a turn: what slows the machine for a while slows both sides."""
    return [a / b for a, b in zip(own, other, strict=True)]


def median_and_range(values: Sequence[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def wait_for(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return names[0].partition(":")[2].strip() if names else platform.processor()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or "unknown"


def provenance(script: str, arguments: Sequence[str], device: str, packages: str) -> list[str]:
    """Lines of a result file: command, commit, machine, versions."""
    machine = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return [
        f"- Command: `{shlex.join(['python', f'benchmarks/{script}', *arguments])}`",
        f"- Commit: {_commit()}",
        f"- Machine: {machine}, {os.cpu_count()} logical cores, "
        f"{torch.get_num_threads()} threads used",
        f"- torch {torch.__version__}, {packages}",
    ]


def publish(lines: Sequence[str], out: Path) -> None:
    text = "\n".join(lines) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text)
    print(text)
