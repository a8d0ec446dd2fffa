"""Merging and assembly against mergekit in an environment of its own, and against `cp`.

Whole commands, start-up included, in turn: wall seconds and the largest resident memory of the
process. The checkpoints are random, in bfloat16 and in several shards, and lie in the page cache.

    python benchmarks/merging.py TASK --mergekit FOLDER_OF_ITS_bin --scratch FOLDER [--repeats 3]
        [--nice -10]

TASK is moe, ties, dare_ties or scaling (of codemoe alone: experts and sizes). The scratch folder
takes about 12 GB; its checkpoints are made once. mergekit hashes nothing, codemoe every file; so
`cp` is measured with SHA-256 of what it wrote, too. --nice raises the priority of everything that
is measured, on a machine that others use; the result says so.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from paired import RESULTS, in_turn, median_and_range, provenance, publish, ratios
from safetensors.torch import save_file

from codemoe.models.reference import builtin_base

SHAPES = {
    "230M": {"hidden_size": 1024, "intermediate_size": 4352, "num_hidden_layers": 10},
    "65M": {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 8},
}
VOCABULARY, HEAD_SIZE, SHARD_BYTES = 32000, 64, 120 * 10**6
# By reading the code: how often all models are read, and passes over blocks in the cache.
READINGS = {"ties": 2, "dare_ties": 1}
PASSES = {"ties": 5, "dare_ties": 3}


_WATCH = """
import os, sys, time
log = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
actions = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
started = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ, file_actions=actions)
_, status, usage = os.wait4(pid, 0)
print([status, time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss])
"""

# What of codemoe's work no program can leave out: all files at once, each hashed by a thread.
_HASHED_COPY = """
import hashlib, os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
subprocess.run(["cp", "-r", *sys.argv[1:]], check=True)
def digest(file):
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
with ThreadPoolExecutor() as pool:
    print(list(pool.map(digest, [entry.path for entry in os.scandir(sys.argv[2])])))
