"""A tiny finished run that experts are added to, and rows in languages that look unlike."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from codemoe.artifacts import run_stage
from codemoe.data.rows import Row, text_group, write_parquet
from codemoe.models.load import attach_experts, load_base
from codemoe.models.reference import BaseReference
from codemoe.models.routers_file import ROUTER_FILE, SequenceRouter, save_routers
from codemoe.routing.fit import fit_router
from codemoe.routing.routers import LinearRouter
from codemoe.train.router_features import sequence_samples
from tests.models.full import random_full
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model

WORDS = {
    "python": ("sum the list of {n} numbers", "def f(a):\n    return a + {n}"),
    "java": ("COUNT ENTRIES IN MAP {n}", "class A {{ int f() {{ return {n}; }} }}"),
    "rust": ("%% borrow; slice; {n} %%", "fn f(x: &mut u8) -> u8 {{ *x ^ {n} }}"),
    "go": ("[[ {n} ]] channel?", "func f(c chan int) {{ c <- {n} }}"),
}


def rows_of(language: str, numbers: range) -> list[Row]:
    text, code = WORDS[language]
    return [
        Row(
            f"{language}-{n}",
            text_group(text.format(n=n)),
            language,
            text.format(n=n),
            code.format(n=n),
            "s",
            "",
        )
        for n in numbers
    ]


def rows_file(path: Path, *languages: str, numbers: range = range(100, 130)) -> str:
    write_parquet([row for name in languages for row in rows_of(name, numbers)], path)
    return str(path)


@dataclass(frozen=True)
class Setting:
    """A finished run of two experts, an adapter and rows for a third. Read only."""

    folder: Path
    run: Path
    adapter: Path
    rust: str


def _finish(folder: Path, kind: str, files: dict[str, Any]) -> None:
    """A finished stage: `files` maps names to writers."""

    def work(out: Path) -> None:
        for name, write in files.items():
            write(out / name)

    run_stage(folder, kind, {}, {}, work)


def make_setting(folder: Path, *, whole_mlps: bool = False) -> Setting:
    run = folder / "runs" / "tiny"
    base = save_checkpoint(tiny_model("mistral"), run / "base")

    def expert(out: Path, rank: int, seed: int) -> Path:
        if whole_mlps:
            return random_full(base, out, seed)
        return random_adapter(base, out, "mlp", rank, seed)

    adapters = {
        name: expert(run / "experts" / name, rank, rank)
        for name, rank in (("python", 3), ("java", 2))
    }
    model = attach_experts(load_base(BaseReference(str(base))), adapters, "completion")
    train = [*rows_of("python", range(40)), *rows_of("java", range(40))]
    samples = sequence_samples(model, train, [0] * 40 + [1] * 40)
    fit = fit_router(samples.features_LND[1], samples.labels_N, 2, groups_N=samples.groups_N)
    assert fit.accuracy > 0.99
    sequence = SequenceRouter(1, LinearRouter(fit.weight_ED, fit.bias_E))
    gates = [LinearRouter(torch.zeros(2, 32)) for _ in range(2)]
    description = {
        "base": {"model": "../base", "revision": None, "quantization": "none", "sha256": None},
        "experts": [{"name": name, "path": f"../experts/{name}"} for name in adapters],
        "expert_of_language": {name: name for name in adapters},
        "activation": "completion",
    }
    moe = {
        "moe.json": lambda path: path.write_text(json.dumps(description)),
        ROUTER_FILE: lambda path: save_routers(path, list(adapters), None, gates),
    }
    _finish(run / "moe", "moe", moe)
    _finish(
        run / "router",
        "router",
        {ROUTER_FILE: lambda path: save_routers(path, list(adapters), sequence, gates)},
    )
    numbers = {"train": range(40), "valid": range(40, 52), "test": range(52, 60)}
    _finish(
        run / "data",
        "data",
        {
            f"{split}.parquet": lambda path, n=n: rows_file(path, "python", "java", numbers=n)
            for split, n in numbers.items()
        },
    )
    adapter = expert(folder / "adapter", 4, 9)
    return Setting(folder, run, adapter, rows_file(folder / "rust.parquet", "rust"))
