"""The outermost layer: a request's id, its line in the log, its place in the metrics, and an answer
even when something inside fails."""

import logging
import re
import time
import uuid

from codemoe.serve.asgi import App, Message, Receive, Scope, Send, header, send_error
from codemoe.serve.errors import ApiError, as_api_error
from codemoe.serve.metrics import Metrics
from codemoe.serve.settings import Settings

logger = logging.getLogger("codemoe.serve")

# A client's own id goes into headers and logs, so it may hold nothing that means something there.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Front:
    def __init__(
        self, app: App, settings: Settings, metrics: Metrics, paths: frozenset[str]
    ) -> None:
        self.app = app
        self.settings = settings
        self.metrics = metrics
        self.paths = paths  # others are one path in the metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        own = header(scope, b"x-request-id") or ""
        request_id = own if _ID.fullmatch(own) else uuid.uuid4().hex
        started = time.monotonic()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        try:
            if _is_too_large(scope, self.settings.max_header_bytes):
                error = ApiError(431, "the request's head is too large", "head_too_large")
                await send_error(send_with_id, error, close=True)
            else:
                await self.app(scope, receive, send_with_id)
        except Exception as error:
            logger.exception("request %s failed", request_id)
            if not status:
                await send_error(send_with_id, as_api_error(error), close=True)
        path = scope["path"] if scope["path"] in self.paths else "other"
        seconds = time.monotonic() - started
        self.metrics.request(path, status, seconds)
        # No query, no body, no key: whoever reads the log need not be trusted with them.
        logger.info("%s %s %d %.3fs %s", scope["method"], path, status, seconds, request_id)


def _is_too_large(scope: Scope, most: int) -> bool:
    """A head that comes in one piece passes the protocol's own bound, which is for unfinished
    ones."""
    target = len(scope["raw_path"]) + len(scope["query_string"])
    return target + sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > most
