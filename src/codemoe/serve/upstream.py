"""One answer of another OpenAI-compatible server, as pieces of text; its failures in our words."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal

import httpx2

from codemoe.serve.errors import ApiError
from codemoe.serve.settings import Settings

MAX_EVENT_CHARS = 1 << 20  # what is longer is no piece of an answer


@dataclass(frozen=True)
class Part:
    """A piece of an answer; what is not told yet is None."""

    text: str = ""
    finish_reason: Literal["stop", "length"] | None = None
    num_tokens: int | None = None


class Upstream:
    """Belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        assert settings.upstream is not None
        self.url = settings.upstream.rstrip("/").removesuffix("/v1")
        key = settings.upstream_key
        wait_s = settings.upstream_timeout_s
        self._client = httpx2.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(wait_s, connect=min(5.0, wait_s), pool=None),
            limits=httpx2.Limits(max_connections=None),
            trust_env=False,  # a proxy for the web is none for the server next door
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def models(self) -> list[str]:
        """Names that the server listens to."""
        try:
            response = await self._client.get("/v1/models")
        except httpx2.HTTPError as error:
            raise _unreachable(error) from None
        if response.status_code != 200:
            raise _refused(response.status_code, response.text, response.headers)
        try:
            return [str(entry["id"]) for entry in response.json()["data"]]
        except (ValueError, KeyError, TypeError):
            raise _garbled("its list of models is none") from None

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[Part, None]:
        """A completion's pieces, the last of them with how it ended; an ApiError for whatever goes
        wrong there."""
        asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
        request = self._client.build_request("POST", "/v1/completions", json=asked)
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.HTTPError as error:
            raise _unreachable(error) from None
        try:
            if response.status_code != 200:
                text = (await response.aread()).decode("utf-8", "replace")
                raise _refused(response.status_code, text, response.headers)
            async for part in _parts(response):
                yield part
        except httpx2.HTTPError as error:
            raise _broken(error) from None
        finally:
            await response.aclose()


async def _parts(response: httpx2.Response) -> AsyncGenerator[Part, None]:
    """From server-sent events. A stream may end after its last piece without saying so, but not
    before."""
    ended = False
    async for data in _events(response):
        if data == "[DONE]":
            break
        try:
            chunk = json.loads(data)
            if chunk.get("error"):
                raise _failed(_message(chunk))
            usage = chunk.get("usage") or {}
            tokens = usage.get("completion_tokens")
            choice = chunk["choices"][0] if chunk["choices"] else {}
            reason = choice.get("finish_reason")
            part = Part(
                str(choice.get("text") or ""),
                None if reason is None else "length" if reason == "length" else "stop",
                int(tokens) if tokens is not None else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise _garbled("it sent something that is no piece of an answer") from None
        ended = ended or part.finish_reason is not None
        yield part
    if not ended:
        raise ApiError(502, "the upstream server ended the answer early", "upstream_broke_off")


async def _events(response: httpx2.Response) -> AsyncGenerator[str, None]:
    """The data of each event, whose lines may come in any pieces."""
    held = ""
    async for text in response.aiter_text():
        held += text
        *lines, held = held.split("\n")
        if len(held) > MAX_EVENT_CHARS:
            raise _garbled("it sent an event without end")
        for line in lines:
            if line.startswith("data:"):
                yield line.removeprefix("data:").strip()


def _unreachable(error: httpx2.HTTPError) -> ApiError:
    if isinstance(error, httpx2.TimeoutException) and not isinstance(error, httpx2.ConnectTimeout):
        return _too_slow()
    return ApiError(
        502, "the upstream server cannot be reached", "upstream_unreachable", headers=_SOON
    )


def _broken(error: httpx2.HTTPError) -> ApiError:
    if isinstance(error, httpx2.TimeoutException):
        return _too_slow()
    return ApiError(502, "the connection to the upstream server broke", "upstream_broke_off")


def _too_slow() -> ApiError:
    return ApiError(504, "the upstream server did not answer in time", "upstream_timeout")


def _garbled(what: str) -> ApiError:
    return ApiError(502, f"the upstream server cannot be understood: {what}", "upstream_garbled")


def _failed(message: str) -> ApiError:
    return ApiError(502, f"the upstream server failed: {message}", "upstream_failed")


_SOON = {"Retry-After": "5"}


def _refused(status: int, text: str, headers: httpx2.Headers) -> ApiError:
    """A client is told of its own mistakes as such; of ours and the upstream's, as a gateway's."""
    try:
        message = _message(json.loads(text))
    except (ValueError, TypeError, AttributeError):
        message = f"status {status}"
    if status in (401, 403):
        return ApiError(502, "the upstream server refused this gateway's key", "upstream_key")
    if status == 404:
        return ApiError(502, f"the upstream server has no such model: {message}", "upstream_model")
    if status == 429 or status == 503:
        after = {"Retry-After": headers.get("retry-after", "1")}
        return ApiError(
            status, f"the upstream server is busy: {message}", "upstream_busy", None, after
        )
    if 400 <= status < 500:
        return ApiError(400, f"the upstream server refused this: {message}", "upstream_refused")
    return _failed(message)


def _message(body: dict[str, Any]) -> str:
    """An error's words, in OpenAI's form and its relatives."""
    error = body.get("error") or body
    words = error.get("message") if isinstance(error, dict) else error
    return str(words)[:500]
