"""A gateway in the engine's place: routes here, has another server write the answers.

That server has the base with the experts as adapters, each under its name, as the `lora-pack`
export makes them. What happens is told in the engine's own events, so that answers, streams and
bounds are the same.
"""

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from codemoe.errors import UserError
from codemoe.models.generate import route_prompts
from codemoe.models.load import CodeModel
from codemoe.models.routes import Choice, named
from codemoe.serve.errors import ApiError, going_down, not_ready
from codemoe.serve.events import Begun, Ended, Event, Failed, Wanted, Wrote
from codemoe.serve.metrics import Metrics
from codemoe.serve.settings import Settings
from codemoe.serve.upstream import Upstream
from codemoe.serve.worker import Deliver, Worker

logger = logging.getLogger("codemoe.serve")


class GatewayTicket:
    """One request; its tasks belong to the gateway's loop."""

    def __init__(self, rows: Sequence[Wanted], deliver: Deliver) -> None:
        self.rows = list(rows)
        self.deliver = deliver
        self.task: asyncio.Task[None] | None = None
        self.cancelled = False


class Gateway(Worker):
    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        super().__init__(settings, metrics)
        self._tickets: set[GatewayTicket] = set()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._base: str | None = settings.upstream_base

    @property
    def open_rows(self) -> int:
        with self._lock:
            return sum(len(ticket.rows) for ticket in self._tickets)

    def submit(self, wanted: Sequence[Wanted], deliver: Deliver) -> GatewayTicket:
        """Begin a request; an ApiError where there is no room."""
        if self.state != "ready":
            raise not_ready(f"no request is taken: the server is {self.state}", self.state)
        assert self._loop is not None
        ticket = GatewayTicket(wanted, deliver)
        most = self.settings.max_batch + self.settings.max_queue
        if self.open_rows + len(ticket.rows) > most:
            raise ApiError(
                429,
                f"{self.open_rows} answers are open; at most {most} may be",
                "queue_full",
                headers={"Retry-After": "1"},
            )
        with self._lock:
            self._refuse_if_ending()
            self._tickets.add(ticket)
        self._count()
        self._loop.call_soon_threadsafe(self._begin, ticket)
        return ticket

    def cancel(self, ticket: GatewayTicket) -> None:
        """Forget a request; the upstream server sees its client leave."""
        loop = self._loop
        ticket.cancelled = True
        if loop is not None:
            with suppress(RuntimeError):  # a loop that is closed has dropped it
                loop.call_soon_threadsafe(self._cancel, ticket)

    @property
    def _is_ready(self) -> bool:
        return self._loop is not None

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # a loop that is closed has seen it
                self._loop.call_soon_threadsafe(self._stopped.set)

    def _serve(self, model: CodeModel) -> None:
        if model.mixture is None:
            raise UserError(
                "a gateway chooses among experts, and this model is dense", "serve it as it is"
            )
        self.model = model
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._stopped = asyncio.Event()
        self._room = asyncio.Semaphore(self.settings.max_batch)
        self._routing = asyncio.Lock()  # one pass at a time; the model is one
        self._upstream = Upstream(self.settings)
        self._loop = asyncio.get_running_loop()
        if self._stopping:
            return
        waiting = asyncio.create_task(self._stopped.wait())
        check = asyncio.create_task(self._look_upstream())
        await waiting
        check.cancel()
        await self._upstream.close()

    async def _look_upstream(self) -> None:
        """Say in the log what would fail later: a server that is away, adapters that it lacks."""
        assert self.model is not None
        assert self.model.mixture is not None
        try:
            found = await self._upstream.models()
        except ApiError as error:
            logger.warning("upstream %s: %s", self._upstream.url, error.message)
            return
        missing = [name for name in self.model.mixture.experts if name not in found]
        if missing:
            logger.warning(
                "upstream %s has no model named %s; it has %s",
                self._upstream.url,
                ", ".join(missing),
                ", ".join(found),
            )

    def _begin(self, ticket: GatewayTicket) -> None:
        if ticket.cancelled:
            self._forget(ticket)
            return
        ticket.task = asyncio.get_running_loop().create_task(self._answer(ticket))
        ticket.task.add_done_callback(lambda _: self._forget(ticket))

    def _cancel(self, ticket: GatewayTicket) -> None:
        if ticket.task is not None:
            ticket.task.cancel()

    def _forget(self, ticket: GatewayTicket) -> None:
        with self._lock:
            self._tickets.discard(ticket)
        self._count()

    async def _answer(self, ticket: GatewayTicket) -> None:
        """All rows of a request; the first failure ends it."""
        try:
            async with asyncio.TaskGroup() as rows:
                for index, wanted in enumerate(ticket.rows):
                    rows.create_task(self._write(ticket, index, wanted))
        except* ApiError as group:
            self._tell(ticket, Failed(group.exceptions[0]))
        except* Exception as group:
            logger.error("a request failed", exc_info=group)
            self._tell(ticket, Failed(group.exceptions[0]))

    async def _write(self, ticket: GatewayTicket, index: int, wanted: Wanted) -> None:
        async with self._room:
            choice = await self._choose(wanted)
            body = {
                "model": choice.expert if choice else await self._base_name(),
                "prompt": list(wanted.prompt.input_ids),
                "max_tokens": wanted.max_new_tokens,
                "temperature": wanted.sampling.temperature,
                "top_p": wanted.sampling.top_p,
                "seed": wanted.sampling.seed,
            }
            if wanted.stops:
                body["stop"] = list(wanted.stops)
            await self._forward(ticket, index, body, choice)

    async def _forward(
        self, ticket: GatewayTicket, index: int, body: dict[str, Any], choice: Choice | None
    ) -> None:
        reason, tokens, begun = None, 0, False
        async for part in self._upstream.stream(body):
            if not begun:
                # Not before the first piece: until then an error has a status of its own.
                begun = True
                self.metrics.read(len(body["prompt"]), choice)
                self._tell(ticket, Begun(index, choice))
            if part.text:
                self._tell(ticket, Wrote(index, part.text))
            reason = part.finish_reason or reason
            tokens = tokens if part.num_tokens is None else part.num_tokens
        self.metrics.wrote(tokens)
        self._tell(ticket, Ended(index, tokens, reason or "stop"))

    async def _choose(self, wanted: Wanted) -> Choice | None:
        """None: the base answers."""
        if wanted.route.by == "none":
            return None
        if wanted.route.by == "named":
            return named(wanted.route.experts)[0]
        async with self._routing:
            assert self.model is not None
            return (await asyncio.to_thread(route_prompts, self.model, [wanted.prompt]))[0]

    async def _base_name(self) -> str:
        """`base` if the server has it, or else its first model that is no expert."""
        if self._base is None:
            assert self.model is not None
            assert self.model.mixture is not None
            experts = self.model.mixture.experts
            found = [name for name in await self._upstream.models() if name not in experts]
            if not found:
                raise ApiError(502, "the upstream server names no base", "upstream_model")
            self._base = "base" if "base" in found else found[0]
        return self._base

    def _tell(self, ticket: GatewayTicket, *events: Event) -> None:
        if not ticket.cancelled:
            ticket.deliver(events)

    def _give_up(self) -> None:
        with self._lock:
            left, self._tickets = self._tickets, set()
        for ticket in left:
            self._tell(ticket, Failed(going_down()))
        self._count()

    def _count(self) -> None:
        self.metrics.rows(self.open_rows, 0)
