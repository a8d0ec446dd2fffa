"""Rows join a running batch, and leave it: each is answered as it would be alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from codemoe.data.prompt import EncodedPrompt, encode_prompt
from codemoe.models.generate import Generation, generate_batch, new_text
from codemoe.models.load import CodeModel, attach_experts, load_base
from codemoe.models.reference import BaseReference
from codemoe.models.routes import Route
from codemoe.models.running import Running
from codemoe.models.sampling import Sampling, choose
from codemoe.models.texts import Text
from tests.models.full import random_full
from tests.models.mixtures import tiny_mixture
from tests.models.tiny import CONFIGS, save_checkpoint, tiny_model, tiny_tokenizer

GREEDY = Sampling()


@pytest.fixture(scope="module")
def moe(tmp_path_factory: pytest.TempPathFactory) -> CodeModel:
    return tiny_mixture(tmp_path_factory.mktemp("moe"))


def _row(model: CodeModel, prompt: EncodedPrompt, tokens: int, sampling: Sampling = GREEDY) -> Text:
    return new_text(model, prompt, tokens, sampling, sampling.seed)


def _alone(
    model: CodeModel, prompt: EncodedPrompt, route: Route, tokens: int, sampling: Sampling = GREEDY
) -> Generation:
    (answer,) = generate_batch(model, [prompt], route, max_new_tokens=tokens, sampling=sampling)
    return answer


def _run(running: Running, joins: Sequence[tuple[int, EncodedPrompt, Route, Text]]) -> int:
    """Each joins after so many steps; the most columns that the cache ever had."""
    waiting, steps, widest = list(joins), 0, 0
    while waiting or running.texts:
        while waiting and waiting[0][0] <= steps:
            _, prompt, route, text = waiting.pop(0)
            running.admit([prompt], route, [text])
        running.step()
        if running._decoder is not None:
            widest = max(widest, running._decoder.mask_BT.shape[1])
        steps += 1
    return widest


# A sliding window that is full before, when and after rows join.
SLIDING = {"mistral": {"sliding_window": 24}}


@pytest.mark.parametrize("model_type", [*CONFIGS, "mistral, sliding"])
def test_rows_join_and_leave_a_running_batch(model_type: str) -> None:
    name, _, sliding = model_type.partition(", ")
    model = CodeModel(tiny_model(name, **SLIDING[name] if sliding else {}), tiny_tokenizer())
    texts = ["add two numbers", "the sum of all the even numbers in a list " * 2, "a", "b c d"]
    prompts = [encode_prompt(model.tokenizer, text) for text in texts]
    lengths = (9, 30, 45, 20)
    route, drawn = Route("none"), Sampling(1.0)  # greedy, a random model repeats one token
    rows = [_row(model, p, n, drawn) for p, n in zip(prompts, lengths, strict=True)]
    for row in rows:
        row.num_logprobs = 0
    _run(Running(model), list(zip((0, 4, 7, 12), prompts, [route] * 4, rows, strict=True)))
    for prompt, row, length in zip(prompts, rows, lengths, strict=True):
        (alone,) = generate_batch(
            model, [prompt], route, max_new_tokens=length, sampling=drawn, num_logprobs=0
        )
        assert tuple(row.token_ids) == alone.token_ids
        for found, expected in zip(row.logprobs, alone.logprobs, strict=True):
            assert found.logprob == pytest.approx(expected.logprob, abs=1e-4)


def test_experts_the_base_and_samplings_share_a_batch(moe: CodeModel) -> None:
    prompts = [
        encode_prompt(moe.tokenizer, "add two numbers", "python"),
        encode_prompt(moe.tokenizer, "the sum of the squares of all the numbers in a long list"),
        encode_prompt(moe.tokenizer, "a"),
        EncodedPrompt(encode_prompt(moe.tokenizer, "another prompt").input_ids, 9),
    ]
    routes = [Route("sequence"), Route("none"), Route("named", ("b",)), Route("named", ("a",))]
    samplings = [GREEDY, Sampling(1.0, 0.9, 3), Sampling(0.7, 1.0, 5), Sampling(1.2, 0.5, 8)]
    rows = [_row(moe, p, 25, s) for p, s in zip(prompts, samplings, strict=True)]
    _run(Running(moe), list(zip((0, 2, 2, 9), prompts, routes, rows, strict=True)))
    for prompt, route, sampling, row in zip(prompts, routes, samplings, rows, strict=True):
        alone = _alone(moe, prompt, route, 25, sampling)
        assert row.finished().token_ids == alone.token_ids
        assert (row.choice and row.choice.expert) == (alone.choice and alone.choice.expert)


def test_full_mlp_experts_and_the_base_share_a_batch(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    folders = {name: random_full(base, tmp_path / name, i) for i, name in enumerate("ab")}
    model = attach_experts(load_base(BaseReference(str(base))), folders, "completion")
    prompt = encode_prompt(model.tokenizer, "add two numbers")
    routes = [Route("named", ("a",)), Route("none"), Route("named", ("b",))]
    rows = [_row(model, prompt, 12) for _ in routes]
    _run(Running(model), list(zip((0, 2, 4), [prompt] * 3, routes, rows, strict=True)))
    for route, row in zip(routes, rows, strict=True):
        assert row.finished() == _alone(model, prompt, route, 12)
    assert len({tuple(row.token_ids) for row in rows}) == 3


def test_token_gates_of_joined_rows(moe: CodeModel) -> None:
    prompts = [encode_prompt(moe.tokenizer, text) for text in ("add two numbers", "a b c d e f")]
    rows = [_row(moe, prompt, 15) for prompt in prompts]
    route = Route("token")
    _run(Running(moe, by_token=True), list(zip((0, 6), prompts, [route] * 2, rows, strict=True)))
    for prompt, row in zip(prompts, rows, strict=True):
        assert row.finished() == _alone(moe, prompt, route, 15)


def test_the_gates_of_the_pass_that_wrote_a_token(moe: CodeModel) -> None:
    prompt = encode_prompt(moe.tokenizer, "add two numbers")
    row, seen = _row(moe, prompt, 6), []
    row.on_token = lambda token: seen.append(row.gates_LE)
    _run(Running(moe, by_token=True), [(0, prompt, Route("token"), row)])
    ids = torch.tensor([[*prompt.input_ids, *row.token_ids]])
    assert moe.mixture is not None
    active_BT1 = torch.ones(ids.shape)[..., None]
    active_BT1[:, : prompt.marker_start] = 0
    with moe.mixture.layers.use_tokens(moe.mixture.token_routers, active_BT1) as records:
        moe.model(input_ids=ids)
    last = len(prompt.input_ids) - 1
    for layer, routing in records.items():
        wrote = routing.gates_NE()[last : last + 6]
        assert torch.equal(torch.stack([gates[layer] for gates in seen]), wrote)


def test_the_cache_is_never_wider_than_a_row_that_is_in_it(moe: CodeModel) -> None:
    """A batch that never empties would otherwise grow for ever."""
    prompts = [encode_prompt(moe.tokenizer, "word " * (i % 3 + 1)) for i in range(40)]
    rows = [_row(moe, prompt, 12) for prompt in prompts]
    joins = [(i * 4, p, Route("sequence"), r) for i, (p, r) in enumerate(zip(prompts, rows))]  # noqa: B905
    widest = _run(Running(moe), joins)
    assert widest <= max(len(prompt.input_ids) for prompt in prompts) + 12
    assert all(row.finished().finish_reason == "length" for row in rows)


def test_what_is_asked_for_several_times_is_read_once(moe: CodeModel) -> None:
    prompt = encode_prompt(moe.tokenizer, "add two numbers")
    other = encode_prompt(moe.tokenizer, "another one")
    read: list[int] = []
    hook = moe.model.register_forward_pre_hook(
        lambda module, args, kwargs: read.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    sampling = Sampling(1.0, 1.0, 4)
    batch = [prompt, prompt, other, prompt]
    try:
        together = generate_batch(
            moe, batch, Route("sequence"), max_new_tokens=8, sampling=sampling
        )
    finally:
        hook.remove()
    assert read[0] == 2
    for i, (one, answer) in enumerate(zip(batch, together, strict=True)):
        alone = _alone(moe, one, Route("sequence"), 8, Sampling(1.0, 1.0, 4 + i))
        assert answer.token_ids == alone.token_ids
    by_name = generate_batch(moe, [prompt] * 3, Route("named", ("a", "b", "a")), max_new_tokens=8)
    assert by_name[0] == by_name[2] != by_name[1]


def test_a_cancelled_row_leaves_and_the_others_go_on(moe: CodeModel) -> None:
    prompts = [encode_prompt(moe.tokenizer, text) for text in ("add two numbers", "a", "b")]
    rows = [_row(moe, prompt, 20) for prompt in prompts]
    running = Running(moe)
    running.admit(prompts, Route("sequence"), rows)
    for _ in range(5):
        running.step()
    rows[1].stopped = True
    running.drop_finished(1.0)
    assert running.texts == [rows[0], rows[2]]
    while running.texts:
        running.step()
    for i in (0, 2):
        found, wanted = rows[i].finished(), _alone(moe, prompts[i], Route("sequence"), 20)
        assert found.choice is not None
        assert wanted.choice is not None
        # Read together, a prompt's states are rounded otherwise than alone.
        assert found.choice.expert == wanted.choice.expert
        assert found.choice.probabilities == pytest.approx(wanted.choice.probabilities, abs=1e-6)
        assert replace(found, choice=None) == replace(wanted, choice=None)
    assert running._decoder is None  # and with it the cache


def test_log_probabilities(moe: CodeModel) -> None:
    prompts = [encode_prompt(moe.tokenizer, text) for text in ("add two numbers", "a")]
    route = Route("named", ("a", "b"), "all")
    answers = generate_batch(
        moe,
        prompts,
        route,
        max_new_tokens=6,
        sampling=Sampling(1.5, 1.0, 1),
        num_logprobs=3,
    )
    assert moe.mixture is not None
    for expert, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        ids = torch.tensor([[*prompt.input_ids, *answer.token_ids]])
        gates_BTE = torch.zeros(1, 1, 2)
        gates_BTE[..., expert] = 1
        with torch.no_grad(), moe.mixture.layers.use(gates_BTE):
            expected_TV = moe.model(input_ids=ids).logits[0].log_softmax(-1)
        for i, (token, found) in enumerate(zip(answer.token_ids, answer.logprobs, strict=True)):
            row_V = expected_TV[len(prompt.input_ids) - 1 + i]
            assert found.token_id == token
            assert found.logprob == pytest.approx(float(row_V[token]), abs=1e-4)
            assert [i for i, _ in found.top] == row_V.topk(3).indices.tolist()
            assert [v for _, v in found.top] == sorted([v for _, v in found.top], reverse=True)
    plain = generate_batch(moe, prompts, route, max_new_tokens=6, sampling=Sampling(1.5, 1.0, 1))
    assert [a.token_ids for a in plain] == [a.token_ids for a in answers]
    assert plain[0].logprobs == ()


def test_an_error_while_reading_leaves_the_running_rows_alone(
    moe: CodeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = encode_prompt(moe.tokenizer, "add two numbers")
    row, running = _row(moe, prompt, 10), Running(moe)
    running.admit([prompt], Route("sequence"), [row])
    running.step()
    with monkeypatch.context() as patch:
        patch.setattr("codemoe.models.running.start", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            running.admit([prompt], Route("sequence"), [_row(moe, prompt, 10)])
    while running.texts:
        running.step()
    assert row.finished() == _alone(moe, prompt, Route("sequence"), 10)


def test_each_row_has_its_own_rule_of_sampling() -> None:
    logits_BV = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(4, 1)
    rules = [Sampling(), Sampling(1.0, 0.6), Sampling(1.0), Sampling(1.0, 0.6)]

    def drawn(rows: list[int], seed: int) -> list[int]:
        generators = [torch.Generator().manual_seed(seed + row) for row in rows]
        return choose(logits_BV[rows], [rules[row] for row in rows], generators).tolist()

    together = [drawn([0, 1, 2, 3], seed) for seed in range(200)]
    assert {row[0] for row in together} == {0}
    assert {row[1] for row in together} == {0, 1}
    assert {row[2] for row in together} == {0, 1, 2, 3}
    for row in range(4):
        assert [drawn([row], seed)[0] for seed in range(200)] == [one[row] for one in together]


@pytest.mark.parametrize("sampling", [Sampling(1.0, 5e-324), Sampling(5e-324), Sampling(1e-4)])
def test_extreme_samplings_are_greedy_and_no_error(sampling: Sampling) -> None:
    logits_BV = torch.tensor([[300.0, -200.0, 310.0], [1.0, 2.0, 0.0]])
    generators = [torch.Generator().manual_seed(row) for row in range(2)]
    assert choose(logits_BV, [sampling] * 2, generators).tolist() == [2, 1]


def test_a_mixture_folder_is_the_mixture(moe: CodeModel, tmp_path: Path) -> None:
    """What the server's tests open is what these tests hold."""
    from codemoe.models.load import load_model
    from tests.models.mixtures import save_mixture

    opened = load_model(str(save_mixture(tmp_path)))
    prompt = encode_prompt(moe.tokenizer, "add two numbers")
    for route in (Route("sequence"), Route("token"), Route("named", ("b",))):
        assert _alone(opened, prompt, route, 8) == _alone(moe, prompt, route, 8)
