"""Errors as OpenAI's clients know them: {"error": {message, type, param, code}} and a status."""

from collections.abc import Mapping
from typing import Any

from codemoe.errors import UserError, WorkError


class ApiError(Exception):
    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        return {
            "error": {
                "message": self.message,
                "type": _TYPES.get(self.status, "invalid_request_error"),
                "param": self.param,
                "code": self.code,
            }
        }


_TYPES = {401: "authentication_error", 429: "rate_limit_error"} | dict.fromkeys(
    (500, 502, 503, 504), "server_error"
)


class OutOfMemory(Exception):
    """The model ran out of memory while it worked on a request."""


def bad(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(400, message, code, param)


def not_ready(what: str, code: str, retry_after_s: int = 1) -> ApiError:
    return ApiError(503, what, code, headers={"Retry-After": str(retry_after_s)})


def going_down() -> ApiError:
    return not_ready("the server is going down", "shutting_down")


def as_api_error(error: BaseException) -> ApiError:
    """What a client may know of an error. Our own mistakes say nothing of the inside."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, OutOfMemory):
        return ApiError(500, "the model ran out of memory; ask for less at once", "out_of_memory")
    if isinstance(error, UserError) and not isinstance(error, WorkError):
        return bad(error.what + (f" ({error.fix})" if error.fix else ""))
    return ApiError(500, "the server failed on this request", "internal_error")


def is_out_of_memory(error: BaseException) -> bool:
    """Of a GPU (torch.OutOfMemoryError) or of this machine, whose allocator says it in words."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )
