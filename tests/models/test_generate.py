"""Generation: batched = one by one, the marker's activation, routing in the base's own prefill."""

from dataclasses import replace

import pytest
import torch

from codemoe.data.prompt import encode_prompt
from codemoe.errors import UserError
from codemoe.models.features import instruction_features
from codemoe.models.generate import (
    Route,
    generate_batch,
    generate_with_each_expert,
    route_prompts,
)
from codemoe.models.load import CodeModel
from codemoe.models.routes import HandOver
from codemoe.models.sampling import Sampling, choose
from tests.models.mixtures import tiny_mixture

TEXTS = ["add two numbers", "a", "the sum of the squares of all the even numbers in a long list"]


@pytest.fixture(scope="module")
def moe(tmp_path_factory: pytest.TempPathFactory) -> CodeModel:
    return tiny_mixture(tmp_path_factory.mktemp("moe"))


def _prompts(moe: CodeModel) -> list:
    return [encode_prompt(moe.tokenizer, text, "python") for text in TEXTS]


ROUTES = {
    "dense": Route("none"),
    "sequence, from the marker on": Route("sequence"),
    "sequence, all tokens": Route("sequence", activation="all"),
    "named": Route("named", ("b", "a", "b")),
    "named, all tokens": Route("named", ("b", "a", "b"), "all"),
    "token": Route("token"),
    "token, all tokens": Route("token", activation="all"),
}


@pytest.mark.parametrize("name", ROUTES)
def test_a_batch_answers_as_one_by_one(moe: CodeModel, name: str) -> None:
    prompts, route = _prompts(moe), ROUTES[name]
    together = generate_batch(moe, prompts, route, max_new_tokens=12)
    for i, prompt in enumerate(prompts):
        own = replace(route, experts=route.experts[i : i + 1])
        alone = generate_batch(moe, [prompt], own, max_new_tokens=12)[0]
        assert alone.token_ids == together[i].token_ids
        assert alone.choice is None or alone.choice.expert == together[i].choice.expert


@pytest.mark.parametrize(("activation", "expert"), [("completion", 1), ("all", 0)])
def test_cached_generation_is_the_full_forward(
    moe: CodeModel, activation: str, expert: int
) -> None:
    """Greedy tokens with the cache = argmax of one uncached forward with the same gates."""
    prompt = _prompts(moe)[0]
    assert moe.mixture is not None
    name = moe.mixture.experts[expert]
    route = Route("named", (name,), activation)
    answer = generate_batch(moe, [prompt], route, max_new_tokens=8)[0]
    ids = list(prompt.input_ids) + list(answer.token_ids)
    gates_BTE = torch.zeros(1, len(ids), 2)
    gates_BTE[:, prompt.marker_start if activation == "completion" else 0 :, expert] = 1
    with torch.no_grad(), moe.mixture.layers.use(gates_BTE):
        logits_TV = moe.model(input_ids=torch.tensor([ids])).logits[0]
    start = len(prompt.input_ids) - 1
    expected = logits_TV[start : start + len(answer.token_ids)].argmax(-1).tolist()
    assert list(answer.token_ids) == expected


def test_activation_matters(moe: CodeModel) -> None:
    prompts = _prompts(moe)
    named = Route("named", ("a",) * 3)
    from_marker = generate_batch(moe, prompts, named, max_new_tokens=12)
    everywhere = generate_batch(moe, prompts, replace(named, activation="all"), max_new_tokens=12)
    assert [a.token_ids for a in from_marker] != [a.token_ids for a in everywhere]


def test_the_router_reads_only_the_instruction(moe: CodeModel) -> None:
    """Not the marker, not pads: alone, in a batch and in `route_prompts` it decides alike."""
    prompts = _prompts(moe)
    routed = generate_batch(moe, prompts, Route("sequence"), max_new_tokens=2)
    for answer, choice in zip(routed, route_prompts(moe, prompts), strict=True):
        assert answer.choice is not None
        assert answer.choice.expert == choice.expert
        assert answer.choice.confidence == pytest.approx(choice.confidence, abs=1e-5)
        assert sum(choice.probabilities.values()) == pytest.approx(1.0, abs=1e-5)


def test_features_ignore_pads_on_either_side() -> None:
    x_BTD = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))
    pad = torch.full((1, 2, 3), 99.0)
    ones, zeros = torch.ones(1, 5), torch.zeros(1, 2)
    plain = instruction_features(x_BTD, ones)
    assert torch.allclose(plain[:, :3], x_BTD.mean(1))
    assert torch.equal(plain[:, 3:], x_BTD[:, -1])
    right = instruction_features(torch.cat([x_BTD, pad], 1), torch.cat([ones, zeros], 1))
    left = instruction_features(torch.cat([pad, x_BTD], 1), torch.cat([zeros, ones], 1))
    assert torch.allclose(right, plain)
    assert torch.allclose(left, plain)
    counted = instruction_features(torch.cat([x_BTD, pad], 1), torch.ones(1, 7))
    assert not torch.allclose(counted, plain)  # the wrong twin


