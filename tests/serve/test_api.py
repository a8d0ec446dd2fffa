"""What the API answers: the library's own answers, in OpenAI's shapes."""

import threading
from dataclasses import replace

import pytest

from codemoe.data.prompt import MARKER, encode_prompt, encode_raw, format_prompt
from codemoe.models.generate import generate_batch
from codemoe.models.load import CodeModel
from codemoe.models.routes import Route
from codemoe.models.sampling import Sampling
from tests.serve.conftest import Json, Live, events, running

GREEDY = {"temperature": 0, "max_tokens": 24}
DRAWN = {"temperature": 1.0, "top_p": 0.9, "seed": 11, "max_tokens": 24}


def text_of(response: object) -> str:
    assert response.status_code == 200, response.text  # type: ignore[attr-defined]
    choice: Json = response.json()["choices"][0]  # type: ignore[attr-defined]
    return str(choice["message"]["content"] if "message" in choice else choice["text"])


@pytest.fixture(scope="module")
def expected(mixture: CodeModel) -> dict[str, str]:
    """By route and sampling: what the library answers, one prompt at a time."""
    prompts = {
        "auto": (encode_prompt(mixture.tokenizer, "add two numbers"), Route("sequence")),
        "a": (encode_prompt(mixture.tokenizer, "add two numbers"), Route("named", ("a",))),
        "java": (encode_prompt(mixture.tokenizer, "add", "java"), Route("named", ("b",))),
        "base": (encode_prompt(mixture.tokenizer, "add two numbers"), Route("none")),
        "token": (encode_prompt(mixture.tokenizer, "add two numbers"), Route("token")),
        "raw": (encode_raw(mixture.tokenizer, "def add(a, b):\n"), Route("sequence")),
        "raw b": (encode_raw(mixture.tokenizer, "def add(a, b):\n"), Route("named", ("b",))),
    }
    samplings = {"greedy": Sampling(), "drawn": Sampling(1.0, 0.9, 11)}
    return {
        f"{name} {how}": generate_batch(
            mixture, [prompt], route, max_new_tokens=24, sampling=sampling
        )[0].text
        for name, (prompt, route) in prompts.items()
        for how, sampling in samplings.items()
    }


def ask(live: Live, name: str, how: str, **fields: object) -> str:
    fields |= GREEDY if how == "greedy" else DRAWN
    if name.startswith("raw"):
        model = "b" if name.endswith("b") else "tiny"
        return text_of(live.complete("def add(a, b):\n", model=model, **fields))
    if name == "java":
        return text_of(live.chat("add", language="Java", **fields))
    if name == "token":
        return text_of(live.chat("add two numbers", routing={"by": "token"}, **fields))
    model = "tiny" if name == "auto" else name
    return text_of(live.chat("add two numbers", model=model, **fields))


NAMES = ["auto", "a", "java", "base", "token", "raw", "raw b"]


@pytest.mark.parametrize("how", ["greedy", "drawn"])
def test_alone_it_answers_as_the_library(live: Live, expected: dict[str, str], how: str) -> None:
    for name in NAMES:
        assert ask(live, name, how) == expected[f"{name} {how}"], name
    assert len(set(expected.values())) > 8  # who answers, and how, does matter


def test_amid_others_too(live: Live, expected: dict[str, str]) -> None:
    """All kinds at once, three times, with long neighbours."""
    found: dict[int, tuple[str, str]] = {}
    jobs = [(f"{name} {how}", name, how) for name in NAMES for how in ("greedy", "drawn")] * 3

    def long(i: int) -> None:
        live.chat("word " * (30 * i), max_tokens=150, seed=i)

    def one(i: int) -> None:
        key, name, how = jobs[i]
        found[i] = (key, ask(live, name, how))

    threads = [threading.Thread(target=long, args=(i,)) for i in range(4)]
    threads += [threading.Thread(target=one, args=(i,)) for i in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(jobs)
    for key, text in found.values():
        assert text == expected[key], key


def test_the_shape_of_a_chat_answer(live: Live, mixture: CodeModel) -> None:
    body = live.chat("add two numbers", **GREEDY).json()
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert body["model"] == "tiny"
    (choice,) = body["choices"]
    assert choice["index"] == 0
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] in ("stop", "length")
    prompt = encode_prompt(mixture.tokenizer, "add two numbers")
    (answer,) = generate_batch(mixture, [prompt], Route("sequence"), max_new_tokens=24)
    usage = body["usage"]
    assert usage["prompt_tokens"] == len(prompt.input_ids)
    assert usage["completion_tokens"] == len(answer.token_ids)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert answer.choice is not None
    assert choice["routing"] == {
        "by": "the sequence router",
        "expert": answer.choice.expert,
        "confidence": pytest.approx(answer.choice.confidence, abs=1e-5),
        "probabilities": pytest.approx(answer.choice.probabilities, abs=1e-5),
        "language": {"a": "python", "b": "java"}[answer.choice.expert],
    }


