"""What a request may not do: each bound of docs/serve.md, with the status that it has there."""

import json
from collections.abc import Iterator

import pytest

from tests.serve.conftest import Json, Live, error_of, events, running

USER = [{"role": "user", "content": "add two numbers"}]


# -- bodies ----------------------------------------------------------------------------------

BODIES = {
    "empty": b"",
    "cut": b"{",
    "a list": b"[]",
    "a number": b"42",
    "null": b"null",
    "a string": b'"{}"',
    "not UTF-8": b'{"model": "\xff"}',
    "deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep list": b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "twice the same key": b'{"model": "tiny", "model": "a", "prompt": "x y"}',
    "NaN": b'{"model": "tiny", "prompt": "x y", "temperature": NaN}',
    "Infinity": b'{"model": "tiny", "prompt": "x y", "temperature": -Infinity}',
    "a huge number": b'{"model": "tiny", "prompt": "x y", "seed": 1' + b"0" * 5000 + b"}",
    "half a key": b'{"model": "tiny", "prompt": "x y", "\\udfff": 1}',
    "half a character": b'{"model": "tiny", "prompt": "x \\ud800"}',
    "two values": b"{}{}",
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_bodies_that_are_no_request(live: Live, path: str, name: str) -> None:
    response = live.client.post(
        path, content=BODIES[name], headers={"Content-Type": "application/json"}
    )
    error = error_of(response, 400)
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) < 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {},
    ],
)
def test_other_kinds_of_content(live: Live, headers: dict[str, str]) -> None:
    body = json.dumps({"model": "tiny", "prompt": "x y"}).encode()
    error_of(live.client.post("/v1/completions", content=body, headers=headers), 415)


def test_whole_characters_in_escapes_are_good(live: Live) -> None:
    body = b'{"model": "tiny", "prompt": "x \\ud83d\\ude00", "max_tokens": 1}'
    headers = {"Content-Type": "application/json"}
    assert live.client.post("/v1/completions", content=body, headers=headers).status_code == 200


def test_json_with_a_charset_is_json(live: Live) -> None:
    body = json.dumps({"model": "tiny", "prompt": "x y", "max_tokens": 1}).encode()
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert live.client.post("/v1/completions", content=body, headers=headers).status_code == 200


def test_unknown_paths_and_methods(live: Live) -> None:
    error_of(live.client.get("/v1/nothing"), 404)
    error_of(live.client.get("/v1/chat/completions"), 405)
    error_of(live.client.post("/health", json={}), 405)
    error_of(live.client.get("/v1/models/../../etc/passwd"), 404)
    error_of(live.client.get("/v1/models/%2e%2e%2fmoe.json"), 404)


# -- parameters ------------------------------------------------------------------------------

