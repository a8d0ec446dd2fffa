"""The engine when clients leave, when too many come, and when the model fails."""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import torch

from codemoe.data.prompt import encode_prompt
from codemoe.models.generate import generate_batch
from codemoe.models.load import CodeModel
from codemoe.models.routes import Route
from tests.serve.conftest import Live, events, running

# Greedy, a random model goes round in circles; drawing, it would meet the end token after a while.
LONG = {"max_tokens": 8000, "temperature": 0}


@pytest.fixture
def own(mixture: CodeModel) -> Iterator[Live]:
    """A server that a test may break."""
    with running(mixture, max_batch=4, max_queue=6) as server:
        yield server


def rows(live: Live) -> tuple[float, float]:
    return (
        live.metric('codemoe_rows{state="running"}'),
        live.metric('codemoe_rows{state="waiting"}'),
    )


def start_long(live: Live, count: int) -> list[httpx2.Client]:
    """Streams that run for ever as far as a test is concerned; closing a client ends its own."""
    clients = []
    for i in range(count):
        client = httpx2.Client(base_url=live.url, timeout=60)
        body = {
            "model": "tiny",
            "messages": [{"role": "user", "content": f"long {i}"}],
            "stream": True,
            "seed": i,
            **LONG,
        }
        request = client.build_request("POST", "/v1/chat/completions", json=body)
        threading.Thread(target=_send, args=(client, request), daemon=True).start()
        clients.append(client)
    return clients


def _send(client: httpx2.Client, request: httpx2.Request) -> None:
    try:
        response = client.send(request, stream=True)
        for _ in response.iter_raw():
            pass
    except (httpx2.HTTPError, RuntimeError, OSError, ValueError):
        pass  # the test has closed it


def post_and_leave(live: Live, seconds: float, **fields: Any) -> None:
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(
            f"{live.url}/v1/completions",
            json={"model": "tiny", "prompt": "add two numbers", **LONG, **fields},
            timeout=seconds,
        )


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_place_within_a_second(own: Live, stream: bool) -> None:
    gone = own.metric("codemoe_disconnected_total")
    if stream:
        with httpx2.stream(
            "POST",
            f"{own.url}/v1/completions",
            json={"model": "tiny", "prompt": "add two numbers", "stream": True, **LONG},
        ) as response:
            next(response.iter_lines())
            own.wait_for(lambda: rows(own)[0] == 1)
    else:
        post_and_leave(own, 0.3)
    own.wait_for(lambda: rows(own) == (0, 0), seconds=1)
    own.wait_for(lambda: own.metric("codemoe_disconnected_total") == gone + 1)
    # The cache went with the last row.
    own.wait_for(lambda: all(r._decoder is None for r in own.service.engine._running.values()), 1)


def test_who_waits_and_leaves_is_forgotten(own: Live) -> None:
    clients = start_long(own, 4)
    own.wait_for(lambda: rows(own) == (4, 0))
    post_and_leave(own, 0.3, n=3)
    own.wait_for(lambda: rows(own) == (4, 0), seconds=1)
    for client in clients:
        client.close()
    own.wait_for(lambda: rows(own) == (0, 0), seconds=2)


def test_a_full_queue_refuses_at_once_and_lets_the_others_be(own: Live) -> None:
    clients = start_long(own, 4)
    own.wait_for(lambda: rows(own) == (4, 0))
    accepted: list[httpx2.Response] = []

    def wait() -> None:
        accepted.append(own.complete("add two numbers", max_tokens=3, n=3))

    waiting = [threading.Thread(target=wait) for _ in range(2)]
    for thread in waiting:
        thread.start()
    own.wait_for(lambda: rows(own) == (4, 6))
    response = own.complete("add two numbers", max_tokens=3)
    assert rows(own) == (4, 6)  # it waited for nobody
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "queue_full"
    assert int(response.headers["retry-after"]) >= 1
    assert own.client.get("/health").status_code == 200
    for client in clients:
        client.close()
    for thread in waiting:
        thread.join()
    assert [len(r.json()["choices"]) for r in accepted] == [3, 3]


