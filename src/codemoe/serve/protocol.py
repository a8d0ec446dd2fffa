"""HTTP connections that end when their client is too slow.

uvicorn bounds the size of a head and the idle time between requests; a client that sends its first
head byte by byte, or does not read its answer, would stay for ever.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from codemoe.serve.settings import Settings


def protocol_for(settings: Settings) -> type[H11Protocol]:
    class Bounded(H11Protocol):
        _head: asyncio.TimerHandle | None = None
        _write: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_head()
            self._stop_write()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._wait_for_head()

        def _wait_for_head(self) -> None:
            """The clock runs while no request is being answered and bytes of one have come."""
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_head()
            elif self._head is None and not self.transport.is_closing():
                self._head = self.loop.call_later(settings.header_timeout_s, self.transport.abort)

        def on_response_complete(self) -> None:
            self._stop_head()
            super().on_response_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            if self._write is None:
                self._write = self.loop.call_later(settings.write_timeout_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._stop_write()

        def _stop_head(self) -> None:
            if self._head is not None:
                self._head.cancel()
                self._head = None

        def _stop_write(self) -> None:
            if self._write is not None:
                self._write.cancel()
                self._write = None

    return Bounded
