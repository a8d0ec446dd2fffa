"""Servers under test: in this process, where engines can be broken on purpose, and on their own."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import torch

from codemoe.models.load import CodeModel, load_model
from codemoe.serve.api import Service
from codemoe.serve.program_tests import Judge
from codemoe.serve.served import Served
from codemoe.serve.server import bind, make_server
from codemoe.serve.settings import Settings
from tests.models.mixtures import save_mixture

Json = dict[str, Any]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of a tiny model only wait for each other, and clients need processors, too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def mixture_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random mixture called `tiny`, with room for 16384 tokens. Read only."""
    folder = tmp_path_factory.mktemp("mixture") / "tiny"
    folder.mkdir()
    return save_mixture(folder, max_position_embeddings=16384)


@pytest.fixture(scope="session")
def mixture(mixture_dir: Path) -> CodeModel:
    return load_model(str(mixture_dir))


@dataclass
class Live:
    """A server in this process."""

    service: Service
    port: int
    client: httpx2.Client

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, **fields: Any) -> httpx2.Response:
        return self.client.post(path, json={"model": "tiny", **fields})

    def chat(self, text: str, **fields: Any) -> httpx2.Response:
        said = [{"role": "user", "content": text}]
        return self.post("/v1/chat/completions", messages=said, **fields)

    def complete(self, prompt: Any, **fields: Any) -> httpx2.Response:
        return self.post("/v1/completions", prompt=prompt, **fields)

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.client.get("/metrics").text, re.M)
        return float(found.group(1)) if found else 0.0

    def wait_for(self, what: Callable[[], bool], seconds: float = 5.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, "it did not come in time"
            time.sleep(0.01)


@contextmanager
def running(model: CodeModel | None, judge: Judge | None = None, **settings: Any) -> Iterator[Live]:
    """Serve this model; without one, a server whose model never comes."""
    service = Service(Settings(**{"port": 0} | settings), judge)
    bound = bind(service.settings)
    server = make_server(service)
    held = threading.Event()

    def load() -> CodeModel:
        if model is None:
            held.wait()
            raise RuntimeError("never loaded")
        is_gateway = service.settings.upstream is not None
        service.served = Served(model, "tiny", is_gateway)
        return model

    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    port = bound.getsockname()[1]
    thread.start()
    service.engine.start(load, lambda: None)
    client = httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
    live = Live(service, port, client)
    try:
        live.wait_for(lambda: server.started)
        if model is not None:
            live.wait_for(lambda: service.engine.state == "ready")
        yield live
    finally:
        held.set()
        client.close()
        service.engine.stop()
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def live(mixture: CodeModel) -> Iterator[Live]:
    with running(mixture) as server:
        yield server


@dataclass
class Process:
    """`codemoe serve` as users start it."""

    process: subprocess.Popen[str]
    url: str = ""
    log: list[str] = field(default_factory=list)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 20.0) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout_s)


@contextmanager
def process(*arguments: object, ready: str = "serving") -> Iterator[Process]:
    """Started, and `ready` was printed."""
    started = Process(
        subprocess.Popen(
            [sys.executable, "-m", "codemoe", "serve", *map(str, arguments)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    said = threading.Event()

    def read() -> None:
        assert started.process.stderr is not None
        for line in started.process.stderr:
            started.log.append(line)
            if ready in line:
                found = re.search(r"http://[\w.:\[\]]+", line)
                started.url = found.group() if found else ""
                said.set()
        said.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert said.wait(100)
        assert any(ready in line for line in started.log), "".join(started.log)
        yield started
    finally:
        started.process.kill()
        started.process.wait()
        reader.join(5)


def error_of(response: Any, status: int) -> Json:
    """The error, after checking that it is one in OpenAI's form."""
    assert response.status_code == status, (response.status_code, response.text[:300])
    body: Json = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert response.headers["x-request-id"]
    return dict(body["error"])


def events(text: str) -> list[Any]:
    """The JSON of a stream's events; every byte of it is accounted for."""
    import json

    blocks = text.split("\n\n")
    assert blocks[-1] == ""
    assert blocks[-2] == "data: [DONE]"
    assert all(block.startswith("data: ") and "\n" not in block for block in blocks[:-1])
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-2]]


__all__ = ["Json", "Live", "Process", "error_of", "events", "process", "running"]
