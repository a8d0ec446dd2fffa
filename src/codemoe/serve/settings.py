"""How a server listens, and every bound it keeps."""

import ipaddress
from dataclasses import dataclass

from codemoe.errors import UserError


@dataclass(frozen=True)
class Settings:
    host: str = "127.0.0.1"
    port: int = 8000
    api_key: str | None = None
    name: str | None = None  # of the model; the last part of MODEL when None
    allow_origins: tuple[str, ...] = ()  # of web pages that may ask from a browser
    max_batch: int = 16  # answers written at once
    max_queue: int = 256  # answers that wait
    max_tokens: int = 8192  # that one request may ask for
    # Room for prompts and answers together, in tokens: rows times the longest of them.
    max_cache_tokens: int = 65536
    # Prompt tokens read between two steps; running answers wait meanwhile.
    max_prefill_tokens: int = 8192
    max_body_bytes: int = 1 << 20
    max_header_bytes: int = 32 << 10
    max_connections: int = 1024
    header_timeout_s: float = 10.0
    body_timeout_s: float = 20.0
    write_timeout_s: float = 30.0  # for a client that does not read
    keep_alive_s: float = 15.0
    shutdown_timeout_s: float = 30.0
    # A gateway: another server, which has the experts as adapters, writes the answers.
    upstream: str | None = None
    upstream_key: str | None = None
    upstream_base: str | None = None  # the base's name there; found out when None
    upstream_timeout_s: float = 60.0  # between two pieces of an answer

    def __post_init__(self) -> None:
        for name in ("max_batch", "max_queue", "max_tokens", "max_cache_tokens"):
            if getattr(self, name) < 1:
                option = name.replace("_", "-")
                raise UserError(f"--{option} is {getattr(self, name)}; expected 1 or more")
        if self.shutdown_timeout_s < 0:
            raise UserError(f"--shutdown-timeout is {self.shutdown_timeout_s}; expected 0 or more")
        if self.upstream is not None and not self.upstream.startswith(("http://", "https://")):
            raise UserError(
                f"--upstream is {self.upstream!r}, which is no address",
                "give one such as http://127.0.0.1:8001/v1",
            )
        if self.upstream_timeout_s <= 0:
            raise UserError(f"--upstream-timeout is {self.upstream_timeout_s}; expected above 0")
        if self.api_key is not None and not self.api_key.strip():
            raise UserError("the API key is empty", "leave --api-key out, or give one")
        if self.api_key is not None and not self.api_key.isascii():
            raise UserError("the API key has characters that no HTTP header can carry")
        if not self.is_local and self.api_key is None:
            raise UserError(
                f"{self.host} can be reached from other machines, and there is no key",
                "give one: --api-key KEY (or CODEMOE_API_KEY), or listen on 127.0.0.1",
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
