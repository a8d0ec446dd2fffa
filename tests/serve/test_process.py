"""`codemoe serve` as a process of its own: the real openai client, signals, what is refused."""

import asyncio
import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import psutil
import pytest

from codemoe.data.prompt import encode_prompt
from codemoe.errors import UserError
from codemoe.models.generate import generate_batch
from codemoe.models.load import CodeModel
from codemoe.models.routes import Route
from codemoe.serve.served import Served
from codemoe.serve.server import bind
from codemoe.serve.settings import Settings
from tests.conftest import run_codemoe
from tests.serve.conftest import Process, process

KEY = "a-key"
USER = [{"role": "user", "content": "add two numbers"}]


@pytest.fixture(scope="module")
def server(mixture_dir: Path) -> Iterator[Process]:
    options = ("--port", 0, "--api-key", KEY, "--max-tokens", 10_000)
    with process(mixture_dir, *options) as started:
        yield started


@pytest.fixture(scope="module")
def client(server: Process) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def test_list(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "a", "b", "base"]
    assert client.models.retrieve("a").owned_by == "codemoe"


def test_chat(client: openai.OpenAI, mixture: CodeModel) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=USER, max_completion_tokens=20, temperature=0
    )
    prompt = encode_prompt(mixture.tokenizer, "add two numbers")
    (expected,) = generate_batch(mixture, [prompt], Route("sequence"), max_new_tokens=20)
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].finish_reason == expected.finish_reason
    assert answer.usage is not None
    assert answer.usage.completion_tokens == len(expected.token_ids)
    assert expected.choice is not None
    assert answer.choices[0].routing["expert"] == expected.choice.expert  # type: ignore[attr-defined]


def test_stream(client: openai.OpenAI) -> None:
    asked = {"model": "b", "messages": USER, "max_tokens": 30, "seed": 4}
    whole = client.chat.completions.create(**asked)
    stream = client.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage == whole.usage
    completion = client.completions.create(model="b", prompt="x y", max_tokens=9, seed=4)
    parts = client.completions.create(model="b", prompt="x y", max_tokens=9, seed=4, stream=True)
    assert "".join(part.choices[0].text for part in parts) == completion.choices[0].text


def test_stop_and_n(client: openai.OpenAI) -> None:
    asked = {"model": "tiny", "messages": USER, "max_tokens": 30, "seed": 1, "n": 3}
    whole = client.chat.completions.create(**asked)
    texts = [choice.message.content or "" for choice in whole.choices]
    assert len(set(texts)) == 3
    stop = texts[0][4:6]
    stopped = client.chat.completions.create(**asked, stop=[stop])
    for choice, text in zip(stopped.choices, texts, strict=True):
        assert choice.message.content == text.partition(stop)[0]


def test_logprobs(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=USER, max_tokens=5, logprobs=True, top_logprobs=3, seed=1
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert all(len(token.top_logprobs) == 3 for token in logprobs.content)
    completion = client.completions.create(
        model="tiny", prompt="x y", max_tokens=5, logprobs=3, seed=1
    )
    found = completion.choices[0].logprobs
    assert found is not None
    assert found.tokens is not None
    assert 0 < len(found.tokens) <= 5


def test_our_own_fields(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny",
        messages=USER,
        max_tokens=5,
        temperature=0,
        extra_body={"language": "java", "routing": {"trace": True}},
    )
    routing = answer.choices[0].routing  # type: ignore[attr-defined]
    assert (routing["by"], routing["expert"], routing["language"]) == ("name", "b", "java")
    assert {token["expert"] for token in routing["tokens"]} == {"b"}


def test_errors(client: openai.OpenAI, server: Process) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="gpt-5", messages=USER)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=USER, max_tokens=16_500)
    assert caught.value.param == "max_tokens"
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="tiny", prompt="word " * 9000, stream=True)
    assert caught.value.code == "context_length_exceeded"
    wrong = openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0)
    with wrong, pytest.raises(openai.AuthenticationError):
        wrong.models.list()
    assert KEY not in "".join(server.log)


def gauge(server: Process, state: str) -> float:
    text = httpx2.get(f"{server.url}/metrics", headers={"X-Api-Key": KEY}).text
    (line,) = (row for row in text.split("\n") if row.startswith(f'codemoe_rows{{state="{state}"'))
    return float(line.split()[-1])


