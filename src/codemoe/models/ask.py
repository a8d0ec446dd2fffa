"""One prompt, one answer, with the routing that led to it: what `codemoe generate` prints."""

from typing import Any

from codemoe.data.prompt import encode_prompt
from codemoe.errors import UserError
from codemoe.models.generate import Route, generate_batch
from codemoe.models.load import load_model
from codemoe.models.sampling import Sampling


def answer(
    model_argument: str,
    text: str,
    language: str | None,
    max_new_tokens: int,
    sampling: Sampling,
) -> dict[str, Any]:
    """Open MODEL and answer; a named language picks its expert, otherwise the router does."""
    model = load_model(model_argument)
    mixture = model.mixture
    if mixture is None:
        route, by = Route("none"), "nobody"
    elif language is not None and mixture.expert_of_language:
        expert = mixture.expert_of_language.get(language)
        if expert is None:
            known = ", ".join(mixture.expert_of_language)
            raise UserError(f"this mixture has no expert for {language}; it has {known}")
        route, by = Route("named", (expert,)), "name"
    elif mixture.sequence_router is not None:
        route, by = Route("sequence"), "the sequence router"
    elif len(mixture.experts) == 1:
        route, by = Route("named", mixture.experts, "all"), "name"
    else:
        raise UserError(
            "this mixture has no fitted router yet",
            f"codemoe router RECIPE, or name a language: {', '.join(mixture.expert_of_language)}",
        )
    prompt = encode_prompt(model.tokenizer, text, language)
    result = generate_batch(
        model, [prompt], route, max_new_tokens=max_new_tokens, sampling=sampling
    )[0]
    routing = None
    if result.choice is not None:
        routing = {
            "by": by,
            "expert": result.choice.expert,
            "confidence": result.choice.confidence,
            "probabilities": result.choice.probabilities,
        }
    return {
        "text": result.text,
        "routing": routing,
        "prompt_tokens": result.prompt_tokens,
        "tokens": len(result.token_ids),
        "finish_reason": result.finish_reason,
    }
