"""The gateway: a real second server behind it, and stubs that misbehave in every way."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from codemoe.errors import UserError
from codemoe.models.load import CodeModel
from codemoe.serve.settings import Settings
from tests.conftest import run_codemoe
from tests.serve.conftest import Json, Live, Process, error_of, events, process, running

KEY = "an-upstream-key"


@pytest.fixture(scope="module")
def upstream(mixture_dir: Path) -> Iterator[Process]:
    """Another `codemoe serve`, which has the experts by their names, as multi-LoRA servers do."""
    with process(mixture_dir, "--port", 0, "--api-key", KEY, "--max-tokens", 10_000) as started:
        yield started


@pytest.fixture(scope="module")
def gateway(upstream: Process, mixture: CodeModel) -> Iterator[Live]:
    with running(
        mixture, upstream=f"{upstream.url}/v1", upstream_key=KEY, max_tokens=10_000
    ) as server:
        yield server


@pytest.mark.parametrize(
    "fields",
    [{}, {"language": "java"}, {"model": "a"}, {"model": "base"}, {"temperature": 1, "n": 3}],
    ids=str,
)
def test_an_answer_is_the_one_of_a_server_without_gateway(
    gateway: Live, live: Live, fields: Json
) -> None:
    asked = {"temperature": 0, "max_tokens": 24, "seed": 5} | fields
    through, direct = (one.chat("add two numbers", **asked).json() for one in (gateway, live))
    for whole in (through, direct):
        assert whole.pop("id")
        assert whole.pop("created")
    assert through == direct
    streamed = events(gateway.chat("add two numbers", **asked, stream=True).text)
    for index, choice in enumerate(direct["choices"]):
        own = [e["choices"][0] for e in streamed if e["choices"][0]["index"] == index]
        text = "".join(one["delta"].get("content") or "" for one in own)
        assert text == choice["message"]["content"]
        assert own[0]["routing"] == own[-1]["routing"] == choice["routing"]
        assert own[-1]["finish_reason"] == choice["finish_reason"]


def test_completions_stops_and_the_real_client(gateway: Live, live: Live) -> None:
    whole = live.complete("x y z", temperature=0, max_tokens=20).json()["choices"][0]["text"]
    stop = whole[4:7]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0) as client:
        answer = client.completions.create(
            model="tiny", prompt="x y z", temperature=0, max_tokens=20, stop=stop
        )
        assert answer.choices[0].text == whole.partition(stop)[0]
        assert answer.choices[0].finish_reason == "stop"
        assert [model.id for model in client.models.list()] == ["tiny", "a", "b", "base"]


def test_what_only_the_writer_of_the_tokens_could_do_is_refused(gateway: Live) -> None:
    for fields in ({"by": "token"}, {"trace": True}, {"follow_fences": True}):
        assert error_of(gateway.chat("x y", routing=fields), 400)["param"] == "routing"
    assert error_of(gateway.chat("x y", logprobs=True), 400)["param"] == "logprobs"
    assert error_of(gateway.complete("x y", suffix="z"), 400)["param"] == "suffix"
    offers = [model["routing"] for model in gateway.client.get("/v1/models").json()["data"]]
    assert offers == [["auto"], [], [], []]


def test_a_client_that_leaves_is_told_upstream(gateway: Live, upstream: Process) -> None:
    def rows() -> float:
        text = httpx2.get(f"{upstream.url}/metrics", headers={"X-Api-Key": KEY}).text
        (line,) = (one for one in text.split("\n") if one.startswith('codemoe_rows{state="run'))
        return float(line.split()[-1])

    body = {"model": "tiny", "prompt": "x y", "max_tokens": 10_000, "stream": True}
    body["temperature"] = 0
    with gateway.client.stream("POST", "/v1/completions", json=body) as response:
        lines = response.iter_lines()  # kept: one that is dropped closes the connection
        next(lines)
        gateway.wait_for(lambda: rows() == 1)
        assert gateway.metric('codemoe_rows{state="running"}') == 1
    gateway.wait_for(lambda: rows() == 0)
    gateway.wait_for(lambda: gateway.metric('codemoe_rows{state="running"}') == 0)


# -- an upstream that misbehaves ---------------------------------------------------------------


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


class Stub:
    """An HTTP server whose answer to a POST is set by each test."""

    def __init__(self) -> None:
        stub = self
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: None
        self.asked: Json = {}
        self.headers: dict[str, str] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                stub.asked, stub.headers = json.loads(body), _lower(self.headers)
                stub.answer(self)

            def do_GET(self) -> None:
                status(200, {"data": [{"id": "big-base"}, {"id": "a"}, {"id": "b"}]})(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def status(
    code: int, body: Any, headers: dict[str, str] | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        handler.send_response(code)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def stream(*parts: Any, wait_s: float = 0.0) -> Callable[[BaseHTTPRequestHandler], None]:
    """Events; the connection is closed after the last."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.end_headers()
        for part in parts:
            data = part if isinstance(part, str) else json.dumps(part)
            handler.wfile.write(f"data: {data}\n\n".encode())
            handler.wfile.flush()
        time.sleep(wait_s)

    return answer


