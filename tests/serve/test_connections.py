"""Clients that are slow, send too much, or leave in crowds: the bytes on the wire."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import psutil
import pytest

from codemoe.models.load import CodeModel
from tests.serve.conftest import Live, running

MIB = 1 << 20


@pytest.fixture(scope="module")
def quick(mixture: CodeModel) -> Iterator[Live]:
    """A server without patience."""
    with running(
        mixture,
        header_timeout_s=0.5,
        body_timeout_s=0.7,
        write_timeout_s=0.7,
        keep_alive_s=0.5,
        max_tokens=10_000,
    ) as server:
        yield server


def head(live: Live, *headers: str, path: str = "/v1/completions") -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{live.port}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def connect(live: Live) -> socket.socket:
    return socket.create_connection(("127.0.0.1", live.port), timeout=10)


def rest(connection: socket.socket) -> bytes:
    """All until the server closes; nothing if it resets."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def closes_within(connection: socket.socket, seconds: float) -> bytes:
    started = time.monotonic()
    found = rest(connection)
    assert time.monotonic() - started < seconds
    return found


JSON = "Content-Type: application/json"


def test_a_body_that_says_it_is_too_large_is_not_read(quick: Live) -> None:
    with connect(quick) as connection:
        connection.sendall(head(quick, JSON, f"Content-Length: {64 * MIB}"))
        answer = closes_within(connection, 8)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_large"


def test_a_body_of_unknown_length_is_cut_at_the_limit(live: Live) -> None:
    """Chunked, for ever; /health answers meanwhile, and memory stays."""
    process = psutil.Process()
    before = process.memory_info().rss
    slowest = 0.0
    sent = 0
    with connect(live) as connection:
        connection.sendall(head(live, JSON, "Transfer-Encoding: chunked"))
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        try:
            while sent < 200 * MIB:
                connection.sendall(chunk)
                sent += len(chunk)
                started = time.monotonic()
                assert live.client.get("/health").status_code == 200
                slowest = max(slowest, time.monotonic() - started)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = rest(connection)
    assert sent < 8 * MIB
    assert not answer or answer.startswith(b"HTTP/1.1 413 ")
    assert slowest < 0.5  # on a busy machine; 0.1 on a quiet one
    assert process.memory_info().rss - before < 32 * MIB


def test_a_large_body_within_the_limit_lets_others_be_answered(live: Live) -> None:
    """The costliest one: a million bytes of small objects."""
    parts = '{"role":"user","content":"x"},'
    body = '{"model":"tiny","messages":[' + parts * (MIB // len(parts) - 10)
    body = body.rstrip(",") + "]}"
    slowest = 0.0
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(
            httpx2.post,
            f"{live.url}/v1/chat/completions",
            content=body,
            headers={"Content-Type": "application/json"},
            timeout=20,
        )
        while not sent.done():
            started = time.monotonic()
            assert live.client.get("/health").status_code == 200
            slowest = max(slowest, time.monotonic() - started)
        assert sent.result().status_code == 400
    assert slowest < 0.5


def test_too_large_a_head_is_refused(quick: Live) -> None:
    for headers in ([f"X-A: {'a' * 100_000}"], [f"X-{i}: {'b' * 50}" for i in range(5000)]):
        with connect(quick) as connection:
            try:
                connection.sendall(head(quick, *headers))
            except (BrokenPipeError, ConnectionResetError):
                continue
            answer = closes_within(connection, 8)
        assert not answer or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))
    assert quick.client.get("/health").status_code == 200


def test_no_http_at_all(quick: Live) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\x00" * 1000):
        with connect(quick) as connection:
            connection.sendall(garbage)
            answer = closes_within(connection, 8)
            assert not answer or answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("first", [b"", b"GET /health HT"])
def test_a_head_that_does_not_come(quick: Live, first: bytes) -> None:
    """Nothing at all, or a byte now and then."""
    with connect(quick) as connection:
        started = time.monotonic()
        try:
            connection.sendall(first)
            while first and time.monotonic() - started < 30:
                time.sleep(0.05)
                connection.sendall(b"T")
        except (BrokenPipeError, ConnectionResetError):
            pass
        rest(connection)
        assert 0.3 < time.monotonic() - started < 20


def test_a_second_head_that_does_not_come(quick: Live) -> None:
    with connect(quick) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        started = time.monotonic()
        try:
            while time.monotonic() - started < 30:
                connection.sendall(b"G")
                time.sleep(0.05)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert time.monotonic() - started < 20


def test_a_body_that_does_not_come(quick: Live) -> None:
    with connect(quick) as connection:
        connection.sendall(head(quick, JSON, "Content-Length: 1000") + b'{"mo')
        answer = closes_within(connection, 8)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_reader_that_does_not_read_is_cut_off(quick: Live) -> None:
    """Its requests come, their answers stay unread: what the server holds for it is bounded."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", quick.port))
    request = f"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{quick.port}\r\n\r\n".encode()
    connection.settimeout(5)
    sent = 0
    with connection:
        try:
            for _ in range(100_000):
                connection.sendall(request)
                sent += 1
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert 0 < sent < 100_000


def test_a_slow_reader_holds_up_nobody(mixture: CodeModel) -> None:
    body = {"model": "tiny", "prompt": "x y", "stream": True, "max_tokens": 10_000, "n": 4}
    body["temperature"] = 0
    with running(mixture, write_timeout_s=60, max_tokens=10_000) as patient:
        url = f"{patient.url}/v1/completions"
        with httpx2.stream("POST", url, json=body) as response:
            assert response.status_code == 200  # and then it is not read
            assert patient.complete("x y", max_tokens=3).status_code == 200
            assert patient.metric('codemoe_rows{state="running"}') >= 4
        patient.wait_for(lambda: patient.metric('codemoe_rows{state="running"}') == 0)


def leave(live: Live, index: int) -> None:
    """One of vLLM's 200 clients: 10,000 tokens wanted, half a second of patience."""
    body = {
        "model": ("tiny", "a", "b", "base")[index % 4],
        "prompt": f"client {index} wants a very long answer",
        "max_tokens": 10_000,
        "stream": index % 2 == 0,
        "temperature": 0,
    }
    try:
        # Without `verify` it does not read 200 times which authorities there are.
        timeout = httpx2.Timeout(0.5, connect=30)
        with httpx2.Client(timeout=timeout, verify=False) as client:
            started = time.monotonic()
            request = client.build_request("POST", f"{live.url}/v1/completions", json=body)
            response = client.send(request, stream=True)
            for _ in response.iter_raw():
                if time.monotonic() - started > 0.5:
                    return
    except httpx2.HTTPError:
        pass


def test_after_200_clients_that_left_the_next_is_answered_within_5_s(quick: Live) -> None:
    threads = [threading.Thread(target=leave, args=(quick, index)) for index in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    started = time.monotonic()
    response = quick.complete("and a normal one", max_tokens=5, temperature=0)
    seconds = time.monotonic() - started
    assert response.status_code == 200
    assert seconds < 5
    quick.wait_for(lambda: quick.metric('codemoe_rows{state="running"}') == 0)
    assert quick.metric('codemoe_rows{state="waiting"}') == 0
