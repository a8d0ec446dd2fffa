"""What the serving benchmarks share: a mixture on disk, servers as processes, clients."""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import torch
from adapter_moe import bare_base, peft_experts

from codemoe.models.load import MOE_FILE
from codemoe.models.routers_file import ROUTER_FILE, SequenceRouter, save_routers
from codemoe.routing.routers import LinearRouter

LANGUAGES = ("python", "java", "javascript", "cpp", "go", "rust", "php", "csharp")
WORDS = (
    "sum",
    "of",
    "the",
    "even",
    "numbers",
    "in",
    "an",
    "array",
    "sorted",
    "by",
    "last",
    "digit",
)


def save_mixture(options: argparse.Namespace, folder: Path) -> Path:
    """A random base with random experts and a random router, in the form that MODEL may have."""
    base = bare_base(options)
    base.model.generation_config.eos_token_id = base.tokenizer.eos_token_id
    base.model.config.eos_token_id = base.tokenizer.eos_token_id
    base.model.config.pad_token_id = base.model.generation_config.pad_token_id = (
        base.tokenizer.pad_token_id
    )
    base.model.save_pretrained(folder / "base")
    base.tokenizer.save_pretrained(folder / "base")
    names = LANGUAGES[: options.experts]
    peft_experts(base, names, options.rank, folder)
    description = {
        "base": {"model": "base"},
        "activation": "completion",
        "expert_of_language": {name: name for name in names},
        "experts": [{"name": name, "path": name} for name in names],
    }
    (folder / MOE_FILE).write_text(json.dumps(description))
    weight_ED = torch.randn(len(names), 2 * options.hidden)
    router = LinearRouter(weight_ED, torch.zeros(len(names)))
    save_routers(folder / ROUTER_FILE, names, SequenceRouter(1, router), ())
    return folder


@contextmanager
def server(command: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Start a server (`{port}` in its command is filled in): its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, *(word.replace("{port}", str(port)) for word in command)]
    with subprocess.Popen(
        words, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(600):
                if process.poll() is not None:
                    raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
                try:
                    if httpx2.get(f"{url}/health", timeout=2).status_code == 200:
                        break
                except httpx2.HTTPError:
                    pass
                time.sleep(0.2)
            yield url, process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def prompt(index: int, words: int) -> str:
    """Different for each index, so that nothing read before can be used again."""
    text = " ".join(WORDS[(index * 7 + i * (1 + index % 3)) % len(WORDS)] for i in range(words))
    return f"### Task: {index} {text}\n### Code:\n"


@dataclass(frozen=True)
class Answer:
    tokens: int
    seconds: float


async def complete(
    client: httpx2.AsyncClient, model: str, text: str, tokens: int, **fields: Any
) -> Answer:
    started = time.perf_counter()
    body = {"model": model, "prompt": text, "max_tokens": tokens, "temperature": 0, **fields}
    response = await client.post("/v1/completions", json=body)
    response.raise_for_status()
    return Answer(response.json()["usage"]["completion_tokens"], time.perf_counter() - started)


async def together(
    url: str, model: str, texts: Sequence[str], tokens: int
) -> tuple[list[Answer], float]:
    """All at once, and the seconds that all took."""
    async with httpx2.AsyncClient(base_url=url, timeout=600) as client:
        started = time.perf_counter()
        answers = await asyncio.gather(*(complete(client, model, t, tokens) for t in texts))
        return list(answers), time.perf_counter() - started
