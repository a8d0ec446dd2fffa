"""Bodies are read here, within bounds, before anything looks at them."""

import asyncio
import json
import re
from typing import Any, NoReturn

from codemoe.serve.asgi import App, Message, Receive, Scope, Send, header, send_error
from codemoe.serve.errors import ApiError, bad
from codemoe.serve.settings import Settings

# Larger ones are parsed in a thread, so that others are answered meanwhile.
_LARGE = 64 << 10
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class Body:
    """Hands on requests whose body is one JSON object of bounded size, or that have none."""

    def __init__(self, app: App, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.settings.body_timeout_s):
                body = await self._read(scope, receive)
            if body is None:
                return  # the client has left
            if len(body) > _LARGE:
                await asyncio.to_thread(check_json, body)
            else:
                check_json(body)
        except TimeoutError:
            await send_error(send, ApiError(408, "the body did not come in time"), close=True)
            return
        except ApiError as error:
            await send_error(send, error, close=True)
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, again, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        self._check_headers(scope)
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            self._check_size(size)
            more = message.get("more_body", False)
        return b"".join(parts)

    def _check_headers(self, scope: Scope) -> None:
        kind = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415, "the body must be application/json", "unsupported_media_type")
        if (header(scope, b"content-encoding") or "identity").lower() != "identity":
            raise ApiError(415, "the body must not be compressed", "unsupported_media_type")
        length = header(scope, b"content-length") or "0"
        self._check_size(int(length) if length.isdigit() else 0)

    def _check_size(self, size: int) -> None:
        if size > self.settings.max_body_bytes:
            limit = self.settings.max_body_bytes
            raise ApiError(413, f"the body has more than {limit} bytes", "body_too_large")


def check_json(body: bytes) -> None:
    """Raise where this is no JSON object, or one that readers understand differently."""
    try:
        value = json.loads(body, parse_constant=_no_number, object_pairs_hook=_no_duplicates)
    except RecursionError:
        raise bad("the JSON is nested too deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise bad(f"the body is no JSON: {error}"[:200]) from None
    if not isinstance(value, dict):
        raise bad("the body must be a JSON object")
    if _SURROGATE.search(body):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise bad("the body has half a character (a surrogate without its other)") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed in JSON")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("an object has a key twice")
    return value
