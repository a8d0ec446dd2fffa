"""Peak memory of real stages beside what `codemoe plan` says, on a CPU.

    python benchmarks/plan_memory.py

Each stage runs as a user runs it: `codemoe STAGE RECIPE` in a process of its own, on a base of
random weights and samples that are as long as the plan takes them to be. What the process held at
most (its largest resident set, as the kernel counts it) is a constant for Python and the libraries,
and what depends on the recipe. The constant is measured too: the same stage on a base of a few
thousand parameters. `codemoe plan` is about the rest.

Freed tensors go back to the system at once here (`MALLOC_MMAP_THRESHOLD_`), so that what is
measured are tensors, as the plan counts them. glibc as it comes keeps freed blocks of up to 32 MB
and cannot always use them again; some cases are run that way too. It is no matter for a GPU.

With `--work FOLDER`, stopped, the same command goes on where it was.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from paired import RESULTS, provenance, publish

from codemoe.artifacts import run_stage
from codemoe.data.rows import Row, write_parquet

WITHIN = 0.15
PLAIN = {"MALLOC_MMAP_THRESHOLD_": "65536"}

SMALLEST = "smallest"
# Hidden size, layers, heads, key-value heads, MLP width, vocabulary, tied embeddings.
SHAPES: dict[str, tuple[str, int, int, int, int, int, int, bool]] = {
    SMALLEST: ("mistral", 16, 1, 2, 2, 32, 2048, True),
    "20M": ("mistral", 384, 8, 6, 6, 1024, 8192, True),
    "64M": ("mistral", 512, 12, 8, 4, 2048, 16384, False),
    "64M qwen2": ("qwen2", 512, 12, 8, 2, 2048, 32768, True),
    "120M gpt_neox": ("gpt_neox", 768, 10, 12, 12, 3072, 32000, False),
    "134M": ("mistral", 768, 12, 12, 4, 2304, 32000, False),
    "309M": ("mistral", 1024, 16, 16, 4, 4096, 32000, False),
}


@dataclass(frozen=True)
class Case:
    """A stage of a recipe on a shape; samples have `length` tokens.

    Experts train on short prompts and long answers, what takes the most; what reads prompts gets
    them half as long as a sample.
    """

    stage: str
    shape: str
    batch: int = 4
    length: int = 256
    steps: int = 3
    rank: int = 16
    target: str = "mlp"
    num_experts: int = 1
    quantization: str = "none"
    more: dict[str, Any] = field(default_factory=dict, hash=False)  # section -> keys
    models: tuple[str, ...] = ("base",)
    note: str = ""
    as_it_comes: bool = False  # also with glibc's own way of keeping freed memory

    def recipe(self, base: Path, runs: Path, name: str) -> dict[str, Any]:
        languages = ["python", "java", "javascript", "cpp"][: self.num_experts]
        lora = {"rank": self.rank, "alpha": 2 * self.rank, "target": self.target}
        train = {
            "steps": self.steps,
            "batch_size": self.batch,
            "max_length": self.length,
            "warmup_steps": 0,
            "checkpoint_steps": self.steps,
        }
        tree: dict[str, Any] = {
            "name": name,
            "runs_dir": str(runs),
            "languages": languages,
            "base": self._base(base),
            "experts": {
                "lora": lora | self.more.get("lora", {}),
                "train": train | self.more.get("train", {}),
                "dense_baseline": False,
            },
            "merge": {"methods": []},
            "router": {"samples_per_expert": 40, "folds": 2, "gate_tokens_per_expert": 2000}
            | self.more.get("router", {}),
            "eval": {
                "samples_per_language": self.batch,
                "batch_size": self.batch,
                "max_new_tokens": 32,
                "models": list(self.models),
                "execute": "never",
            },
        }
        return tree

    def _base(self, base: Path) -> dict[str, Any]:
        if self.stage != "base":
            return {"model": str(base), "quantization": self.quantization}
        _, hidden, layers, heads, key_values, width, vocabulary, _ = SHAPES[self.shape]
        return {
            "from_scratch": {
                "hidden_size": hidden,
                "num_hidden_layers": layers,
                "num_attention_heads": heads,
                "num_key_value_heads": key_values,
                "intermediate_size": width,
                "vocab_size": min(vocabulary, 2048),
                "steps": self.steps,
                "batch_tokens": self.batch * self.length,
                "sequence_length": self.length,
                "checkpoint_steps": self.steps,
                "warmup_steps": 0,
            }
        }

    @property
    def told(self) -> str:
        parts = [f"batch {self.batch} x {self.length}"]
        if self.stage == "experts":
            parts.append(f"rank {self.rank} on {self.target}")
        if self.num_experts > 1:
            parts.append(f"{self.num_experts} experts")
        if self.quantization != "none":
            parts.append(self.quantization)
        if self.stage == "eval":
            parts.append(", ".join(self.models))
        return "; ".join([*parts, self.note] if self.note else parts)


CHECKPOINTING = {"train": {"gradient_checkpointing": True}}
CASES = (
    Case("base", "20M", 8, 256, as_it_comes=True),
    Case("base", "64M", 4, 256),
    Case("base", "134M", 2, 512, 2),
    Case("experts", "20M", 16, 256, as_it_comes=True),
    Case("experts", "64M", 8, 512, target="both"),
    Case("experts", "64M", 8, 512, more=CHECKPOINTING, note="checkpointing"),
    Case(
        "experts", "64M qwen2", 8, 256, rank=64, more={"lora": {"use_rslora": True}}, note="rsLoRA"
    ),
    Case("experts", "120M gpt_neox", 4, 256),
    Case("experts", "134M", 4, 512, 2, target="attention"),
    Case("experts", "134M", 4, 256, 2, quantization="4bit", num_experts=2),
    Case("experts", "309M", 1, 512, 2),
    Case("experts", "309M", 4, 512, 2, more=CHECKPOINTING, note="checkpointing"),
    Case(
        "experts", "309M", 2, 512, 2, quantization="4bit", more=CHECKPOINTING, note="checkpointing"
    ),
    Case("router", "20M", num_experts=4, as_it_comes=True),
    Case("router", "64M", length=512, num_experts=2),
    Case(
        "router",
        "64M",
        16,
        num_experts=2,
        more={"router": {"train_gates": {"steps": 2, "batch_size": 16}}},
        note="gates trained, 16 a batch",
    ),
    Case("router", "309M", num_experts=2),
    Case("eval", "20M", 32, 512, num_experts=2, models=("base", "expert")),
    Case("eval", "64M", 16, 512, num_experts=2, models=("moe-token", "moe-sequence", "moe-oracle")),
    Case("eval", "134M", 8, 512, quantization="4bit"),
    Case("eval", "309M", 4, 1024, as_it_comes=True),
)
_BEFORE = {
    "base": (),
    "experts": ("base",),
    "router": ("base", "experts", "moe"),
    "eval": ("base", "experts", "moe", "router"),
}


def make_base(shape: str, folder: Path) -> None:
    """A checkpoint of random weights, with the tokenizer that ships with codemoe."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from codemoe.models.reference import builtin_base

    kind, hidden, layers, heads, key_values, width, vocabulary, tied = SHAPES[shape]
    tokenizer = AutoTokenizer.from_pretrained(builtin_base())
    options: dict[str, Any] = {} if kind == "gpt_neox" else {"num_key_value_heads": key_values}
    config = AutoConfig.for_model(
        kind,
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=width,
        max_position_embeddings=2048,
        tie_word_embeddings=tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **options,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_data(run_dir: Path, case: Case, languages: Sequence[str]) -> None:
    """Rows whose samples have `length` tokens, and up to seven fewer: so that batches have pads, as
    those of real data do."""
    from transformers import AutoTokenizer

    from codemoe.data.prompt import encode_example
    from codemoe.models.reference import builtin_base

    tokenizer = AutoTokenizer.from_pretrained(builtin_base())

    def row(language: str, split: str, number: int) -> Row:
        prompt = 0 if case.stage == "experts" else case.length // 2 - number % 4
        length = case.length - number % 8
        name = f"{split}{number}"
        text = f"task {name} "
        while len(encode_example(tokenizer, text, language, "x").input_ids) - 2 < prompt:
            text += "a number and "
        while len(encode_example(tokenizer, text, language, "x").input_ids) - 2 > prompt > 0:
            text = text[:-1]
        code = f"x = {number}"
        while len(encode_example(tokenizer, text, language, code).input_ids) < length:
            code += "\ny = x + 1"
        while len(encode_example(tokenizer, text, language, code).input_ids) > length:
            code = code[:-1]
        return Row(f"{language}-{name}", name, language, text, code, "benchmark", "none")

    def work(out: Path) -> None:
        counts = {"train": max(40, 2 * case.batch), "valid": 2, "test": case.batch}
        for split, count in counts.items():
            rows = [row(one, split, i) for one in languages for i in range(count)]
            write_parquet(rows, out / f"{split}.parquet")

    run_stage(run_dir / "data", "data", {}, {}, work)


def codemoe(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[str, float]:
    """Standard output of a command, and the most memory it held, in MB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "codemoe", *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"codemoe {' '.join(arguments)}: exit code {process.returncode}")
    return output, usage.ru_maxrss * 1024 / 1e6


class Bench:
    """Figures of cases, kept in `folder/found.json` as they are found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "found.json"
        self.known: dict[str, float] = {}
        if self.file.is_file():
            self.known = json.loads(self.file.read_text())

    def base(self, shape: str) -> Path:
        path = self.folder / "bases" / shape.replace(" ", "-")
        if not (path / "config.json").is_file():
            # In a process of its own: what this one held at most is the least that the kernel
            # tells of its children.
            _self("--make-base", shape, str(path))
        return path

    def _recipe(self, case: Case) -> tuple[Path, dict[str, Any]]:
        tree = case.recipe(self.base(case.shape), self.folder / "runs", "run")
        file = self.folder / "recipe.yaml"
        file.write_text(yaml.safe_dump(tree))
        return file, tree

    def planned(self, case: Case) -> float:
        """In MB."""
        recipe, _ = self._recipe(case)
        told = json.loads(codemoe(["plan", str(recipe), "--json"], {})[0])
        stage = next(one for one in told["stages"] if one["stage"] == case.stage)
        return float(stage["cpu_bytes"]) / 1e6

    def held(self, case: Case, environment: Mapping[str, str]) -> float:
        """The most that the stage's process held, in MB."""
        key = f"{case.stage} {case.shape} {case.told} {dict(environment)}"
        if key not in self.known:
            runs = self.folder / "runs"
            shutil.rmtree(runs, ignore_errors=True)
            recipe, tree = self._recipe(case)
            data = [str(runs / "run"), case.stage, case.length, case.batch, tree["languages"]]
            _self("--make-data", json.dumps(data))
            for stage in _BEFORE[case.stage]:
                codemoe([stage, str(recipe)], {})
            self.known[key] = codemoe([case.stage, str(recipe)], environment)[1]
            self.file.write_text(json.dumps(self.known, indent=1))
        return self.known[key]

    def constant(self, case: Case, environment: Mapping[str, str]) -> float:
        """Of Python and the libraries that such a stage loads."""
        small = replace(case, shape=SMALLEST, batch=1, length=64, rank=1, num_experts=1, more={})
        return self.held(replace(small, note="", target="mlp", models=("base",)), environment)


def _self(*arguments: str) -> None:
    subprocess.run([sys.executable, __file__, *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose line holds this")
    parser.add_argument("--out", type=Path, default=RESULTS / "plan_memory.md")
    parser.add_argument("--work", type=Path, help="a folder to keep figures in")
    parser.add_argument("--make-base", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--make-data", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make_base:
        make_base(arguments.make_base[0], Path(arguments.make_base[1]))
        return
    if arguments.make_data:
        run_dir, stage, length, batch, languages = json.loads(arguments.make_data)
        make_data(Path(run_dir), Case(stage, "", batch, length), languages)
        return
    with tempfile.TemporaryDirectory() as folder:
        work = arguments.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        measure(Bench(work), arguments.only, arguments.out)


def measure(bench: Bench, only: str, out: Path) -> None:
    lines, kept, off = [], [], []
    for case in CASES:
        if only not in f"{case.stage} {case.shape} {case.told}":
            continue
        planned, constant = bench.planned(case), bench.constant(case, PLAIN)
        measured = bench.held(case, PLAIN) - constant
        off.append(planned / measured - 1)
        lines.append(
            f"| {case.stage} | {case.shape} | {case.told} | {planned:,.0f} | {measured:,.0f} | "
            f"{off[-1]:+.1%} | {constant:,.0f} |"
        )
        print(lines[-1], file=sys.stderr, flush=True)
        if case.as_it_comes:
            usual = bench.held(case, {}) - bench.constant(case, {})
            kept.append(
                f"| {case.stage} | {case.shape} | {case.told} | {measured:,.0f} | {usual:,.0f} | "
                f"{usual / measured:.2f} |"
            )
    text = [
        "# What `codemoe plan` says of memory, beside what stages held",
        "",
        "On a CPU, in float32. Each line is one `codemoe STAGE RECIPE` in a process of its own, on "
        "a base of random weights; samples have the length that the plan takes them to have. "
        "`measured` is the largest resident set of the process less `constant`: that of the same "
        "stage on a base of a few thousand parameters, Python and the libraries. Freed tensors go "
        "back to the system (`MALLOC_MMAP_THRESHOLD_=65536`). MB are 10^6 bytes.",
        "",
        *provenance("plan_memory.py", [], "cpu", _packages()),
        "",
        "| stage | base | recipe | plan, MB | measured, MB | plan is off by | constant, MB |",
        "|---|---|---|---|---|---|---|",
        *lines,
        "",
        f"The plan is off by {min(off):+.1%} to {max(off):+.1%}; "
        f"{sum(abs(e) <= WITHIN for e in off)} of {len(off)} are within {WITHIN:.0%}.",
    ]
    if kept:
        text += [
            "",
            "With glibc as it comes, which keeps freed blocks of up to 32 MB and cannot always use "
            "them again:",
            "",
            "| stage | base | recipe | measured, MB | as it comes, MB | times |",
            "|---|---|---|---|---|---|",
            *kept,
        ]
    publish(text, out)


def _packages() -> str:
    from importlib.metadata import version

    names = ("transformers", "peft", "trl", "bitsandbytes")
    return ", ".join(f"{name} {version(name)}" for name in names)


if __name__ == "__main__":
    main()
