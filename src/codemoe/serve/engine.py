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

import torch

from codemoe.models.load import CodeModel
from codemoe.models.routes import Route
from codemoe.models.running import Running
from codemoe.serve.errors import ApiError, OutOfMemory, going_down, is_out_of_memory, not_ready
from codemoe.serve.events import Failed, Wanted, Wrote
from codemoe.serve.metrics import Metrics
from codemoe.serve.rows import Row
from codemoe.serve.settings import Settings
from codemoe.serve.worker import Deliver, Worker

logger = logging.getLogger("codemoe.serve")


class Ticket:
    """One request in the engine."""

    def __init__(self, rows: list[Row], deliver: Deliver) -> None:
        self.rows = rows
        self.deliver = deliver
        self.submitted = time.monotonic()
        self.cancelled = False
        self.open_rows = len(rows)  # neither ended nor given up
        self.has_text = False


class Engine(Worker):
    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        super().__init__(settings, metrics)
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Ticket, Row]] = deque()
        self._rows: list[tuple[Ticket, Row]] = []  # that run
        self._running: dict[bool, Running] = {}

    @property
    def open_rows(self) -> int:
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
            self._refuse_if_ending()
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

    @property
    def _is_ready(self) -> bool:
        return self.model is not None

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _serve(self, model: CodeModel) -> None:
        # One batch for a chosen expert a row, one for token gates.
        self._running = {by_token: Running(model, by_token) for by_token in (False, True)}
        self.model = model
        while self._wait_for_work():
            self._drop_cancelled()
            self._admit()
            self._step()

    def _wait_for_work(self) -> bool:
        with self._changed:
            while not (self._stopping or self._waiting or self._rows):
                self._changed.wait()
            return not self._stopping

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

    def _give_up(self) -> None:
        with self._changed:
            tickets = {ticket for ticket, _ in (*self._waiting, *self._rows)}
            self._waiting.clear()
            self._rows = []
            self._count()
        for ticket in tickets:
            if not ticket.cancelled:
                ticket.deliver([Failed(going_down())])

    def _count(self) -> None:
        self.metrics.rows(len(self._rows), len(self._waiting))