def falls_to_zero(server: Process, seconds: float = 2.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if gauge(server, "running") + gauge(server, "waiting") == 0:
            return True
        time.sleep(0.02)
    return False


def test_cancel(client: openai.OpenAI, server: Process) -> None:
    """By closing a stream, by a timeout, by cancelling a task."""
    asked = {"model": "tiny", "messages": USER, "max_tokens": 10_000, "temperature": 0}
    stream = client.chat.completions.create(**asked, stream=True)
    next(iter(stream))
    assert gauge(server, "running") == 1
    stream.close()
    assert falls_to_zero(server)
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(**asked, timeout=0.3)
    assert falls_to_zero(server)

    async def cancelled() -> None:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=KEY) as own:
            task = asyncio.ensure_future(own.chat.completions.create(**asked))
            for _ in range(200):
                await asyncio.sleep(0.02)
                if gauge(server, "running") == 1:
                    break
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    assert falls_to_zero(server)


# -- the end of a process ---------------------------------------------------------------------


class Stream(threading.Thread):
    """A client that reads a long answer to its end."""

    def __init__(self, server: Process, tokens: int) -> None:
        super().__init__(daemon=True)
        self.begun = threading.Event()
        self.lines: list[str] = []
        self.error: Exception | None = None
        self.url, self.tokens = server.url, tokens
        self.start()
        assert self.begun.wait(20)

    def run(self) -> None:
        body = {"model": "tiny", "prompt": "x y", "stream": True, "max_tokens": self.tokens}
        body["temperature"] = 0  # a random model would draw the end token after a while
        try:
            with httpx2.stream(
                "POST", f"{self.url}/v1/completions", json=body, timeout=60
            ) as response:
                for line in response.iter_lines():
                    self.lines.append(line)
                    self.begun.set()
        except httpx2.HTTPError as error:
            self.error = error

    def last(self) -> str:
        return [line for line in self.lines if line][-1]


def test_sigterm_lets_answers_finish_and_takes_no_new_ones(mixture_dir: Path) -> None:
    with process(mixture_dir, "--port", 0) as server:
        stream = Stream(server, 400)
        children = psutil.Process(server.process.pid).children(recursive=True)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        if server.process.poll() is None and stream.is_alive():
            refused = httpx2.post(
                f"{server.url}/v1/completions", json={"model": "tiny", "prompt": "x y"}
            )
            assert refused.status_code == 503
        assert server.process.wait(30) == 0
        stream.join(5)
        assert stream.error is None
        assert stream.last() == "data: [DONE]"
        ends = [json.loads(line[6:]) for line in stream.lines if line.startswith("data: {")]
        assert ends[-1]["choices"][0]["finish_reason"]
        assert not any(child.is_running() for child in children)
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{server.url}/health")


def test_without_time_to_finish_answers_end_with_an_error(mixture_dir: Path) -> None:
    with process(mixture_dir, "--port", 0, "--shutdown-timeout", 0) as server:
        stream = Stream(server, 8000)
        assert server.stop(signal.SIGTERM) == 0
        stream.join(5)
        if stream.error is None:
            assert stream.last() == "data: [DONE]"
            assert any('"code": "shutting_down"' in line for line in stream.lines)


def test_a_second_signal_ends_the_process_at_once(mixture_dir: Path) -> None:
    with process(mixture_dir, "--port", 0) as server:
        stream = Stream(server, 8000)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert server.process.poll() is None
        assert server.stop(signal.SIGTERM) == 128 + signal.SIGTERM
        stream.join(5)
        assert stream.last() != "data: [DONE]"


def test_a_signal_while_the_model_is_loaded(mixture_dir: Path) -> None:
    """The socket is there before the model is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            with contextlib.suppress(httpx2.HTTPError):
                httpx2.get(f"http://127.0.0.1:{port}/health")

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    try:
        with process(mixture_dir, "--port", port, ready="GET /health 503") as server:
            assert server.stop(signal.SIGINT) == 0
            assert not any("Traceback" in line for line in server.log)
    finally:
        stop.set()
        asking.join(5)


def test_what_cannot_be_served_is_a_user_error(mixture_dir: Path, mixture: CodeModel) -> None:
    run_codemoe("serve", mixture_dir, "--port", 0, "--name", "a").user_error("--name")
    with pytest.raises(UserError, match="--name"):
        Served(mixture, "b")
    assert [name.id for name in Served(mixture, "base").names.values()][-1] == "base-base"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="cannot listen"):
            bind(Settings(port=taken.getsockname()[1]))
    with pytest.raises(UserError, match="cannot listen"):
        bind(Settings(host="203.0.113.7", api_key="k"))
