"""`codemoe serve`."""

from importlib.util import find_spec
from typing import Annotated

import typer

from codemoe.cli.app import app, quiet_libraries
from codemoe.errors import UserError

_NEEDED = ("fastapi", "prometheus_client", "uvicorn")


@app.command()
def serve(
    model: Annotated[
        str, typer.Argument(help="A run, a stage directory, a checkpoint folder, a hub id.")
    ],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="CODEMOE_API_KEY", help="Asked of every request but /health."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name; otherwise the last part of MODEL.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="A web page's origin that may ask from a browser; can be repeated."),
    ] = None,
    max_batch: Annotated[int, typer.Option(help="Answers written at once.")] = 16,
    max_queue: Annotated[int, typer.Option(help="Answers that may wait.")] = 256,
    max_tokens: Annotated[int, typer.Option(help="Longest answer that may be asked for.")] = 8192,
    max_cache_tokens: Annotated[
        int, typer.Option(help="Room for prompts and answers together, in tokens.")
    ] = 65536,
    shutdown_timeout: Annotated[
        float, typer.Option(help="Seconds that answers have to finish after SIGTERM.")
    ] = 30.0,
) -> None:
    """Serve a model with an OpenAI-compatible API.

    Requests are answered together, whatever their languages; the model's name in a request picks
    the mixture, one expert or the base. For example: codemoe serve runs/demo --port 8000
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the server needs {', '.join(missing)}, not installed here",
            "pip install 'codemoe[serve]'",
        )
    quiet_libraries()
    from codemoe.serve.settings import Settings

    settings = Settings(
        host=host,
        port=port,
        api_key=api_key,
        name=name,
        allow_origins=tuple(allow_origin or ()),
        max_batch=max_batch,
        max_queue=max_queue,
        max_tokens=max_tokens,
        max_cache_tokens=max_cache_tokens,
        shutdown_timeout_s=shutdown_timeout,
    )
    from codemoe.serve.server import serve as run

    run(model, settings)
