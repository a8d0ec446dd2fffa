"""From a request to the rows that answer it: prompt, expert, sampling, bounds.

All that can be wrong with a request is found here, before the engine hears of it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from codemoe.data.fim import encode_fim, end_ids
from codemoe.data.prompt import EncodedPrompt, encode_ids, encode_prompt, encode_raw
from codemoe.errors import UserError
from codemoe.languages import find_language
from codemoe.models.ask import route_of
from codemoe.models.generate import check_request
from codemoe.models.routes import Route
from codemoe.models.sampling import Sampling
from codemoe.serve.errors import bad
from codemoe.serve.events import Wanted
from codemoe.serve.schemas import ChatRequest, CompletionRequest, Message, RoutingOptions
from codemoe.serve.served import Served
from codemoe.serve.settings import Settings

COMPLETION_TOKENS = 16  # OpenAI's default for /v1/completions
MAX_ROWS = 64


@dataclass(frozen=True)
class Plan:
    """A request understood: `num_choices` rows for each prompt, neighbours together."""

    rows: list[Wanted]
    prompt_tokens: int
    by: str
    stream: bool
    include_usage: bool


def plan_chat(served: Served, settings: Settings, request: ChatRequest) -> Plan:
    if served.is_gateway and request.logprobs:
        raise bad("another server writes the tokens: it cannot be asked for this", "logprobs")
    earlier, text = conversation(request.messages)
    language = _language(request.language)
    with served.tokenizer() as tokenizer:
        prompt = encode_prompt(tokenizer, text, language, earlier)
    num_logprobs = (request.top_logprobs or 0) if request.logprobs else None
    if request.top_logprobs is not None and not request.logprobs:
        raise bad("top_logprobs needs logprobs=true", "top_logprobs")
    asked = request.max_completion_tokens or request.max_tokens
    return _plan(served, settings, request, [prompt], asked, num_logprobs, "messages")


def plan_completion(served: Served, settings: Settings, request: CompletionRequest) -> Plan:
    if request.best_of is not None and request.best_of != (request.n or 1):
        raise bad("best_of differs from n: this server does not choose among answers", "best_of")
    for field in ("logprobs", "suffix"):
        if served.is_gateway and getattr(request, field):
            raise bad("another server writes the tokens: it cannot be asked for this", field)
    prompts, ends = _completion_prompts(served, request)
    plan = _plan(served, settings, request, prompts, request.max_tokens, request.logprobs, "prompt")
    most = COMPLETION_TOKENS if request.max_tokens is None else settings.max_tokens
    rows = [replace(r, ends=ends, max_new_tokens=min(r.max_new_tokens, most)) for r in plan.rows]
    return replace(plan, rows=rows)


def conversation(messages: Sequence[Message]) -> tuple[list[tuple[str, str]], str]:
    """Earlier (text, answer) pairs and the text to answer. What the system says goes before the
    user's next words; neighbours of one role are one text."""
    earlier: list[tuple[str, str]] = []
    words: list[str] = []
    asked = False  # the user has spoken since the last answer
    for message in messages:
        if message.role != "assistant":
            words.append(message.text())
            asked = asked or message.role == "user"
        elif asked:
            earlier.append(("\n\n".join(words), message.text()))
            words, asked = [], False
        elif earlier and not words:
            text, answer = earlier[-1]
            earlier[-1] = (text, f"{answer}\n{message.text()}")
        else:
            raise bad("an assistant's message has no user's message before it", "messages")
    if not asked:
        raise bad("the last message is not the user's", "messages")
    text = "\n\n".join(words)
    if not text.strip():
        raise bad("the message is empty", "messages")
    return earlier, text


def _completion_prompts(
    served: Served, request: CompletionRequest
) -> tuple[list[EncodedPrompt], frozenset[int]]:
    with served.tokenizer() as tokenizer:
        prompt = request.prompt
        if request.suffix:
            if served.fim is None:
                raise bad(
                    "this model's tokenizer has no fill-in-the-middle tokens, so it cannot use a "
                    "suffix",
                    "suffix",
                )
            texts = [prompt] if isinstance(prompt, str) else prompt
            prompts = []
            for text in texts:
                if not isinstance(text, str):
                    raise bad("a suffix goes with a prompt of text, not of token ids", "prompt")
                prompts.append(encode_fim(tokenizer, served.fim, text, request.suffix))
            return prompts, end_ids(tokenizer, served.fim)
        if isinstance(prompt, str):
            return [encode_raw(tokenizer, prompt)], frozenset()
        found = []
        ids: list[int] = []
        for one in prompt:
            if isinstance(one, int):
                ids.append(one)
            elif isinstance(one, str):
                found.append(encode_raw(tokenizer, one))
            else:
                found.append(encode_ids(tokenizer, _checked(one, served)))
        if ids:
            found.append(encode_ids(tokenizer, _checked(ids, served)))
        return found, frozenset()