"""


@dataclass(frozen=True)
class Run:
    seconds: float
    cpu_s: float  # of all threads: what others do on the machine changes it little
    peak_mb: float


def make_checkpoint(folder: Path, size: str, seed: int) -> None:
    """A random Mistral in several shards; half of the heads share keys and values."""
    if (folder / "config.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    shape = SHAPES[size]
    hidden, inner = shape["hidden_size"], shape["intermediate_size"]
    heads = hidden // HEAD_SIZE
    layer = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (hidden // 2, hidden),
        "self_attn.v_proj": (hidden // 2, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, hidden)}
    for number in range(shape["num_hidden_layers"]):
        shapes |= {f"model.layers.{number}.{n}.weight": s for n, s in layer.items()}
    shapes |= {"model.norm.weight": (hidden,), "lm_head.weight": (VOCABULARY, hidden)}
    generator = torch.Generator().manual_seed(seed)
    shards: list[dict[str, torch.Tensor]] = [{}]
    for name, one in shapes.items():
        tensor = (torch.randn(one, generator=generator) * 0.02).bfloat16()
        if sum(t.nbytes for t in shards[-1].values()) + tensor.nbytes > SHARD_BYTES:
            shards.append({})
        shards[-1][name] = tensor
    weight_map = {}
    for number, tensors in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(builtin_base() / name, folder / name)
    config = {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2,
        "head_dim": HEAD_SIZE,
        "hidden_act": "silu",
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": VOCABULARY,
        **shape,
    }
    (folder / "config.json").write_text(json.dumps(config))


def models(scratch: Path, size: str, count: int) -> tuple[Path, list[Path]]:
    base, *experts = (scratch / size / n for n in ("base", *(f"expert-{i}" for i in range(count))))
    for seed, folder in enumerate((base, *experts)):
        make_checkpoint(folder, size, seed)
    return base, experts


def write_recipe(task: str, scratch: Path, size: str, count: int) -> Path:
    base, experts = models(scratch, size, count)
    if task == "moe":
        lines = [f"base_model: {base}", "gate_mode: random", "dtype: bfloat16", "experts:"]
        lines += [f"- {{source_model: {e}, positive_prompts: [{e.name}]}}" for e in experts]
    else:
        lines = [f"merge_method: {task}", f"base_model: {base}", "dtype: bfloat16", "models:"]
        lines += [
            f"- {{model: {e}, parameters: {{weight: {1 / (1 + i):.2f}, density: 0.5}}}}"
            for i, e in enumerate(experts)
        ]
    path = scratch / f"{task}-{size}-{count}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def measured(command: Sequence[str], out: Path) -> Run:
    """Run a command that makes the folder `out`, which is removed before."""
    shutil.rmtree(out, ignore_errors=True)
    os.sync()  # what the run before has written is not on this one's account
    log = out.with_suffix(".log")
    # Both sides from compiled modules, as where pip installs them: here too where Python is told to
    # keep none.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    # From a small process: the largest memory counts what a child had before it was the command.
    done = subprocess.run(
        [sys.executable, "-S", "-c", _WATCH, str(log), *command],
        capture_output=True,
        text=True,
        env=kept,
    )
    status, seconds, cpu_s, peak_kb = json.loads(done.stdout)
    if status:
        raise SystemExit(f"{' '.join(command)} failed; see {log}")
    return Run(seconds, cpu_s, peak_kb / 1024)


def commands(
    task: str, recipe: Path, scratch: Path, mergekit: Path | None
) -> dict[str, Callable[[], Run]]:
    verb = "moe" if task == "moe" else "merge"
    ours, theirs, copy = (scratch / f"out-{name}" for name in ("codemoe", "mergekit", "cp"))
    found: dict[str, Callable[[], Run]] = {
        "codemoe": partial(
            measured, [sys.executable, "-m", "codemoe", verb, str(recipe), str(ours)], ours
        ),
        "cp": partial(measured, ["cp", "-r", str(ours), str(copy)], copy),
    }
    found["cp, SHA-256"] = partial(
        measured, [sys.executable, "-S", "-c", _HASHED_COPY, str(ours), str(copy)], copy
    )
    if mergekit is not None:
        program = mergekit / ("mergekit-moe" if task == "moe" else "mergekit-yaml")
        found["mergekit"] = partial(measured, [str(program), str(recipe), str(theirs)], theirs)
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def read_through(folders: Sequence[Path]) -> None:
    """Bring weights into the page cache."""
    for folder in folders:
        for file in folder.glob("*.safetensors"):
            with file.open("rb") as opened:
                while opened.read(1 << 24):
                    pass


def speeds() -> dict[str, float]:
    """What bounds any program here, one core: bytes hashed and copied a second, and seconds for one
    number of a pass over a cached block."""
    data = os.urandom(1 << 26)
    hashed = min(_timed(lambda: hashlib.sha256(data).digest()) for _ in range(5))
    many, piece = np.ones(1 << 28, np.uint8), np.empty(1 << 16, np.uint8)

    def copies() -> None:
        for start in range(0, len(many), len(piece)):
            np.copyto(piece, many[start : start + len(piece)])

    copied = min(_timed(copies) for _ in range(3))
    one, two, out = (np.ones(1 << 15, np.float32) for _ in range(3))

    def passes() -> None:
        for _ in range(1000):
            np.add(one, two, out=out)

    spent = min(_timed(passes) for _ in range(5))
    return {
        "sha256": len(data) / hashed,
        "copy": len(many) / copied,
        "pass_s": spent / 1000 / len(out),
    }


def _timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def compare(task: str, options: argparse.Namespace, arguments: Sequence[str]) -> None:
    size, count = options.size, options.experts
    recipe = write_recipe(task, options.scratch, size, count)
    base, experts = models(options.scratch, size, count)
    read_through([base, *experts])
    runs = commands(task, recipe, options.scratch, options.mergekit)
    runs["codemoe"]()  # so that there is something for cp, and bytecode
    found = in_turn(runs, options.repeats, 0)
    written = sum(f.stat().st_size for f in (options.scratch / "out-codemoe").iterdir())
    read = sum(f.stat().st_size for m in (base, *experts) for f in m.glob("*.safetensors"))
    seconds = {name: [run.seconds for run in all_] for name, all_ in found.items()}
    cpu = {name: median(run.cpu_s for run in all_) for name, all_ in found.items()}
    peaks = {name: max(run.peak_mb for run in all_) for name, all_ in found.items()}
    title = "Assembly with random gates" if task == "moe" else f"A {task} merge"
    lines = [
        f"# {title}: {count} models of {size} parameters and their base",
        "",
        f"Whole commands, in turn, {options.repeats} times; bfloat16, several shards in the page "
        "cache. Ratios are of runs in one turn. CPU seconds are medians, over all threads. Memory "
        "is the largest resident size of any run. "
        f"Load average at the end: {os.getloadavg()[0]:.1f}.{_priority()}",
        "",
        *provenance("merging.py", arguments, "cpu", _packages(options.mergekit)),
        "",
        "| | seconds, median (range) | codemoe is faster by (range) | CPU seconds "
        "| over codemoe's | peak MB | codemoe takes |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sorted(found):
        faster = median_and_range(ratios(seconds[name], seconds["codemoe"]))
        share = peaks["codemoe"] / peaks[name]
        lines.append(
            f"| {name} | {median_and_range(seconds[name])} | {faster} | {cpu[name]:.2f} | "
            f"{cpu[name] / cpu['codemoe']:.1f} | {peaks[name]:.0f} | {share:.3f} |"
        )
    lines += ["", *_limits(task, read, written, count, median(seconds["codemoe"]), seconds)]
    publish(lines, options.out or RESULTS / f"merging_{task}.md")


def _limits(
    task: str, read: int, written: int, count: int, ours: float, seconds: dict[str, list[float]]
) -> list[str]:
    """What the machine itself would take for the same work."""
    cores, speed = _cores(), speeds()
    hashing = written / speed["sha256"] / cores
    copying = median(seconds["cp"])
    text = (
        f"Physical limit: {written / 1e9:.2f} GB written. `cp` of them from the page cache takes "
        f"{copying:.2f} s; SHA-256 of them at {speed['sha256'] / 1e9:.2f} GB/s a core on {cores} "
        f"cores {hashing:.2f} s"
    )
    total = copying + hashing
    if task in PASSES:
        entries = read / 2 * count / (count + 1)
        reading = READINGS[task] * read / speed["copy"] / cores
        computing = PASSES[task] * entries * speed["pass_s"] / cores
        total += reading + computing
        text += (
            f"; {read / 1e9:.2f} GB read {READINGS[task]} times from the page cache at "
            f"{speed['copy'] / 1e9:.1f} GB/s a core {reading:.2f} s; {entries / 1e6:.0f} M entries "
            f"of models in {PASSES[task]} passes over cached blocks, {speed['pass_s'] * 1e9:.2f} "
            f"ns each, {computing:.2f} s"
        )
    return [
        f"{text}. Together {total:.2f} s; codemoe takes {ours:.2f} s, "
        f"{ours / copying:.2f} times `cp` and {ours / median(seconds['cp, SHA-256']):.2f} times "
        "`cp` with SHA-256 of its files, start-up and reading included."
    ]


def scaling(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    lines = [
        "# How merging and assembly grow, with experts and with size",
        "",
        f"codemoe alone, whole commands, medians of {options.repeats}; bfloat16.{_priority()}",
        "",
        *provenance("merging.py", arguments, "cpu", _packages(None)),
        "",
        "| task | size | experts | written MB | seconds | MB/s written | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in ("moe", "ties"):
        for size in SHAPES:
            for count in (2, 4, 8):
                recipe = write_recipe(task, options.scratch, size, count)
                base, experts = models(options.scratch, size, count)
                read_through([base, *experts])
                run = commands(task, recipe, options.scratch, None)["codemoe"]
                found = [run() for _ in range(options.repeats)]
                out = options.scratch / "out-codemoe"
                written = sum(f.stat().st_size for f in out.iterdir()) / 1e6
                seconds = median(r.seconds for r in found)
                peak = max(r.peak_mb for r in found)
                lines.append(
                    f"| {task} | {size} | {count} | {written:.0f} | {seconds:.2f} | "
                    f"{written / seconds:.0f} | {peak:.0f} |"
                )
    publish(lines, options.out or RESULTS / "merging_scaling.md")


def _set_priority(nice: int) -> None:
    """Of this process and all that it starts. Where the kernel schedules sessions as groups, the
    group's priority counts, and so it becomes a session of its own (Ctrl-C no longer reaches it).
    """
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    group = Path("/proc/self/autogroup")
    if group.exists():
        os.setsid()
        group.write_text(str(nice))


def _priority() -> str:
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    return f" All of it ran at a raised priority (nice {nice})." if nice < 0 else ""


def _packages(mergekit: Path | None) -> str:
    ours = f"numpy {np.__version__}"
    if mergekit is None:
        return ours
    code = "from importlib.metadata import version as v; print(v('mergekit'), v('torch'))"
    done = subprocess.run([mergekit / "python", "-c", code], capture_output=True, text=True)
    theirs = done.stdout.split()
    return f"{ours}; mergekit {theirs[0]} on torch {theirs[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("task", choices=["moe", "ties", "dare_ties", "scaling"])
    parser.add_argument("--mergekit", type=Path, help="the bin folder of its environment")
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--size", choices=SHAPES, default="230M")
    parser.add_argument("--experts", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--nice", type=int, default=0, help="below 0: a raised priority")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.nice:
        _set_priority(options.nice)
    options.scratch.mkdir(parents=True, exist_ok=True)
    shown = [options.task, "--mergekit", "BIN", "--scratch", "SCRATCH"]
    shown += ["--size", options.size, "--experts", str(options.experts)]
    shown += ["--repeats", str(options.repeats)]
    raised = ["--nice", str(options.nice)] if options.nice else []
    if options.task == "scaling":
        shown = ["scaling", "--scratch", "SCRATCH", "--repeats", str(options.repeats)]
        scaling(options, shown + raised)
    else:
        compare(options.task, options, shown + raised)


if __name__ == "__main__":
    main()
