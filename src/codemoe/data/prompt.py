"""The one prompt format: training, evaluation and serving all come here.

    ### Task: <text>
    ### Language: Java          (left out when no language is named)
    ### Code:
    <completion>

The last line is the end-of-instruction marker. A sequence router reads what stands before it; an
expert that runs as `completion` acts from its first token on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codemoe.errors import UserError
from codemoe.languages import get_language

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKER = "### Code:\n"


@dataclass(frozen=True)
class EncodedPrompt:
    """Token ids of a prompt; the marker is the last `len(input_ids) - marker_start` of them."""

    input_ids: tuple[int, ...]
    marker_start: int


@dataclass(frozen=True)
class Example:
    """A training sample: prompt, completion and end-of-sequence token."""

    input_ids: tuple[int, ...]
    marker_start: int
    completion_start: int


def format_prompt(text: str, language: str | None = None) -> str:
    named = f"### Language: {get_language(language).label}\n" if language else ""
    return f"### Task: {text.strip()}\n{named}{MARKER}"


def encode_prompt(
    tokenizer: "PreTrainedTokenizerBase",
    text: str,
    language: str | None = None,
    earlier: Sequence[tuple[str, str]] = (),
) -> EncodedPrompt:
    """Tokenise a prompt as one string, as any other server would, and find its marker in it.

    `earlier` are (text, answer) of a conversation, written before it in the same form.
    """
    before = "".join(f"{format_prompt(t)}{answer.strip()}\n\n" for t, answer in earlier)
    prompt = before + format_prompt(text, language)
    return _encode(tokenizer, prompt, len(prompt) - len(MARKER))


def encode_formatted(tokenizer: "PreTrainedTokenizerBase", prompt: str) -> EncodedPrompt:
    """The same for one prompt that has the format already."""
    assert prompt.endswith(MARKER), prompt
    return _encode(tokenizer, prompt, len(prompt) - len(MARKER))


def encode_raw(tokenizer: "PreTrainedTokenizerBase", text: str) -> EncodedPrompt:
    """A text to be continued as it is. Experts take over at its last marker; at its last token
    where it has none."""
    at = text.rfind(MARKER)
    return _encode(tokenizer, text, at) if at >= 0 else _at_the_end(_encode(tokenizer, text, 0))


def encode_ids(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> EncodedPrompt:
    """Tokens to be continued as they are; a marker is seen only where it is the end of them."""
    for length in range(1, min(_MARKER_TOKENS, len(ids)) + 1):
        if tokenizer.decode(list(ids[-length:])) == MARKER:
            return EncodedPrompt(tuple(ids), len(ids) - length)
    return _at_the_end(EncodedPrompt(tuple(ids), 0))


# More than any tokenizer needs for the marker: it has nine characters.
_MARKER_TOKENS = len(MARKER)


def _at_the_end(prompt: EncodedPrompt) -> EncodedPrompt:
    return EncodedPrompt(prompt.input_ids, max(0, len(prompt.input_ids) - 1))


def _encode(tokenizer: "PreTrainedTokenizerBase", prompt: str, marker_char: int) -> EncodedPrompt:
    encoded = tokenizer(prompt, return_offsets_mapping=True)
    offsets: Sequence[tuple[int, int]] = encoded["offset_mapping"]
    ids = tuple(encoded["input_ids"])
    if ids and ids[-1] == tokenizer.eos_token_id:
        # Some tokenizers end every text; a prompt that ends is answered by a model that is done.
        ids = ids[:-1]
    # A token that straddles the boundary (a newline merged with what stands before it) belongs to
    # the instruction, so that the router never sees less than the whole of it.
    start = next(
        (i for i, (begin, end) in enumerate(offsets) if begin >= marker_char and end > begin),
        len(ids),
    )
    return EncodedPrompt(ids, start)


def check_marker(prompt: EncodedPrompt) -> None:
    """Raise when a prompt has no instruction, or no marker for an expert to take over at."""
    if prompt.marker_start == len(prompt.input_ids):
        raise UserError(
            f"this tokenizer merges the end-of-instruction marker {MARKER.strip()!r} into the text "
            "before it, so no expert could take over there",
            "use a base whose tokenizer splits lines, or run experts on all tokens: "
            "moe.activation=all",
        )
    if prompt.marker_start == 0:
        raise UserError("the prompt has no instruction before its marker")


def encode_example(
    tokenizer: "PreTrainedTokenizerBase", text: str, language: str | None, code: str
) -> Example:
    """Prompt and completion tokenised apart, so that the boundary is the same as in generation."""
    return encode_answer(tokenizer, encode_prompt(tokenizer, text, language), code)


def encode_answer(
    tokenizer: "PreTrainedTokenizerBase",
    prompt: EncodedPrompt,
    code: str,
    finished: bool = True,
    strip: bool = True,
) -> Example:
    """A prompt with one answer to it; an answer that was cut off has no end. Blank lines around it
    go, unless it is a piece of a program (`strip` False)."""
    if tokenizer.eos_token_id is None:
        raise UserError(
            "the tokenizer has no end-of-sequence token, so a model could not learn where to stop",
            "set eos_token in the checkpoint's tokenizer_config.json",
        )
    answer = code.strip("\n") if strip else code
    completion = tokenizer(answer, add_special_tokens=False)["input_ids"]
    end = (tokenizer.eos_token_id,) if finished else ()
    return Example(
        input_ids=(*prompt.input_ids, *completion, *end),
        marker_start=prompt.marker_start,
        completion_start=len(prompt.input_ids),
    )
