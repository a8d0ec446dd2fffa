"""What the endpoints answer with, for the OpenAPI description. `shapes.py` writes it."""

from typing import Any, Literal

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    error: ErrorDetail


class ModelEntry(BaseModel):
    """From `kind` on, the fields are ours."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    kind: Literal["mixture", "expert", "base", "dense"]
    languages: list[str]
    window: int | None
    routing: list[Literal["auto", "token", "trace"]]


class LanguageEntry(BaseModel):
    name: str
    label: str
    comment: str
    keywords: list[str]


class PlaygroundSettings(BaseModel):
    """`tests`: the languages whose programs may be run."""

    needs_key: bool
    max_tokens: int
    tests: list[str]
    languages: list[LanguageEntry]


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelEntry]


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionChoice(BaseModel):
    index: int
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length"] | None
    routing: dict[str, Any] | None


class CompletionReply(BaseModel):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage


class ChatMessage(BaseModel):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(BaseModel):
    index: int
    message: ChatMessage
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length"] | None
    routing: dict[str, Any] | None


class ChatReply(BaseModel):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class Health(BaseModel):
    status: Literal["ok", "starting", "draining", "failed", "stopped"]