def test_streaming_sends_what_is_returned(moe: CodeModel) -> None:
    sent: dict[int, list[int]] = {0: [], 1: [], 2: []}
    answers = generate_batch(
        moe,
        _prompts(moe),
        Route("sequence"),
        max_new_tokens=10,
        on_token=lambda row, token: sent[row].append(token),
    )
    assert [tuple(sent[i]) for i in range(3)] == [a.token_ids for a in answers]


def test_finished_rows_leave_the_batch(moe: CodeModel) -> None:
    """With an end token that comes early for some rows, the others are answered as before."""
    prompts = _prompts(moe)
    route = Route("named", ("b", "a", "b"))
    plain = generate_batch(moe, prompts, route, max_new_tokens=12)
    eos = plain[0].token_ids[3]

    class Ends:
        """The same tokenizer with another end token."""

        def __init__(self) -> None:
            self.eos_token_id = eos

        def __getattr__(self, name: str) -> object:
            return getattr(moe.tokenizer, name)

    ended = generate_batch(
        replace(moe, tokenizer=Ends()),
        prompts,
        route,
        max_new_tokens=12,  # type: ignore[arg-type]
    )
    for before, after in zip(plain, ended, strict=True):
        cut = before.token_ids.index(eos) if eos in before.token_ids else len(before.token_ids)
        assert after.token_ids == before.token_ids[:cut]
        assert after.finish_reason == ("stop" if eos in before.token_ids else "length")
    assert any(a.finish_reason == "stop" for a in ended)