def _checked(ids: Sequence[int], served: Served) -> Sequence[int]:
    if max(ids) >= served.vocabulary:
        raise bad(
            f"the token id {max(ids)} is out of vocabulary: there are {served.vocabulary}", "prompt"
        )
    return ids


def _plan(
    served: Served,
    settings: Settings,
    request: ChatRequest | CompletionRequest,
    prompts: Sequence[EncodedPrompt],
    asked: int | None,
    num_logprobs: int | None,
    param: str,
) -> Plan:
    options = request.routing or RoutingOptions()
    num_choices = request.n or 1
    if len(prompts) * num_choices > MAX_ROWS:
        raise bad(f"{len(prompts)} prompts times n={num_choices}: more than {MAX_ROWS} answers")
    route, by = _route(served, request, options)
    seed = secrets.randbits(62) if request.seed is None else request.seed
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    sampling = Sampling(
        1.0 if request.temperature is None else request.temperature,
        1.0 if request.top_p is None else request.top_p,
    )
    rows: list[Wanted] = []
    for prompt in prompts:
        if len(prompt.input_ids) == 1 and route.by != "none":
            raise bad("one token is too little for an expert to take over after it", param)
        tokens = _max_tokens(served, settings, prompt, asked, param)
        try:
            check_request(served.model, [prompt], route)
        except UserError as error:
            raise bad(error.what, param) from None
        wanted = Wanted(
            prompt,
            route,
            by,
            sampling,
            tokens,
            tuple(stop),
            num_logprobs=num_logprobs,
            trace=options.trace,
        )
        for _ in range(num_choices):
            own = replace(sampling, seed=seed + len(rows))
            rows.append(replace(wanted, sampling=own))
    usage = request.stream_options is not None and bool(request.stream_options.include_usage)
    prompt_tokens = sum(len(prompt.input_ids) for prompt in prompts)
    return Plan(rows, prompt_tokens, by, bool(request.stream), usage)


def _max_tokens(
    served: Served, settings: Settings, prompt: EncodedPrompt, asked: int | None, param: str
) -> int:
    """What was asked for, or else all that the window leaves. Nothing is cut short silently."""
    length, window = len(prompt.input_ids), served.window
    if length == 0:
        raise bad("the prompt is empty", param)
    if asked is not None and asked > settings.max_tokens:
        raise bad(
            f"max_tokens is {asked}; this server writes at most {settings.max_tokens}", "max_tokens"
        )
    if window is not None and length + (asked or 1) > window:
        wanted = f" and {asked} are to be written" if asked else ""
        raise bad(
            f"the prompt has {length} tokens{wanted}; the model's window is {window} tokens",
            param,
            "context_length_exceeded",
        )
    room = settings.max_tokens if window is None else min(settings.max_tokens, window - length)
    return asked or room


def _route(
    served: Served, request: ChatRequest | CompletionRequest, options: RoutingOptions
) -> tuple[Route, str]:
    """The model's name picks the mixture, an expert or the base; a language its expert."""
    name = served.find(request.model)
    if options.follow_fences and (name.kind in ("base", "dense") or options.by == "token"):
        raise bad("follow_fences is for one expert a text", "routing")
    if served.is_gateway and (options.by == "token" or options.follow_fences or options.trace):
        raise bad("another server writes the tokens: only by=auto, without a trace", "routing")
    if options.by == "token":
        if name.kind != "mixture":
            raise bad(f"token gates steer a mixture; {name.id!r} is none", "routing")
        assert served.model.mixture is not None
        if not served.model.mixture.token_routers:
            raise bad("this mixture has no token gates", "routing")
        return Route("token"), "token gates"
    if name.kind in ("base", "dense"):
        return Route("none"), "nobody"
    expert = name.id if name.kind == "expert" else None
    try:
        return route_of(served.model, _language(request.language), expert, options.follow_fences)
    except UserError as error:
        raise bad(error.what, "language" if request.language else "model") from None


def _language(name: str | None) -> str | None:
    """The canonical name of a language."""
    if name is None:
        return None
    found = find_language(name)
    if found is None:
        raise bad(f"there is no language {name!r}", "language")
    return found.name
