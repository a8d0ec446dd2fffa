"""Batched generation, streamed if wanted: one loop for every way of routing."""

from collections.abc import Callable, Sequence

import torch

from codemoe.data.prompt import EncodedPrompt, check_marker
from codemoe.errors import UserError
from codemoe.models.load import CodeModel
from codemoe.models.prefill import choices_of, hand_over, read_instructions
from codemoe.models.routes import Choice, Route, named
from codemoe.models.running import Running, begin, by_marker
from codemoe.models.sampling import Sampling
from codemoe.models.texts import Generation, Text

__all__ = ["Choice", "Generation", "Route", "generate_batch", "generate_with_each_expert"]

OnToken = Callable[[int, int], None]
IsFinished = Callable[[int, Sequence[int]], bool]


@torch.no_grad()
def route_prompts(model: CodeModel, prompts: Sequence[EncodedPrompt]) -> list[Choice]:
    """Only route: what the sequence router chooses for each prompt."""
    assert model.mixture is not None
    found: dict[int, Choice] = {}
    for rows in by_marker(prompts):
        routing = read_instructions(model.mixture, begin(model, [prompts[row] for row in rows]))
        found |= dict(zip(rows, choices_of(model.mixture, routing), strict=True))
    return [found[row] for row in range(len(prompts))]


def context_window(model: CodeModel) -> int | None:
    """Tokens that prompt and answer may have together; None where the model sets no limit."""
    limit = getattr(model.model.config, "max_position_embeddings", None)
    return int(limit) if limit else None


def generate_batch(
    model: CodeModel,
    prompts: Sequence[EncodedPrompt],
    route: Route,
    *,
    max_new_tokens: int,
    sampling: Sampling | None = None,
    on_token: OnToken | None = None,
    is_finished: IsFinished | None = None,
    num_logprobs: int | None = None,
) -> list[Generation]:
    """Answer all prompts in one batch; `on_token(row, token_id)` streams all but the end token.

    `is_finished(row, token_ids)` is asked after each token and may end an answer: a stop rule.
    With `num_logprobs`, each token's log probability comes along, and as many of the likeliest.

    Rows do not influence each other: a batched answer differs from a single one by rounding only,
    a sampled one too, as row i draws by itself with seed `sampling.seed + i`.
    """
    check_request(model, prompts, route)
    sampling = sampling or Sampling()
    texts = []
    for row, prompt in enumerate(prompts):
        text = new_text(model, prompt, max_new_tokens, sampling, sampling.seed + row)
        text.follow_fences, text.num_logprobs = route.follow_fences, num_logprobs
        if on_token is not None:
            text.on_token = lambda token, row=row: on_token(row, token)
        if is_finished is not None:
            text.is_finished = lambda ids, row=row: is_finished(row, ids)
        texts.append(text)
    running = Running(model, by_token=route.by == "token")
    running.admit(prompts, route, texts)
    return _finish(running, texts)


def check_request(model: CodeModel, prompts: Sequence[EncodedPrompt], route: Route) -> None:
    """Raise a UserError where these prompts cannot be answered so, before anything is read."""
    if route.by != "none" and model.mixture is None:
        raise UserError(f"routing by {route.by!r} needs a mixture; this is a dense model")
    if route.follow_fences and route.by == "token":
        raise UserError("token gates choose at every token; follow_fences is for one expert a text")
    _check_window(model, prompts)
    if model.mixture is not None and route.by != "none":
        for prompt in prompts:
            if (route.activation or model.mixture.activation) != "all" or route.by == "sequence":
                check_marker(prompt)


def new_text(
    model: CodeModel, prompt: EncodedPrompt, max_new_tokens: int, sampling: Sampling, seed: int
) -> Text:
    """An answer of which nothing is written; the window is its own, its neighbours' do not count.

    `seed` stands for `sampling.seed`, so that rows that share a sampling draw apart.
    """
    length, window = len(prompt.input_ids), context_window(model)
    limit = min(max_new_tokens, window - length) if window else max_new_tokens
    generator = torch.Generator(model.model.device).manual_seed(seed)
    return Text(model.tokenizer, length, limit, sampling, generator)


def _finish(running: Running, texts: Sequence[Text]) -> list[Generation]:
    while running.texts:
        running.step()
    return [text.finished() for text in texts]


def generate_with_each_expert(
    model: CodeModel,
    prompt: EncodedPrompt,
    *,
    max_new_tokens: int,
    sampling: Sampling | None = None,
) -> tuple[list[Generation], Choice | None]:
    """One answer from every expert, in the mixture's order, after one reading of the prompt; and
    what the sequence router, if there is one, would have chosen."""
    mixture = model.mixture
    if mixture is None:
        raise UserError("comparing experts needs a mixture; this is a dense model")
    if mixture.activation != "completion":
        raise UserError(
            "this mixture's experts act on the prompt too, so one reading cannot serve them all",
            "make it with moe.activation=completion, or ask once for each: --expert NAME",
        )
    _check_window(model, [prompt])
    check_marker(prompt)
    num_experts = len(mixture.experts)
    sampling = sampling or Sampling()
    with torch.inference_mode():
        decoder = begin(model, [prompt])
        routed = None
        if mixture.sequence_router is None:
            decoder.read(0, decoder.batch.cut)
        else:
            (routed,) = choices_of(mixture, read_instructions(mixture, decoder))
        decoder.repeat(num_experts)
        begun = hand_over(mixture, decoder, torch.arange(num_experts), named(mixture.experts))
    # All draw the same numbers: they differ in nothing but the expert.
    texts = [
        new_text(model, prompt, max_new_tokens, sampling, sampling.seed) for _ in mixture.experts
    ]
    running = Running(model)
    running.join(decoder, begun, texts)
    return _finish(running, texts), routed


def _check_window(model: CodeModel, prompts: Sequence[EncodedPrompt]) -> None:
    window = context_window(model)
    longest = max(len(p.input_ids) for p in prompts)
    if window and longest + 1 > window:
        raise UserError(
            f"the prompt has {longest} tokens but the model's window is {window}", "shorten it"
        )