@pytest.mark.parametrize("fields", [GREEDY, DRAWN], ids=["greedy", "drawn"])
@pytest.mark.parametrize("path", ["chat", "completion"])
def test_a_stream_is_the_answer_in_pieces(live: Live, path: str, fields: Json) -> None:
    send = live.chat if path == "chat" else live.complete
    whole = send("add two numbers", n=2, **fields).json()
    response = send(
        "add two numbers", n=2, stream=True, stream_options={"include_usage": True}, **fields
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    chunks = events(response.text)
    assert {chunk["object"] for chunk in chunks} == {
        "chat.completion.chunk" if path == "chat" else "text_completion"
    }
    assert len({chunk["id"] for chunk in chunks}) == 1
    *parts, usage = chunks
    assert usage["choices"] == []
    assert usage["usage"] == whole["usage"]
    assert all(part["usage"] is None for part in parts)
    for index, choice in enumerate(whole["choices"]):
        own = [p["choices"][0] for p in parts if p["choices"][0]["index"] == index]
        if path == "chat":
            assert own[0]["delta"] == {"role": "assistant", "content": ""}
            assert all("role" not in one["delta"] for one in own[1:])
            text = "".join(one["delta"].get("content", "") for one in own)
            assert text == choice["message"]["content"]
        else:
            assert "".join(one["text"] for one in own) == choice["text"]
        assert [one["finish_reason"] for one in own[:-1]] == [None] * (len(own) - 1)
        assert own[-1]["finish_reason"] == choice["finish_reason"]
        assert own[0]["routing"] == own[-1]["routing"] == choice["routing"]


def test_n_answers_differ_by_their_seeds(live: Live, mixture: CodeModel) -> None:
    body = live.chat("add two numbers", n=3, **DRAWN).json()
    prompt = encode_prompt(mixture.tokenizer, "add two numbers")
    answers = generate_batch(
        mixture,
        [prompt] * 3,
        Route("sequence"),
        max_new_tokens=24,
        sampling=Sampling(1.0, 0.9, 11),
    )
    assert [c["message"]["content"] for c in body["choices"]] == [a.text for a in answers]
    assert len({answer.text for answer in answers}) == 3
    again = live.chat("add two numbers", n=3, **DRAWN).json()
    assert again["choices"] == body["choices"]
    assert body["usage"]["prompt_tokens"] == len(prompt.input_ids)
    unseeded = [text_of(live.chat("add two numbers", max_tokens=24)) for _ in range(3)]
    assert len(set(unseeded)) == 3


def test_several_prompts_and_token_ids(live: Live, mixture: CodeModel) -> None:
    texts = ["def add(a, b):\n", format_prompt("add two numbers", "java") + "def f("]
    ids = [list(encode_raw(mixture.tokenizer, text).input_ids) for text in texts]
    body = live.complete(texts, n=2, **GREEDY).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2, 3]
    found = [choice["text"] for choice in body["choices"]]
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert body["usage"]["prompt_tokens"] == sum(map(len, ids))
    assert text_of(live.complete(ids[0], **GREEDY)) == found[0]
    by_ids = live.complete(ids[:1], **GREEDY).json()["choices"]
    assert by_ids[0]["text"] == found[0]