WRONG: list[tuple[str, Json]] = [
    *[("max_tokens", {"max_tokens": value}) for value in (0, -1, 1.0, 10**18, "5", True, 8193)],
    *[("temperature", {"temperature": value}) for value in (-0.1, 2.1, "hot", [1])],
    *[("top_p", {"top_p": value}) for value in (0, 1.1, -1, "x")],
    *[("n", {"n": value}) for value in (0, 17, 10**6, 1.5, "2")],
    *[("seed", {"seed": value}) for value in (2**63, -(2**64), 0.5)],
    ("stop", {"stop": ["a", "b", "c", "d", "e"]}),
    ("stop", {"stop": ["x"] * 100_000}),
    ("stop", {"stop": ""}),
    ("stop", {"stop": "x" * 257}),
    ("stop", {"stop": [1]}),
    ("stop", {"stop": {"a": 1}}),
    ("stream", {"stream": "yes"}),
    ("stream_options", {"stream_options": []}),
    ("frequency_penalty", {"frequency_penalty": 0.5}),
    ("presence_penalty", {"presence_penalty": -1}),
    ("logit_bias", {"logit_bias": {"5": 1}}),
    ("language", {"language": "klingon"}),
    ("language", {"language": "rust"}),
    ("language", {"language": "x" * 300}),
    ("routing", {"routing": {"by": "luck"}}),
    ("routing", {"routing": {"by": "token", "follow_fences": True}}),
    ("routing", {"routing": "token"}),
    ("model", {"model": 5}),
    ("model", {"model": None}),
    ("model", {"model": "x" * 257}),
]
WRONG_CHAT: list[tuple[str, Json]] = [
    ("max_completion_tokens", {"max_completion_tokens": 0}),
    ("max_tokens", {"max_completion_tokens": 8193}),
    ("top_logprobs", {"logprobs": True, "top_logprobs": 21}),
    ("top_logprobs", {"top_logprobs": 1}),
    ("logprobs", {"logprobs": 5}),
    ("tools", {"tools": [{"type": "function"}]}),
    ("response_format", {"response_format": {"type": "json_object"}}),
    ("messages", {"messages": []}),
    ("messages", {"messages": None}),
    ("messages", {"messages": "add"}),
    ("messages", {"messages": [{"role": "user", "content": None}]}),
    ("messages", {"messages": [{"role": "user", "content": []}]}),
    ("messages", {"messages": [{"role": "user", "content": ""}]}),
    ("messages", {"messages": [{"role": "user", "content": "  \n"}]}),
    ("messages", {"messages": [{"role": "user"}]}),
    ("messages", {"messages": [{"role": "wizard", "content": "x"}]}),
    ("messages", {"messages": [{"role": "tool", "content": "x"}]}),
    ("messages", {"messages": [{"role": "system", "content": "x"}]}),
    ("messages", {"messages": [*USER, {"role": "assistant", "content": "x"}]}),
    ("messages", {"messages": [{"role": "assistant", "content": "x"}, *USER]}),
    ("messages", {"messages": USER * 257}),
    (
        "messages",
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]},
    ),
]
WRONG_COMPLETION: list[tuple[str, Json]] = [
    *[("logprobs", {"logprobs": value}) for value in (21, -1, 10**9, True)],
    ("echo", {"echo": True}),
    ("best_of", {"best_of": 3}),
    *[("prompt", {"prompt": v}) for v in ("", [], [[]], [""], None, 5, {"a": 1}, [None], ["a", 5])],
    ("prompt", {"prompt": [400, 401]}),
    ("prompt", {"prompt": [[1, 2], [5, 10**6]]}),
    ("prompt", {"prompt": [-1, 5]}),
    ("prompt", {"prompt": [1, 2**40]}),
    ("prompt", {"prompt": [True, False]}),
    ("prompt", {"prompt": "a"}),
    ("prompt", {"prompt": ["a b"] * 17}),
    ("prompt", {"prompt": [1, 2], "suffix": "x"}),
    ("", {"prompt": ["a b"] * 16, "n": 5}),
]


def _ids(cases: list[tuple[str, Json]]) -> list[str]:
    return [f"{i}-{param}" for i, (param, _) in enumerate(cases)]


@pytest.mark.parametrize(("param", "fields"), WRONG + WRONG_CHAT, ids=_ids(WRONG + WRONG_CHAT))
def test_wrong_parameters_of_a_chat(live: Live, param: str, fields: Json) -> None:
    for stream in ({}, {"stream": True}):
        if "stream" in fields and stream:
            continue
        body = {"model": "tiny", "messages": USER, **stream, **fields}
        error = error_of(live.client.post("/v1/chat/completions", json=body), 400)
        assert error["param"] == param


@pytest.mark.parametrize(
    ("param", "fields"), WRONG + WRONG_COMPLETION, ids=_ids(WRONG + WRONG_COMPLETION)
)
def test_wrong_parameters_of_a_completion(live: Live, param: str, fields: Json) -> None:
    body = {"model": "tiny", "prompt": "add two numbers", **fields}
    if "suffix" in fields:
        param = "suffix"  # this model has no such tokens, which is seen first
    error = error_of(live.client.post("/v1/completions", json=body), 400)
    assert error["param"] == (param or None)


def test_what_may_be_left_out_or_is_ignored(live: Live) -> None:
    """Nulls, defaults of what is not supported, and fields that nobody knows."""
    names = ["max_completion_tokens", "temperature", "top_p", "n", "stop", "seed", "stream"]
    names += ["user", "stream_options", "language", "routing", "logprobs", "top_logprobs"]
    nulls = dict.fromkeys([*names, "tools", "response_format", "frequency_penalty"])
    off = {
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "logit_bias": {},
        "tools": [],
        "response_format": {"type": "text"},
        "metadata": {"a": 1},
        "store": True,
        "user": "somebody",
        "nobody_knows": [1, 2],
    }
    for fields in (nulls, off):
        assert live.chat("add", **fields, max_tokens=2).status_code == 200
    body = live.complete("x y", best_of=1, echo=False).json()
    assert body["usage"]["completion_tokens"] <= 16  # OpenAI's default for completions
    edges = {"temperature": 2, "top_p": 1, "n": 16, "seed": -(2**63), "stop": ["a"] * 4}
    assert live.chat("add", max_tokens=1, **edges).status_code == 200


