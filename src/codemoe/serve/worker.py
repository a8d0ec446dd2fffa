"""Who writes the answers, in a thread of its own: how it begins, how it is, how it ends."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

from codemoe.models.load import CodeModel
from codemoe.serve.errors import going_down
from codemoe.serve.events import Event, Wanted
from codemoe.serve.metrics import Metrics
from codemoe.serve.settings import Settings

State = Literal["starting", "ready", "draining", "failed", "stopped"]
Deliver = Callable[[Sequence[Event]], None]


class Worker(ABC):
    """Loads the model and serves in one thread; everyone else uses `submit` and `cancel`."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.model: CodeModel | None = None
        self.error: BaseException | None = None  # what ended it
        self.draining = False  # what is here is finished, nothing new is taken
        self._stopping = False
        self._over = False
        self._thread: threading.Thread | None = None

    def start(self, load: Callable[[], CodeModel], when_over: Callable[[], None]) -> None:
        """Load the model and serve, in a thread; `when_over` is called there when it ends."""

        def run() -> None:
            try:
                self._serve(load())
            except BaseException as error:
                self.error = error
            finally:
                self._over = True
                self._give_up()
                when_over()

        self._thread = threading.Thread(target=run, name=type(self).__name__, daemon=True)
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
        return "ready" if self._is_ready else "starting"

    def stop(self, timeout_s: float = 5.0) -> None:
        """End what is left with an error, and the thread with it."""
        self._stopping = True
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout_s)
        # In the middle of a long pass nobody else would tell them.
        self._give_up()

    @property
    @abstractmethod
    def open_rows(self) -> int:
        """Answers that wait or are being written."""

    @abstractmethod
    def submit(self, wanted: Sequence[Wanted], deliver: Deliver) -> Any:
        """Begin a request; its ticket, or an ApiError where it cannot be taken. `deliver` is called
        in the worker's thread and must not wait."""

    @abstractmethod
    def cancel(self, ticket: Any) -> None:
        """Forget a request."""

    def _refuse_if_ending(self) -> None:
        """Under the lock that `_give_up` takes: a request is told by it, or not taken."""
        if self._stopping or self._over:
            raise going_down()

    @property
    @abstractmethod
    def _is_ready(self) -> bool: ...

    @abstractmethod
    def _serve(self, model: CodeModel) -> None:
        """Answer until `_stopping`."""

    @abstractmethod
    def _wake(self) -> None:
        """Have the thread see that it is to stop."""

    @abstractmethod
    def _give_up(self) -> None:
        """Tell every open request that nobody will answer it."""