def test_a_prompt_in_the_models_own_form_is_a_chat(live: Live, mixture: CodeModel) -> None:
    """Also as token ids: the marker is found, and the expert takes over there."""
    prompt = format_prompt("add two numbers")
    assert prompt.endswith(MARKER)
    chat = text_of(live.chat("add two numbers", model="b", **GREEDY))
    assert text_of(live.complete(prompt, model="b", **GREEDY)) == chat
    ids = list(encode_raw(mixture.tokenizer, prompt).input_ids)
    assert text_of(live.complete(ids, model="b", **GREEDY)) == chat


def test_earlier_turns_are_read_in_the_same_form(live: Live, mixture: CodeModel) -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "add"}]},
        {"role": "assistant", "content": "def add(): pass\n"},
        {"role": "user", "content": "now subtract"},
    ]
    response = live.post("/v1/chat/completions", messages=messages, model="a", **GREEDY)
    written = (
        format_prompt("Be short.\n\nadd") + "def add(): pass\n\n" + format_prompt("now subtract")
    )
    prompt = encode_raw(mixture.tokenizer, written)
    (answer,) = generate_batch(mixture, [prompt], Route("named", ("a",)), max_new_tokens=24)
    assert text_of(response) == answer.text
    assert response.json()["usage"]["prompt_tokens"] == len(prompt.input_ids)


def test_stop_strings_end_an_answer(live: Live) -> None:
    whole = text_of(live.chat("add two numbers", **DRAWN))
    stop = whole[5:8]
    for stops in (stop, ["not in it", stop]):
        body = live.chat("add two numbers", stop=stops, **DRAWN).json()
        assert body["choices"][0]["message"]["content"] == whole[: whole.find(stop)]
        assert body["choices"][0]["finish_reason"] == "stop"
        chunks = events(live.chat("add two numbers", stop=stops, stream=True, **DRAWN).text)
        text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
        assert text == whole[: whole.find(stop)]
        assert body["usage"]["completion_tokens"] < 24
    # A text that ends in the beginning of a stop string is whole.
    assert text_of(live.chat("add two numbers", stop=whole[-2:] + "\x00", **DRAWN)) == whole


def test_logprobs_in_both_shapes(live: Live, mixture: CodeModel) -> None:
    prompt = encode_prompt(mixture.tokenizer, "add two numbers")
    (answer,) = generate_batch(
        mixture,
        [prompt],
        Route("sequence"),
        max_new_tokens=24,
        sampling=Sampling(1.0, 0.9, 11),
        num_logprobs=2,
    )
    values = [one.logprob for one in answer.logprobs]
    chat = live.chat("add two numbers", logprobs=True, top_logprobs=2, **DRAWN).json()
    content = chat["choices"][0]["logprobs"]["content"]
    assert [one["logprob"] for one in content] == pytest.approx(values, abs=1e-4)
    assert all(len(one["top_logprobs"]) == 2 for one in content)
    # Bytes put together are the text, also where a character takes several tokens.
    joined = bytes(byte for one in content for byte in one["bytes"])
    assert joined.decode("utf-8", "replace") == chat["choices"][0]["message"]["content"]
    raw = format_prompt("add two numbers")
    body = live.complete(raw, logprobs=2, **DRAWN).json()
    found = body["choices"][0]["logprobs"]
    assert found["token_logprobs"] == pytest.approx(values, abs=1e-4)
    assert len(found["tokens"]) == len(found["top_logprobs"]) == len(found["text_offset"])
    assert found["text_offset"] == sorted(found["text_offset"])
    plain = live.chat("add two numbers", **DRAWN).json()["choices"][0]
    assert plain["logprobs"] is None
    streamed = events(
        live.chat("add two numbers", logprobs=True, top_logprobs=2, stream=True, **DRAWN).text
    )
    parts = [c["choices"][0]["logprobs"] for c in streamed]
    assert [one for part in parts if part for one in part["content"]] == content
    # Tokens of a stop string are no part of the answer.
    text = chat["choices"][0]["message"]["content"]
    cut = live.chat("add two numbers", logprobs=True, stop=text[6:9], **DRAWN).json()
    fewer = cut["choices"][0]["logprobs"]["content"]
    assert 0 < len(fewer) < len(content)
    assert [one["token"] for one in fewer] == [one["token"] for one in content[: len(fewer)]]