def test_an_unknown_model(live: Live) -> None:
    for name in ("gpt-4", "../tiny", "/etc/passwd", "TINY", "", "a\n"):
        error = error_of(live.chat("add", model=name), 404)
        assert error["code"] == "model_not_found"
        assert error["param"] == "model"


# -- the window ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A mixture whose window is 64 tokens."""
    from tests.models.mixtures import tiny_mixture

    model = tiny_mixture(tmp_path_factory.mktemp("narrow"), max_position_embeddings=64)
    with running(model) as server:
        yield server


@pytest.mark.parametrize("stream", [False, True])
def test_prompt_and_answer_must_fit_the_window(narrow: Live, stream: bool) -> None:
    ids = [5 + i % 200 for i in range(70)]
    for length, tokens, fits in (
        (63, 1, True),
        (64, 1, False),
        (65, 1, False),
        (60, 3, True),
        (60, 4, True),
        (60, 5, False),
        (1, 1, False),  # nothing for a router to read
    ):
        prompt = ids[:length]
        response = narrow.complete(prompt, max_tokens=tokens, stream=stream, temperature=0)
        if fits:
            assert response.status_code == 200, (length, tokens)
            if stream:
                assert events(response.text)[-1]["choices"][0]["finish_reason"]
            continue
        error = error_of(response, 400)
        assert error["param"] == "prompt"
        if length > 1:
            assert error["code"] == "context_length_exceeded"
            assert str(length) in error["message"]
            assert "64" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_long_chat_is_refused_and_a_short_one_gets_what_is_left(
    narrow: Live, stream: bool
) -> None:
    error = error_of(narrow.chat("word " * 100, stream=stream), 400)
    assert error["code"] == "context_length_exceeded"
    assert error["param"] == "messages"
    few = narrow.complete([5 + i for i in range(60)], temperature=0, stream=stream)
    assert few.status_code == 200  # of the 16 tokens that are usual, what fits
    body = narrow.chat("add", temperature=0).json()
    assert body["usage"]["total_tokens"] <= 64
    if body["choices"][0]["finish_reason"] == "length":
        assert body["usage"]["total_tokens"] == 64


# -- before the model is there, and what machines read ----------------------------------------


def test_while_the_model_is_loaded() -> None:
    with running(None) as server:
        health = server.client.get("/health")
        assert (health.status_code, health.json()) == (503, {"status": "starting"})
        for response in (server.chat("add"), server.client.get("/v1/models")):
            error = error_of(response, 503)
            assert error["code"] == "starting"
            assert response.headers["retry-after"] == "1"
        assert server.client.get("/metrics").status_code == 200


def test_metrics_parse_and_only_grow(live: Live) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    def read() -> dict[tuple[str, str], float]:
        text = live.client.get("/metrics").text
        return {
            (sample.name, str(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            if family.type in ("counter", "histogram")
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

    before = read()
    assert live.chat("a secret prompt", max_tokens=3, user="a secret user").status_code == 200
    live.client.get("/a/path/that/is/nowhere")
    after = read()
    assert all(after[key] >= value for key, value in before.items())
    assert sum(after.values()) > sum(before.values())
    text = live.client.get("/metrics").text
    assert "secret" not in text
    assert "nowhere" not in text
    assert 'codemoe_rows{state="running"} 0.0' in text


def test_the_description_of_the_api_is_a_page_without_foreign_parts(live: Live) -> None:
    response = live.client.get("/docs")
    assert response.status_code == 200
    page = response.text
    for path in live.client.get("/openapi.json").json()["paths"]:
        assert path in page
    for field in ("max_tokens", "suffix", "routing", "temperature"):
        assert f"<code>{field}</code>" in page
    assert "<script" not in page
    assert "://" not in page
    assert "script-src" not in response.headers["content-security-policy"]
    assert "default-src 'none'" in response.headers["content-security-policy"]