def test_every_expert_answers_after_one_reading_of_the_prompt(moe: CodeModel) -> None:
    prompt = _prompts(moe)[2]
    read: list[tuple[int, ...]] = []

    def note(module: object, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        read.append(tuple(kwargs["input_ids"].shape))

    hook = moe.model.base_model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        answers, routed = generate_with_each_expert(moe, prompt, max_new_tokens=10)
        assert routed is not None
    finally:
        hook.remove()
    for name, answer in zip("ab", answers, strict=True):
        alone = generate_batch(moe, [prompt], Route("named", (name,)), max_new_tokens=10)[0]
        assert answer == alone
    assert answers[0].token_ids != answers[1].token_ids
    instruction = prompt.marker_start
    assert [shape for shape in read if shape[1] > 1] == [
        (1, instruction),
        (2, len(prompt.input_ids) - instruction),
    ]


def test_a_fence_hands_the_text_to_its_languages_expert(
    moe: CodeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first token after the fence on the other expert acts, and only in that row."""
    monkeypatch.setattr(
        "codemoe.models.running.Fences.read",
        lambda self, ids: "b" if len(ids) == 4 and ids[:2] == first else None,
    )
    prompts = [_prompts(moe)[0], _prompts(moe)[2]]
    route = Route("named", ("a", "a"))
    first: list[int] = []
    plain = generate_batch(moe, prompts, route, max_new_tokens=10)
    first = list(plain[0].token_ids[:2])
    assert list(plain[1].token_ids[:2]) != first
    follow = replace(route, follow_fences=True)
    switched = generate_batch(moe, prompts, follow, max_new_tokens=10)
    assert switched[1] == plain[1]
    assert switched[0].token_ids[:4] == plain[0].token_ids[:4]
    assert switched[0].hand_overs == (HandOver(4, "b"),)
    ids = [*prompts[0].input_ids, *switched[0].token_ids]
    gates_BTE = torch.zeros(1, len(ids), 2)
    handed = len(prompts[0].input_ids) + 3  # the fence's last token is read by the next expert
    gates_BTE[:, prompts[0].marker_start : handed, 0] = 1
    gates_BTE[:, handed:, 1] = 1
    assert moe.mixture is not None
    with torch.no_grad(), moe.mixture.layers.use(gates_BTE):
        logits_TV = moe.model(input_ids=torch.tensor([ids])).logits[0]
    start = len(prompts[0].input_ids) - 1
    assert list(switched[0].token_ids) == logits_TV[start:-1].argmax(-1).tolist()
    with pytest.raises(UserError, match="follow_fences"):
        generate_batch(moe, prompts, Route("token", follow_fences=True), max_new_tokens=2)


def test_a_long_neighbour_does_not_shorten_an_answer(moe: CodeModel) -> None:
    """The window is each row's own: 256 tokens for its prompt and its answer."""
    long = encode_prompt(moe.tokenizer, "a" * 150, "python")
    short = _prompts(moe)[1]
    assert 150 < len(long.input_ids) < 256
    route = Route("named", ("a", "a"))
    answers = generate_batch(moe, [long, short], route, max_new_tokens=120)
    room = 256 - len(long.input_ids)
    assert len(answers[0].token_ids) == room
    assert len(answers[1].token_ids) == 120


def test_bad_requests_are_user_errors(moe: CodeModel) -> None:
    prompts = _prompts(moe)[:1]
    with pytest.raises(UserError, match="no expert named rust"):
        generate_batch(moe, prompts, Route("named", ("rust",)), max_new_tokens=2)
    with pytest.raises(UserError, match="dense model"):
        generate_batch(replace(moe, mixture=None), prompts, Route("sequence"), max_new_tokens=2)
    long = encode_prompt(moe.tokenizer, "word " * 400)
    with pytest.raises(UserError, match="window is 256"):
        generate_batch(moe, [long], Route("sequence"), max_new_tokens=2)
    with pytest.raises(UserError, match="dense model"):
        generate_with_each_expert(replace(moe, mixture=None), prompts[0], max_new_tokens=2)
    assert moe.mixture is not None
    plain = replace(moe, mixture=replace(moe.mixture, activation="all"))
    with pytest.raises(UserError, match="act on the prompt too"):
        generate_with_each_expert(plain, prompts[0], max_new_tokens=2)
    with pytest.raises(UserError, match="temperature"):
        Sampling(temperature=-1)
    with pytest.raises(UserError, match="top_p"):
        Sampling(top_p=0)


def test_a_tokenizer_that_swallows_the_marker(moe: CodeModel) -> None:
    prompt = _prompts(moe)[0]
    for start, words in ((len(prompt.input_ids), "merges the end-of-instruction"), (0, "no instr")):
        with pytest.raises(UserError, match=words):
            generate_batch(
                moe, [replace(prompt, marker_start=start)], Route("sequence"), max_new_tokens=2
            )
    swallowed = replace(prompt, marker_start=len(prompt.input_ids))
    everywhere = Route("named", ("a",), "all")
    assert generate_batch(moe, [swallowed], everywhere, max_new_tokens=2)[0].token_ids


def test_sampling() -> None:
    logits_BV = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).repeat(4000, 1)
    generator = [torch.Generator().manual_seed(0)] * 4000
    drawn = choose(logits_BV, [Sampling(temperature=1.0)] * 4000, generator)
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert shares.tolist() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    # The nucleus of 0.75 is the first two tokens, renormalised.
    drawn = choose(logits_BV, [Sampling(temperature=1.0, top_p=0.75)] * 4000, generator)
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert shares.tolist() == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert choose(logits_BV[:2], [Sampling()] * 2, generator[:2]).tolist() == [0, 0]


def test_a_sampled_batch_answers_as_one_by_one(moe: CodeModel) -> None:
    """Row i with seed s is the prompt alone with seed s + i, also when a neighbour is done."""
    prompts, sampling = _prompts(moe), Sampling(temperature=1.0, top_p=0.9, seed=7)
    route = Route("sequence")
    together = generate_batch(moe, prompts, route, max_new_tokens=12, sampling=sampling)
    for i, prompt in enumerate(prompts):
        own = replace(sampling, seed=7 + i)
        alone = generate_batch(moe, [prompt], route, max_new_tokens=12, sampling=own)
        assert alone[0].token_ids == together[i].token_ids
    greedy = generate_batch(moe, prompts, route, max_new_tokens=12)
    assert [a.token_ids for a in greedy] != [a.token_ids for a in together]


def test_markers_of_different_lengths_do_not_change_each_others_expert(moe: CodeModel) -> None:
    """A shorter marker's instruction goes on where a longer marker has begun."""
    prompts = _prompts(moe)
    cut = [replace(p, marker_start=p.marker_start - i * 3) for i, p in enumerate(prompts)]
    for route in (Route("sequence"), Route("named", ("b", "a", "b")), Route("token")):
        sent: set[int] = set()

        def note(row: int, token: int, sent: set[int] = sent) -> None:
            sent.add(row)

        together = generate_batch(moe, cut, route, max_new_tokens=8, on_token=note)
        assert sent == {0, 1, 2}
        for i, prompt in enumerate(cut):
            own = replace(route, experts=route.experts[i : i + 1])
            alone = generate_batch(moe, [prompt], own, max_new_tokens=8)[0]
            assert alone.token_ids == together[i].token_ids
            if route.by == "sequence":
                assert alone.choice is not None
                assert together[i].choice is not None
                assert alone.choice.confidence == pytest.approx(
                    together[i].choice.confidence, abs=1e-5
                )
                assert route_prompts(moe, cut)[i].expert == alone.choice.expert
