"""Mixed traffic on `codemoe serve` for minutes: flat memory, no request lost, no answer changed.

Chats, completions, streams, several answers, experts by name, wrong requests, clients that leave
in the middle. A request is lost when it has neither its answer nor the error that it deserves.
    python benchmarks/serving_soak.py [--seconds 600] [--clients 12]
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import fastapi
import httpx2
import numpy as np
import psutil
import transformers
from adapter_moe import add_model_arguments
from paired import RESULTS, provenance, publish
from servers import prompt, save_mixture, server

MODELS = ("mixture", "python", "java", "javascript", "cpp", "base")


@dataclass
class Tally:
    """What has happened so far."""

    kinds: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    changed: int = 0
    tokens: int = 0
    slowest_health_s: float = 0.0
    memory: list[tuple[float, float]] = field(default_factory=list)  # (seconds, MiB)
    known: dict[str, str] = field(default_factory=dict)  # greedy answers that were given


async def one(client: httpx2.AsyncClient, rng: random.Random, tally: Tally) -> None:
    """One request of a kind drawn by `rng`, checked."""
    model = rng.choice(MODELS)
    kind = rng.choices(
        ["whole", "stream", "several", "greedy", "wrong", "leaves", "leaves a stream"],
        [4, 4, 2, 3, 2, 2, 2],
    )[0]
    tally.kinds[kind] += 1
    text = prompt(rng.randrange(10**6), rng.choice((5, 20, 60)))
    body: dict[str, Any] = {
        "model": model,
        "prompt": text,
        "max_tokens": rng.choice((8, 24, 60)),
        "seed": rng.randrange(1000),
    }
    if kind == "whole":
        await answered(client, body, tally)
    elif kind == "stream":
        await streamed(client, body | {"stream": True}, tally)
    elif kind == "several":
        found = await answered(client, body | {"n": 3}, tally)
        assert len(found["choices"]) == 3
    elif kind == "greedy":
        await greedy(client, model, rng.randrange(6), tally)
    elif kind == "wrong":
        body |= rng.choice([{"max_tokens": 0}, {"model": "x"}, {"n": 99}, {"prompt": ""}])
        response = await client.post("/v1/completions", json=body)
        assert response.status_code in (400, 404), response.status_code
        assert set(response.json()) == {"error"}
    else:
        await leaves(client, body | {"max_tokens": 1500, "stream": "stream" in kind}, rng)


async def answered(
    client: httpx2.AsyncClient, body: dict[str, Any], tally: Tally
) -> dict[str, Any]:
    response = await client.post("/v1/completions", json=body)
    assert response.status_code == 200, (response.status_code, response.text[:200])
    found: dict[str, Any] = response.json()
    assert all(choice["finish_reason"] for choice in found["choices"])
    tally.tokens += found["usage"]["completion_tokens"]
    return found


async def streamed(client: httpx2.AsyncClient, body: dict[str, Any], tally: Tally) -> None:
    async with client.stream("POST", "/v1/completions", json=body) as response:
        lines = [line async for line in response.aiter_lines() if line]
    assert response.status_code == 200
    assert lines[-1] == "data: [DONE]"
    last = json.loads(lines[-2].removeprefix("data: "))
    assert last["choices"][0]["finish_reason"], last


async def greedy(client: httpx2.AsyncClient, model: str, index: int, tally: Tally) -> None:
    body = {"model": model, "prompt": prompt(index, 15), "max_tokens": 20, "temperature": 0}
    found = await answered(client, body, tally)
    text = found["choices"][0]["text"]
    known = tally.known.setdefault(f"{model} {index}", text)
    tally.changed += text != known


async def leaves(client: httpx2.AsyncClient, body: dict[str, Any], rng: random.Random) -> None:
    try:
        async with asyncio.timeout(rng.uniform(0.05, 0.6)):
            async with client.stream("POST", "/v1/completions", json=body) as response:
                assert response.status_code == 200
                async for _ in response.aiter_lines():
                    pass
    except TimeoutError:
        pass


async def client_loop(url: str, seed: int, deadline: float, tally: Tally) -> None:
    rng = random.Random(seed)
    async with httpx2.AsyncClient(base_url=url, timeout=120) as client:
        while time.monotonic() < deadline:
            try:
                await one(client, rng, tally)
            except (httpx2.HTTPError, AssertionError, ValueError) as error:
                tally.lost.append(f"{type(error).__name__}: {error}"[:200])


async def watch(url: str, pid: int, started: float, deadline: float, tally: Tally) -> None:
    process = psutil.Process(pid)
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        while time.monotonic() < deadline:
            asked = time.monotonic()
            assert (await client.get("/health")).status_code == 200
            tally.slowest_health_s = max(tally.slowest_health_s, time.monotonic() - asked)
            mib = process.memory_info().rss / 2**20
            tally.memory.append((time.monotonic() - started, mib))
            await asyncio.sleep(2)


async def soak(url: str, pid: int, seconds: float, clients: int) -> tuple[Tally, str]:
    """The tally, and what the gauges say at the end."""
    tally, started = Tally(), time.monotonic()
    deadline = started + seconds
    loops = [client_loop(url, seed, deadline, tally) for seed in range(clients)]
    await asyncio.gather(watch(url, pid, started, deadline, tally), *loops)
    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        await answered(client, {"model": "mixture", "prompt": prompt(1, 5)}, tally)
        await asyncio.sleep(1)
        text = (await client.get("/metrics")).text
    return tally, " ".join(line for line in text.split("\n") if line.startswith("codemoe_rows{"))


def memory_line(memory: Sequence[tuple[float, float]]) -> str:
    """Growth after the first fifth, in which allocators and caches fill."""
    end = memory[-1][0]
    steady = [(at, mib) for at, mib in memory if at > end / 5]
    seconds, mib = np.array(steady).T
    slope, _ = np.polyfit(seconds, mib, 1)
    third = len(steady) // 3
    first, last = (median(m for _, m in part) for part in (steady[:third], steady[-third:]))
    return (
        f"Memory of the server: {first:.0f} MiB in the first third of the steady time, {last:.0f} "
        f"MiB in the last, at most {max(mib):.0f}; {60 * slope:+.2f} MiB a minute."
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=12)
    add_model_arguments(parser)
    parser.set_defaults(hidden=256, intermediate=512, layers=4, vocabulary=2048)
    parser.add_argument("--out", type=Path, default=RESULTS / "serving_soak.md")
    options = parser.parse_args(arguments)
    # The model is small: its threads would only wait for each other, and for the clients.
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = save_mixture(options, Path(name))
        command = ["-m", "codemoe", "serve", str(folder), "--name", "mixture", "--port", "{port}"]
        with server(command) as (url, pid):
            tally, gauges = asyncio.run(soak(url, pid, options.seconds, options.clients))
    packages = f"transformers {transformers.__version__}, fastapi {fastapi.__version__}"
    total = sum(tally.kinds.values())
    publish(
        [
            "# Serving: a soak",
            "",
            f"{options.clients} clients for {options.seconds:.0f} s on a random mixture of "
            f"{options.experts} experts ({options.layers} layers of {options.hidden}, "
            f"{options.dtype}).",
            "",
            *provenance("serving_soak.py", arguments, options.device, packages),
            "",
            "| requests | number |",
            "|---|---|",
            *(f"| {kind} | {number} |" for kind, number in sorted(tally.kinds.items())),
            f"| all | {total} |",
            f"| lost | {len(tally.lost)} |",
            f"| greedy answers that differ from the first of their prompt | {tally.changed} |",
            "",
            memory_line(tally.memory),
            f"Slowest answer of /health: {1e3 * tally.slowest_health_s:.0f} ms. "
            f"{tally.tokens / options.seconds:.0f} tokens a second in answers that were counted.",
            f"At the end: `{gauges}`.",
            *(["", "Lost:", "", *(f"- {one}" for one in tally.lost[:20])] if tally.lost else []),
        ],
        options.out,
    )
    if tally.lost:
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
