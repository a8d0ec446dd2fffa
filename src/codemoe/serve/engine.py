"""The thread that owns the model. Between two steps it admits who waits and drops who left.

Everyone else talks to it through `submit` and `cancel`; nobody waits for a step to end.
"""

import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import torch

from codemoe.models.load import CodeModel
from codemoe.models.routes import Route
from codemoe.models.running import Running
from codemoe.serve.errors import ApiError, OutOfMemory, is_out_of_memory, not_ready
from codemoe.serve.events import Event, Failed, Wanted, Wrote
from codemoe.serve.metrics import Metrics
from codemoe.serve.rows import Row
from codemoe.serve.settings import Settings

logger = logging.getLogger("codemoe.serve")

State = Literal["starting", "ready", "draining", "failed", "stopped"]
Deliver = Callable[[Sequence[Event]], None]


class Ticket:
    """One request in the engine. `deliver` is called in the engine's thread and must not wait."""

    def __init__(self, rows: list[Row], deliver: Deliver) -> None:
        self.rows = rows
        self.deliver = deliver
        self.submitted = time.monotonic()
        self.cancelled = False
        self.open_rows = len(rows)  # neither ended nor given up
        self.has_text = False


class Engine:
    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.model: CodeModel | None = None
        self.error: BaseException | None = None  # why loading failed
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Ticket, Row]] = deque()
        self._rows: list[tuple[Ticket, Row]] = []  # that run
        self._running = self._nothing_running()
        self._stopping = False
        self._over = False
        self.draining = False  # what is here is finished, nothing new is taken
        self._thread: threading.Thread | None = None

    def start(self, load: Callable[[], CodeModel], when_over: Callable[[], None]) -> None:
        """Load the model and serve, in a thread; `when_over` is called there when it ends."""

        def run() -> None:
            try:
                self._load_and_serve(load)
            finally:
                self._give_up(not_ready("the server is going down", "shutting_down"))
                when_over()

        self._thread = threading.Thread(target=run, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def state(self) -> State:
        if self._stopping:
            return "stopped"
        if self._over or not self.is_alive:
            return "failed"
        if self.draining:
            return "draining"
        return "starting" if self.model is None else "ready"

    @property
    def open_rows(self) -> int:
        """Answers that wait or are being written."""
        with self._changed:
            return len(self._waiting) + len(self._rows)

    def submit(self, wanted: Sequence[Wanted], deliver: Deliver) -> Ticket:
        """Queue a request; an ApiError where there is no room or no engine."""
        if self.state != "ready":
            raise not_ready(f"no request is taken: the server is {self.state}", self.state)
        assert self.model is not None
        rows = [Row(self.model, index, one) for index, one in enumerate(wanted)]
        ticket = Ticket(rows, deliver)
        with self._changed:
            if self._over:
                raise not_ready("the server is going down", "shutting_down")
            if len(self._waiting) + len(rows) > self.settings.max_queue:
                raise ApiError(
                    429,
                    f"{len(self._waiting)} answers wait already; the server lets at most "
                    f"{self.settings.max_queue} wait",
                    "queue_full",
                    headers={"Retry-After": "1"},
                )
            self._waiting.extend((ticket, row) for row in rows)
            self._count()
            self._changed.notify()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Forget a request: at once if it waits, before the next step if it runs."""
        with self._changed:
            ticket.cancelled = True
            self._waiting = deque(entry for entry in self._waiting if entry[0] is not ticket)
            self._count()
            self._changed.notify()

    def stop(self, timeout_s: float = 5.0) -> None:
        """End what is left with an error, and the thread with it."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)
        # In the middle of a long pass nobody else would tell them.
        self._give_up(not_ready("the server is going down", "shutting_down"))

    def _load_and_serve(self, load: Callable[[], CodeModel]) -> None:
        try:
            self.model = load()
        except BaseException as error:
            self.error = error
            return
        while self._wait_for_work():
            self._drop_cancelled()
            self._admit()
            self._step()

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not (self._stopping or self._waiting or self._rows):
                self._changed.wait()
            return not self._stopping

    def _nothing_running(self) -> dict[bool, Running]:
        """One batch for a chosen expert a row, one for token gates."""
        model = self.model
        if model is None:
            return {}
        return {by_token: Running(model, by_token) for by_token in (False, True)}

    def _drop_cancelled(self) -> None:
        left = [row for ticket, row in self._rows if ticket.cancelled]
        if not left:
            return
        for row in left:
            row.text.stopped = True
        with torch.inference_mode():
            for running in self._running.values():
                running.drop_finished(1.0)
        self._keep_rows(lambda ticket: not ticket.cancelled)

    def _admit(self) -> None:
        """Read the prompts of those who may join now; those that are routed alike together."""
        if not self._running:
            self._running = self._nothing_running()
        groups: dict[Route, list[tuple[Ticket, Row]]] = {}
        for ticket, row in self._take():
            kind = replace(row.wanted.route, experts=(), follow_fences=False)
            groups.setdefault(kind, []).append((ticket, row))
        for kind, entries in groups.items():
            experts = tuple(name for _, row in entries for name in row.wanted.route.experts)
            prompts = [row.wanted.prompt for _, row in entries]
            try:
                self._running[kind.by == "token"].admit(
                    prompts, replace(kind, experts=experts), [row.text for _, row in entries]
                )
            except Exception as error:
                self._fail({ticket for ticket, _ in entries}, error)
                continue
            for ticket, row in entries:
                self.metrics.read(len(row.wanted.prompt.input_ids), row.text.choice)
                self._send(ticket, row)

    def _take(self) -> list[tuple[Ticket, Row]]:
        """Who waits and fits, in the order of coming. One that fits nowhere else gets the model for
        itself."""
        taken: list[tuple[Ticket, Row]] = []
        settings = self.settings
        with self._changed:
            longest = max((row.wanted.size for _, row in self._rows), default=0)
            read = 0
            while self._waiting:
                _, row = self._waiting[0]
                count, size = len(self._rows) + 1, max(longest, row.wanted.size)
                read += len(row.wanted.prompt.input_ids)
                if count > settings.max_batch:
                    break
                if count > 1 and count * size > settings.max_cache_tokens:
                    break
                if taken and read > settings.max_prefill_tokens:
                    break
                longest = size
                taken.append(self._waiting.popleft())
                self._rows.append(taken[-1])
            self._count()
        return taken

    def _step(self) -> None:
        for by_token, running in self._running.items():
            entries = [e for e in self._rows if (e[1].wanted.route.by == "token") == by_token]
            if not entries:
                continue
            try:
                running.step()
            except Exception as error:
                # Rows of one step share its tensors: none of them can go on.
                self._running[by_token] = Running(running.model, by_token)
                self._fail({ticket for ticket, _ in entries}, error)
                return
            for ticket, row in entries:
                self._send(ticket, row)
        self._keep_rows(lambda ticket: True)

    def _send(self, ticket: Ticket, row: Row) -> None:
        events = row.events()
        if not row.text.going:
            ticket.open_rows -= 1
            self.metrics.wrote(len(row.text.token_ids))
        if not ticket.has_text and any(isinstance(event, Wrote) for event in events):
            ticket.has_text = True
            self.metrics.first_text(time.monotonic() - ticket.submitted)
        if events and not ticket.cancelled:
            ticket.deliver(events)

    def _keep_rows(self, wanted: Callable[[Ticket], bool]) -> None:
        with self._changed:
            self._rows = [e for e in self._rows if e[1].text.going and wanted(e[0])]
            self._count()

    def _fail(self, tickets: set[Ticket], error: Exception) -> None:
        """Tell these requests, and drop all of their rows."""
        if is_out_of_memory(error):
            logger.error("out of memory with %d answers: %s", len(self._rows), error)
            told: BaseException = OutOfMemory()
        else:
            logger.error("a batch failed", exc_info=error)
            told = error
        for ticket in tickets:
            ticket.cancelled = True
            ticket.deliver([Failed(told)])
        with self._changed:
            self._waiting = deque(e for e in self._waiting if e[0] not in tickets)
        self._drop_cancelled()
        # The traceback holds the failed step's tensors.
        error.__traceback__ = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _give_up(self, error: ApiError) -> None:
        with self._changed:
            self._over = True
            tickets = {ticket for ticket, _ in (*self._waiting, *self._rows)}
            self._waiting.clear()
            self._rows = []
            self._count()
        for ticket in tickets:
            if not ticket.cancelled:
                ticket.deliver([Failed(error)])

    def _count(self) -> None:
        self.metrics.rows(len(self._rows), len(self._waiting))
