"""A request in the engine, seen from the event loop."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

from codemoe.serve.engine import Deliver
from codemoe.serve.errors import as_api_error
from codemoe.serve.events import Event, Failed, Wanted
from codemoe.serve.metrics import Metrics
from codemoe.serve.shapes import Reply


class Answering(Protocol):
    """The engine, or what stands in its place; a ticket is its own."""

    def submit(self, wanted: Sequence[Wanted], deliver: Deliver) -> Any: ...

    def cancel(self, ticket: Any) -> None: ...


class Answer:
    """Yields the engine's events; leaving it early cancels the request."""

    def __init__(self, engine: Answering, reply: Reply) -> None:
        self.reply = reply
        self._engine = engine
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(events: Sequence[Event]) -> None:
            for event in events:
                self._events.put_nowait(event)

        def deliver(events: Sequence[Event]) -> None:
            # A loop that is closed has no client left either.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(put, events)

        self._ticket = engine.submit(reply.plan.rows, deliver)

    async def next(self) -> Event:
        """The next event, which the reply has taken; an error of the engine is raised."""
        event = await self._events.get()
        if isinstance(event, Failed):
            raise event.error
        self.reply.take(event)
        return event

    def close(self) -> None:
        if not self.reply.is_complete:
            self._engine.cancel(self._ticket)


async def whole(answer: Answer) -> dict[str, Any]:
    """Wait for all of it."""
    try:
        while not answer.reply.is_complete:
            await answer.next()
        # Tokens become words here: off the loop, as there may be thousands of them.
        return await asyncio.to_thread(answer.reply.whole)
    finally:
        answer.close()


async def chunks(
    answer: Answer, first: Event, metrics: Metrics
) -> AsyncGenerator[dict[str, Any], None]:
    """A stream's chunks from the first event on; an error becomes the last of them."""
    try:
        event = first
        while True:
            for chunk in answer.reply.chunks(event):
                yield chunk
            if answer.reply.is_complete:
                break
            event = await answer.next()
        if answer.reply.plan.include_usage:
            yield answer.reply.usage_chunk()
    except (asyncio.CancelledError, GeneratorExit):
        metrics.disconnected()
        raise
    except Exception as error:
        yield as_api_error(error).body()
    finally:
        answer.close()