def piece(text: str, reason: str | None = None) -> Json:
    return {"choices": [{"text": text, "finish_reason": reason}]}


GOOD = (piece("one "), piece("two", "stop"), {"choices": [], "usage": {"completion_tokens": 2}})


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    made = Stub()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def behind(stub: Stub, mixture: CodeModel) -> Iterator[Live]:
    with running(mixture, upstream=stub.url, upstream_key=KEY, upstream_timeout_s=0.4) as server:
        yield server


def message(words: str) -> Json:
    return {"error": {"message": words, "type": "x", "param": None, "code": None}}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("answer", "code", "name"),
    [
        (status(401, message("bad key")), 502, "upstream_key"),
        (status(404, message("no adapter a")), 502, "upstream_model"),
        (status(429, message("full"), {"retry-after": "7"}), 429, "upstream_busy"),
        (status(503, "<html>"), 503, "upstream_busy"),
        (status(400, message("too long")), 400, "upstream_refused"),
        (status(422, {"detail": "x"}), 400, "upstream_refused"),
        (status(500, "boom"), 502, "upstream_failed"),
        (stream(message("it broke")), 502, "upstream_failed"),
        (stream("no json"), 502, "upstream_garbled"),
        (stream("[1]"), 502, "upstream_garbled"),
        (stream({"choices": "x"}), 502, "upstream_garbled"),
        (stream(), 502, "upstream_broke_off"),
        (stream(wait_s=0.8), 504, "upstream_timeout"),
    ],
)
def test_failures_before_the_first_piece_are_a_status(
    behind: Live, stub: Stub, answer: Any, code: int, name: str, streamed: bool
) -> None:
    stub.answer = answer
    response = behind.chat("add two numbers", max_tokens=9, stream=streamed)
    error = error_of(response, code)
    assert error["code"] == name
    assert KEY not in response.text
    if code == 429:
        assert response.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (stream(piece("one "), message("it broke")), "upstream_failed"),
        (stream(piece("one "), "no json"), "upstream_garbled"),
        (stream(piece("one ")), "upstream_broke_off"),
        (stream(piece("one "), "[DONE]"), "upstream_broke_off"),
        (stream(piece("one "), wait_s=0.8), "upstream_timeout"),
    ],
)
def test_failures_in_mid_stream_are_an_error_and_no_clean_end(
    behind: Live, stub: Stub, answer: Any, name: str
) -> None:
    stub.answer = answer
    found = events(behind.chat("add two numbers", max_tokens=9, stream=True).text)
    assert found[-1]["error"]["code"] == name
    assert found[1]["choices"][0]["delta"]["content"] == "one "
    assert not any(choice["finish_reason"] for e in found[:-1] for choice in e["choices"])
    assert error_of(behind.chat("add two numbers", max_tokens=9), 504 if "time" in name else 502)
    behind.wait_for(lambda: behind.metric('codemoe_rows{state="running"}') == 0)


def test_what_is_asked_upstream(behind: Live, stub: Stub) -> None:
    stub.answer = stream(*GOOD, "[DONE]")
    found = behind.chat("add", model="base", max_tokens=9, stop="###", seed=3).json()
    assert found["choices"][0]["message"]["content"] == "one two"
    assert found["usage"]["completion_tokens"] == 2
    asked = stub.asked
    assert asked["model"] == "big-base"
    assert (asked["max_tokens"], asked["seed"], asked["stop"]) == (9, 3, ["###"])
    assert all(isinstance(token, int) for token in asked["prompt"])
    assert stub.headers["authorization"] == f"Bearer {KEY}"


def test_an_upstream_that_is_not_there(mixture: CodeModel, mixture_dir: Path) -> None:
    with running(mixture, upstream="http://127.0.0.1:9") as server:
        assert server.client.get("/health").status_code == 200
        response = server.chat("add", max_tokens=3)
        assert error_of(response, 502)["code"] == "upstream_unreachable"
        assert response.headers["retry-after"]
    with pytest.raises(UserError, match="no address"):
        Settings(upstream="127.0.0.1:8001")
    dense = run_codemoe("serve", mixture_dir / "base", "--port", 0, "--upstream", "http://x")
    dense.user_error("is dense")
