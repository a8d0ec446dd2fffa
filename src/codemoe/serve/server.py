"""The process: a socket, the engine, and an orderly end."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from codemoe.errors import UserError
from codemoe.serve.api import Service, app_for
from codemoe.serve.program_tests import Judge
from codemoe.serve.protocol import protocol_for
from codemoe.serve.settings import Settings

logger = logging.getLogger("codemoe.serve")


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours: the first lets requests finish, which takes an engine."""
        yield


def serve(argument: str, settings: Settings, judge: Judge | None = None) -> None:
    """Serve MODEL until a signal comes; `judge` runs tests that the playground's users write.

    The first SIGTERM or SIGINT lets what is being answered finish, up to `shutdown_timeout_s`; the
    second ends the process at once.
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s"
    )
    logger.setLevel(logging.INFO)
    service = Service(settings, judge)
    bound = bind(settings)
    asyncio.run(_run(argument, service, bound))
    if isinstance(service.engine.error, UserError):
        raise service.engine.error
    if service.engine.error is not None:
        raise RuntimeError("the model could not be loaded or served") from service.engine.error
    if service.engine.is_alive:
        # In the middle of a pass, which nothing can interrupt.
        logging.shutdown()
        os._exit(0)


def bind(settings: Settings) -> socket.socket:
    """Listen before the model is loaded: a taken port is known at once, and /health answers."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host.strip("[]"), settings.port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise UserError(
            f"cannot listen on {settings.host}:{settings.port}: {error}", "try another --port"
        ) from None
    bound.setblocking(False)
    return bound


def make_server(service: Service) -> uvicorn.Server:
    settings = service.settings
    return _Server(
        uvicorn.Config(
            app_for(service),
            http=protocol_for(settings),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.WARNING,  # its lines about requests hold queries
            server_header=False,
            backlog=settings.max_connections,
            limit_concurrency=settings.max_connections,
            timeout_keep_alive=settings.keep_alive_s,  # type: ignore[arg-type]  # any seconds do
            timeout_graceful_shutdown=2,  # after the engine has told every request
            h11_max_incomplete_event_size=settings.max_header_bytes,
        )
    )


async def _run(argument: str, service: Service, bound: socket.socket) -> None:
    server = make_server(service)
    loop = asyncio.get_running_loop()
    host, port = bound.getsockname()[:2]
    tasks: set[asyncio.Task[None]] = set()

    def on_signal(number: int) -> None:
        if service.engine.draining:
            os._exit(128 + number)
        service.engine.draining = True
        tasks.add(loop.create_task(_drain(service, server)))

    def on_engine() -> None:
        if service.engine.error is not None:
            server.should_exit = True

    def when_over() -> None:
        with suppress(RuntimeError):  # the loop may have ended first
            loop.call_soon_threadsafe(on_engine)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    service.start(argument, when_over)
    tasks.add(loop.create_task(_announce(service, f"http://{_in_url(host)}:{port}")))
    await server.serve(sockets=[bound])
    await asyncio.gather(*tasks)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _announce(service: Service, url: str) -> None:
    """Say where, on standard error, when requests are taken."""
    while service.engine.state == "starting":
        await asyncio.sleep(0.05)
    if service.engine.state == "ready" and service.served is not None:
        names = ", ".join(service.served.names)
        print(
            f"serving {names} at {url}  (playground; API: {url}/v1, description: {url}/docs)",
            file=sys.stderr,
        )


async def _drain(service: Service, server: uvicorn.Server) -> None:
    """Let answers be finished, then tell those that are left, then close."""
    deadline = time.monotonic() + service.settings.shutdown_timeout_s
    engine = service.engine
    if engine.open_rows:
        logger.info("finishing %d answers", engine.open_rows)
    while engine.open_rows and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    # A model that is being loaded is not waited for.
    wait_s = 0.0 if engine.model is None else 1.0
    await asyncio.to_thread(engine.stop, wait_s)
    await asyncio.sleep(0.05)  # their responses are on the way
    server.should_exit = True