def test_admission_keeps_to_the_room_of_the_cache(mixture: CodeModel) -> None:
    """Rows times the longest of them; a request that is larger than the room runs alone."""
    with running(mixture, max_batch=8, max_cache_tokens=400) as server:
        seen: list[tuple[float, float]] = []
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                entries = list(server.service.engine._rows)
                size = max((row.wanted.size for _, row in entries), default=0)
                seen.append((len(entries), len(entries) * size))
                time.sleep(0.002)

        watcher = threading.Thread(target=watch)
        watcher.start()
        sizes = [100, 100, 500, 40, 40, 100, 40]
        threads = [
            threading.Thread(
                target=server.complete,
                args=("add two numbers",),
                kwargs={"max_tokens": size, "temperature": 0},
            )
            for size in sizes
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        watcher.join()
        assert all(room <= 400 for count, room in seen if count > 1)
        assert max(count for count, _ in seen) > 1
        assert max(room for _, room in seen) > 500
        assert server.metric('codemoe_tokens_total{kind="completion"}') > 200


class Breaks:
    """The model's forward, failing while `error` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: CodeModel) -> None:
        self.error: BaseException | None = None
        self.after = 0
        forward = model.model.forward

        def failing(*args: Any, **kwargs: Any) -> Any:
            if self.error is not None:
                self.after -= 1
                if self.after < 0:
                    raise self.error
            return forward(*args, **kwargs)

        monkeypatch.setattr(model.model, "forward", failing)


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch, mixture: CodeModel) -> Breaks:
    return Breaks(monkeypatch, mixture)


ERRORS = {
    "a bug": (ValueError("secret detail"), "internal_error"),
    "a GPU's memory": (torch.OutOfMemoryError("CUDA out of memory. Tried..."), "out_of_memory"),
    "this machine's memory": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        "out_of_memory",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_while_reading_is_a_500_and_the_next_request_works(
    own: Live, breaks: Breaks, name: str, stream: bool
) -> None:
    breaks.error, code = ERRORS[name]
    response = own.chat("add two numbers", max_tokens=5, stream=stream)
    assert response.status_code == 500
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["type"] == "server_error"
    assert "secret" not in response.text
    breaks.error = None
    assert own.chat("add two numbers", max_tokens=5).status_code == 200
    assert own.client.get("/health").status_code == 200


@pytest.mark.parametrize("name", ERRORS)
def test_a_failure_in_mid_stream_is_an_error_and_no_clean_end(
    own: Live, breaks: Breaks, name: str
) -> None:
    breaks.error, code = ERRORS[name]
    breaks.after = 6
    response = own.chat("add two numbers", max_tokens=500, stream=True, temperature=0)
    assert response.status_code == 200
    *chunks, last = events(response.text)
    assert len(chunks) > 1
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
    assert last["error"]["code"] == code
    assert set(last) == {"error"}
    breaks.error = None
    assert own.chat("add two numbers", max_tokens=5).status_code == 200
    own.wait_for(lambda: rows(own) == (0, 0))  # the answer is out a moment before its row


def test_a_failure_while_one_is_read_leaves_the_running_ones_alone(
    own: Live, breaks: Breaks, mixture: CodeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = encode_prompt(mixture.tokenizer, "add two numbers")
    (expected,) = generate_batch(mixture, [prompt], Route("sequence"), max_new_tokens=150)
    found: list[str] = []

    def ask() -> None:
        body = own.chat("add two numbers", max_tokens=150, temperature=0).json()
        found.append(body["choices"][0]["message"]["content"])

    thread = threading.Thread(target=ask)
    thread.start()
    own.wait_for(lambda: rows(own)[0] == 1)
    with monkeypatch.context() as patch:
        patch.setattr("codemoe.models.running.start", lambda *_: torch.zeros(1) @ torch.zeros(2))
        assert own.chat("another", max_tokens=5).status_code == 500
    thread.join()
    assert found == [expected.text]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_engine_that_is_gone_is_told_by_health(own: Live, breaks: Breaks) -> None:
    """Nobody waits for an answer that cannot come."""
    breaks.error, breaks.after = KeyboardInterrupt("killed"), 5
    response = own.chat("add two numbers", max_tokens=500, temperature=0)
    assert response.status_code == 503
    health = own.client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "failed")
    assert own.chat("add two numbers").status_code == 503


def test_a_draining_server_finishes_and_takes_nothing_new(own: Live) -> None:
    found: list[httpx2.Response] = []
    thread = threading.Thread(
        target=lambda: found.append(own.chat("add two numbers", max_tokens=300, temperature=0))
    )
    thread.start()
    own.wait_for(lambda: rows(own)[0] == 1)
    own.service.engine.draining = True
    refused = own.chat("add two numbers")
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "draining"
    assert own.client.get("/health").json() == {"status": "draining"}
    thread.join()
    assert found[0].status_code == 200


def test_stopping_in_the_middle_of_a_long_pass(
    own: Live, mixture: CodeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients are told, though the engine cannot be interrupted."""
    forward, go_on = mixture.model.forward, threading.Event()

    def stuck(*args: Any, **kwargs: Any) -> Any:
        go_on.wait(20)
        return forward(*args, **kwargs)

    monkeypatch.setattr(mixture.model, "forward", stuck)
    found: list[httpx2.Response] = []
    thread = threading.Thread(target=lambda: found.append(own.chat("add two numbers")))
    thread.start()
    try:
        own.wait_for(lambda: rows(own)[0] == 1)
        own.service.engine.stop(0.1)
        thread.join(5)
        assert found[0].status_code == 503
        assert found[0].json()["error"]["code"] == "shutting_down"
    finally:
        go_on.set()
        thread.join()


def test_health_does_not_wait_for_the_model(
    own: Live, mixture: CodeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, is_in, go_on = mixture.model.forward, threading.Event(), threading.Event()

    def held(*args: Any, **kwargs: Any) -> Any:
        is_in.set()
        assert go_on.wait(60)
        return forward(*args, **kwargs)

    monkeypatch.setattr(mixture.model, "forward", held)
    thread = threading.Thread(target=own.chat, args=("add",), kwargs={"max_tokens": 4})
    thread.start()
    try:
        assert is_in.wait(60)
        assert own.client.get("/health").status_code == 200
    finally:
        go_on.set()
        thread.join()


def test_streams_are_json_lines_that_any_reader_takes(own: Live) -> None:
    with httpx2.stream(
        "POST",
        f"{own.url}/v1/completions",
        json={"model": "tiny", "prompt": "x y", "stream": True, "max_tokens": 50, "seed": 3},
    ) as response:
        raw = b"".join(response.iter_raw())
    text = raw.decode()  # strictly: no byte of half a character
    for block in text.split("\n\n")[:-2]:
        json.loads(block.removeprefix("data: "))
