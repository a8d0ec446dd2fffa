"""One prompt, one answer (or one from every expert), with the routing that led to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codemoe.data.prompt import encode_prompt
from codemoe.errors import UserError
from codemoe.models.generate import (
    Choice,
    Generation,
    Route,
    check_request,
    generate_with_each_expert,
    new_text,
)
from codemoe.models.load import CodeModel, load_model
from codemoe.models.pieces import Pieces
from codemoe.models.running import Running
from codemoe.models.sampling import Sampling


@dataclass(frozen=True)
class Question:
    """One task and how it is to be answered.

    A named expert, or the expert of a named language, answers; otherwise the router chooses.
    """

    text: str
    language: str | None = None
    max_new_tokens: int = 650
    sampling: Sampling = Sampling()  # noqa: RUF009 (frozen)
    expert: str | None = None
    follow_fences: bool = False
    token_gates: bool = False
    base_alone: bool = False
    earlier: tuple[tuple[str, str], ...] = ()  # (text, answer) of a conversation


def answer(
    model: CodeModel,
    question: Question,
    *,
    on_begin: Callable[[dict[str, Any] | None], None] | None = None,
    on_text: Callable[[str], None] | None = None,
    stoppable: bool = False,
) -> dict[str, Any]:
    """Answer: `on_begin` is told the routing when the prompt has been read, `on_text` each piece.

    With `stoppable`, an interrupt (Ctrl-C) ends the answer, not the program; the `finish_reason` is
    then "interrupted".
    """
    route, by = _route(model, question)
    prompt = encode_prompt(model.tokenizer, question.text, question.language, question.earlier)
    check_request(model, [prompt], route)
    sampling = question.sampling
    text = new_text(model, prompt, question.max_new_tokens, sampling, sampling.seed)
    text.follow_fences = question.follow_fences
    pieces = Pieces(model.tokenizer)
    if on_text is not None:
        text.on_token = lambda token: on_text(pieces.push(token))
    interrupted = False
    try:
        running = Running(model, by_token=route.by == "token")
        running.admit([prompt], route, [text])
        if on_begin is not None:
            on_begin(None if text.choice is None else told(text.choice, by))
        while running.texts:
            running.step()
    except KeyboardInterrupt:
        if not stoppable:
            raise
        interrupted = True
    if on_text is not None:
        on_text(pieces.finish())
    result = text.finished()
    return {
        "text": result.text,
        "routing": _routing(model, result, by),
        "prompt_tokens": result.prompt_tokens,
        "tokens": len(result.token_ids),
        "finish_reason": "interrupted" if interrupted else result.finish_reason,
    }


def _route(model: CodeModel, question: Question) -> tuple[Route, str]:
    if question.base_alone:
        return Route("none"), "nobody"
    if question.token_gates:
        return Route("token"), "token gates"
    return route_of(model, question.language, question.expert, question.follow_fences)


def compare(
    model_argument: str, text: str, language: str | None, max_new_tokens: int, sampling: Sampling
) -> dict[str, Any]:
    """Open MODEL and let every expert answer after one reading of the prompt."""
    model = load_model(model_argument)
    prompt = encode_prompt(model.tokenizer, text, language)
    results, routed = generate_with_each_expert(
        model, prompt, max_new_tokens=max_new_tokens, sampling=sampling
    )
    return {
        "answers": [_one(result) for result in results],
        "routing": None if routed is None else told(routed, "the sequence router"),
        "prompt_tokens": len(prompt.input_ids),
    }


def _routing(model: CodeModel, result: Generation, by: str) -> dict[str, Any] | None:
    """Who decided what: one expert and where others took over, or each layer's share."""
    if result.load_LE is not None:
        assert model.mixture is not None
        names = model.mixture.experts
        load = [dict(zip(names, shares, strict=True)) for shares in result.load_LE]
        return {"by": by, "load_by_layer": load}
    if result.choice is None:
        return None
    others = [{"token": one.token, "expert": one.expert} for one in result.hand_overs]
    return told(result.choice, by) | ({"hand_overs": others} if others else {})


def _one(result: Generation) -> dict[str, Any]:
    assert result.choice is not None
    return {
        "expert": result.choice.expert,
        "text": result.text,
        "tokens": len(result.token_ids),
        "finish_reason": result.finish_reason,
    }


def told(choice: Choice, by: str) -> dict[str, Any]:
    """A choice as programs read it."""
    return {
        "by": by,
        "expert": choice.expert,
        "confidence": choice.confidence,
        "probabilities": choice.probabilities,
    }


def language_of(model: CodeModel, routing: dict[str, Any] | None) -> str | None:
    """The language of who was chosen, where that expert has one and no more."""
    if routing is None or model.mixture is None:
        return None
    of = model.mixture.expert_of_language
    own = [language for language, expert in of.items() if expert == routing["expert"]]
    return own[0] if len(own) == 1 else None


def route_of(
    model: CodeModel, language: str | None, expert: str | None, follow_fences: bool = False
) -> tuple[Route, str]:
    """How one prompt is routed, and who decides: a name, or else the router."""
    mixture = model.mixture
    if mixture is None:
        if expert is not None:
            raise UserError(f"this model is dense: it has no expert {expert!r}")
        return Route("none"), "nobody"
    if expert is not None:
        return Route("named", (expert,), follow_fences=follow_fences), "name"
    if language is not None and mixture.expert_of_language:
        own = mixture.expert_of_language.get(language)
        if own is None:
            known = ", ".join(mixture.expert_of_language)
            raise UserError(f"this mixture has no expert for {language}; it has {known}")
        return Route("named", (own,), follow_fences=follow_fences), "name"
    if mixture.sequence_router is not None:
        return Route("sequence", follow_fences=follow_fences), "the sequence router"
    if len(mixture.experts) == 1:
        return Route("named", mixture.experts, "all"), "name"
    raise UserError(
        "this mixture has no fitted router yet",
        f"codemoe router RECIPE, or name an expert: --expert {mixture.experts[0]}",
    )