def test_who_wrote_each_token(live: Live) -> None:
    traced = {"trace": True}
    choice = live.chat("add two numbers", model="b", routing=traced, **GREEDY).json()["choices"][0]
    assert {one["expert"] for one in choice["routing"]["tokens"]} == {"b"}
    assert len(choice["routing"]["tokens"]) == 24
    body = live.chat("add", routing={"by": "token", **traced}, **GREEDY).json()
    routing = body["choices"][0]["routing"]
    assert routing["by"] == "token gates"
    assert all(len(one["experts"]) == 2 for one in routing["tokens"])
    for shares in routing["load_by_layer"]:
        assert sum(shares.values()) == pytest.approx(1.0)
    stream = live.chat("add", routing={"by": "token", **traced}, stream=True, **GREEDY)
    parts = [c["choices"][0].get("routing") or {} for c in events(stream.text)]
    assert [one for part in parts for one in part.get("tokens", [])] == routing["tokens"]
    base = live.chat("add", model="base", routing=traced, **GREEDY).json()["choices"][0]
    assert base["routing"]["by"] == "nobody"
    assert {one["expert"] for one in base["routing"]["tokens"]} == {None}


def test_models(live: Live) -> None:
    listed = live.client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [(one["id"], one["kind"]) for one in listed["data"]] == [
        ("tiny", "mixture"),
        ("a", "expert"),
        ("b", "expert"),
        ("base", "base"),
    ]
    assert listed["data"][1]["languages"] == ["python"]
    assert live.client.get("/v1/models/b").json() == listed["data"][2]
    assert live.client.get("/v1/models/c").status_code == 404


def test_fill_in_the_middle(mixture: CodeModel) -> None:
    """With a tokenizer that has the tokens, whose ids fit the model's vocabulary."""
    import copy

    from codemoe.data.fim import encode_fim, fim_of

    tokenizer = copy.deepcopy(mixture.tokenizer)
    names = ["<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>"]
    tokenizer.add_special_tokens({"additional_special_tokens": names})
    fim = fim_of(tokenizer)
    assert fim is not None
    prompt = encode_fim(tokenizer, fim, "def add(a, b):\n    ", "\n\nprint(add(1, 2))")
    model = replace(mixture, tokenizer=tokenizer)
    (answer,) = generate_batch(model, [prompt], Route("named", ("a",)), max_new_tokens=24)
    with running(model) as server:
        body = server.complete(
            "def add(a, b):\n    ", suffix="\n\nprint(add(1, 2))", model="a", **GREEDY
        ).json()
        assert body["choices"][0]["text"] == answer.text
        assert body["usage"]["prompt_tokens"] == len(prompt.input_ids)
        routed = server.complete("", suffix="x", **GREEDY)
        assert routed.json()["choices"][0]["routing"]["by"] == "the sequence router"
        # A token that begins another file ends the middle.
        end = answer.token_ids[4]
        text = tokenizer.decode(answer.token_ids[: answer.token_ids.index(end)])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("codemoe.serve.plans.end_ids", lambda *_: frozenset({end}))
            cut = server.complete(
                "def add(a, b):\n    ", suffix="\n\nprint(add(1, 2))", model="a", **GREEDY
            ).json()["choices"][0]
        assert cut["text"] == text
        assert cut["finish_reason"] == "stop"


def test_a_suffix_needs_such_a_model(live: Live) -> None:
    response = live.complete("a", suffix="b")
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "suffix"
    assert live.complete("def a", suffix="", **GREEDY).status_code == 200


def test_a_dense_model_is_served_too(mixture_dir: object) -> None:
    from codemoe.models.load import load_model

    model = load_model(f"{mixture_dir}/base")
    with running(model) as server:
        (entry,) = server.client.get("/v1/models").json()["data"]
        assert entry["kind"] == "dense"
        choice = server.chat("add two numbers", **GREEDY).json()["choices"][0]
        prompt = encode_prompt(model.tokenizer, "add two numbers")
        (answer,) = generate_batch(model, [prompt], Route("none"), max_new_tokens=24)
        assert choice["message"]["content"] == answer.text
        assert choice["routing"] is None
        assert server.chat("x", routing={"by": "token"}).status_code == 400
