"""Figures for Prometheus. No label holds anything that a client wrote."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from codemoe.models.routes import Choice

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """A registry of its own, so that two servers in one process do not add up."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "codemoe_requests",
            "Requests by path and status.",
            ["path", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "codemoe_request_seconds",
            "From the head of a request to the end of its response.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_text = Histogram(
            "codemoe_first_text_seconds",
            "From a request's place in the queue to its first text.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens = Counter(
            "codemoe_tokens",
            "Tokens of prompts read and answers written.",
            ["kind"],
            registry=registry,
        )
        self._experts = Counter(
            "codemoe_expert_answers", "Answers by their expert.", ["expert"], registry=registry
        )
        self._rows = Gauge(
            "codemoe_rows", "Answers being written, and waiting.", ["state"], registry=registry
        )
        self._gone = Counter(
            "codemoe_disconnected", "Clients that left before their answer.", registry=registry
        )
        self.rows(0, 0)

    def request(self, path: str, status: int, seconds: float) -> None:
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def rows(self, running: int, waiting: int) -> None:
        self._rows.labels("running").set(running)
        self._rows.labels("waiting").set(waiting)

    def read(self, prompt_tokens: int, choice: Choice | None) -> None:
        self._tokens.labels("prompt").inc(prompt_tokens)
        if choice is not None:
            self._experts.labels(choice.expert).inc()

    def wrote(self, tokens: int) -> None:
        self._tokens.labels("completion").inc(tokens)

    def first_text(self, seconds: float) -> None:
        self._first_text.observe(seconds)

    def disconnected(self) -> None:
        self._gone.inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)
