"""The requests of OpenAI's API that this server reads, and its own fields in them.

Strict: "5" is no number and 5.0 no count. Fields that are not known are ignored, as clients expect;
known ones that would change the answer and are not supported are refused.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_CHOICES = 16
MAX_PROMPTS = 16
MAX_STOPS = 4
MAX_LOGPROBS = 20


class _Fields(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", protected_namespaces=())


def _is_off(value: Any) -> Any:
    if value in (None, False, 0, [], {}):
        return value
    raise ValueError("this server does not support it; leave it out")


def _is_text(value: Any) -> Any:
    if value is None or value == {"type": "text"}:
        return value
    raise ValueError('this server only knows {"type": "text"}')


Unsupported = Annotated[Any, AfterValidator(_is_off)]
Word = Annotated[str, Field(max_length=256)]
Stop = Annotated[str, Field(min_length=1, max_length=256)]


class StreamOptions(_Fields):
    include_usage: bool | None = None


class RoutingOptions(_Fields):
    """Ours: how the mixture is steered and what is told of it."""

    by: Annotated[
        Literal["auto", "token"],
        Field(description="`token`: each layer's gate chooses at every token."),
    ] = "auto"
    trace: Annotated[bool, Field(description="Tell who wrote each token.")] = False
    follow_fences: Annotated[
        bool,
        Field(
            description="Change to the expert of a language whose fenced block the answer opens."
        ),
    ] = False


class _Generation(_Fields):
    model: Word = Field(description="A name that /v1/models lists.")
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS, fail_fast=True)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Any = None
    frequency_penalty: Unsupported = None
    presence_penalty: Unsupported = None
    logit_bias: Unsupported = None
    language: Word | None = Field(
        None, description="Ours: the programming language; its expert answers."
    )
    routing: RoutingOptions | None = Field(None, description="Ours.")


class TextPart(_Fields):
    type: Literal["text"]
    text: str


class Message(_Fields):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1, max_length=64, fail_fast=True)]

    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content)


class ChatRequest(_Generation):
    messages: Annotated[list[Message], Field(min_length=1, max_length=256, fail_fast=True)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    tools: Unsupported = None
    functions: Unsupported = None
    response_format: Annotated[Any, AfterValidator(_is_text)] = None


Ids = Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, fail_fast=True)]
Texts = Annotated[list[str], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]
IdLists = Annotated[list[Ids], Field(min_length=1, max_length=MAX_PROMPTS, fail_fast=True)]


class CompletionRequest(_Generation):
    prompt: str | Texts | Ids | IdLists
    suffix: str | None = Field(
        None, description="Fill in the middle, with a model that was trained for it."
    )
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    echo: Unsupported = None
    best_of: int | None = None
