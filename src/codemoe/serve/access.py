"""Who may ask: a key where one is set, this machine's own names where none is."""

import hmac

from codemoe.serve.asgi import App, Receive, Scope, Send, header, send_error
from codemoe.serve.errors import ApiError
from codemoe.serve.pages import page_files
from codemoe.serve.settings import Settings, is_loopback

# Everything else needs the key, but for the playground's own files: the page asks for the key.
OPEN_PATHS = frozenset({"/health"})
PAGE_PATHS = frozenset(page_files()) | {"/playground/settings"}


class Access:
    def __init__(self, app: App, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = self._refusal(scope) if scope["type"] == "http" else None
        if error is None:
            await self.app(scope, receive, send)
        else:
            await send_error(send, error, close=True)

    def _refusal(self, scope: Scope) -> ApiError | None:
        if scope["path"] in OPEN_PATHS:
            return None
        key = self.settings.api_key
        if key is None:
            return None if self._names_this_machine(scope) else _FOREIGN_HOST
        if scope["path"] in PAGE_PATHS and scope["method"] == "GET":
            return None
        given = _given_key(scope)
        if given is not None and hmac.compare_digest(given.encode("latin-1"), key.encode()):
            return None
        what = "no API key was given" if given is None else "the API key is not the right one"
        return ApiError(401, what, "invalid_api_key", headers={"WWW-Authenticate": "Bearer"})

    def _names_this_machine(self, scope: Scope) -> bool:
        """A page of another site can point its own name at this machine and ask with it (DNS
        rebinding); the Host header then still has that name."""
        host = header(scope, b"host")
        if host is None or not self.settings.is_local:
            return True
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        return is_loopback(name.lower()) or name == self.settings.host


_FOREIGN_HOST = ApiError(
    403,
    "this server has no key and answers only to this machine's own names (localhost, 127.0.0.1)",
    "foreign_host",
)


def _given_key(scope: Scope) -> str | None:
    """From `Authorization: Bearer KEY` or `X-Api-Key: KEY`."""
    authorization = header(scope, b"authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() == "bearer" and key.strip():
            return key.strip()
    return header(scope, b"x-api-key") or None
