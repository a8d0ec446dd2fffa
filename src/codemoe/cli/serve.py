"""`codemoe serve`."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codemoe.cli.app import app, quiet_libraries
from codemoe.errors import UserError

if TYPE_CHECKING:
    from codemoe.serve.program_tests import Judge

_NEEDED = ("fastapi", "httpx2", "prometheus_client", "uvicorn")


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
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Route here and let this OpenAI-compatible server, which has the experts as "
            "adapters by their names, write the answers.",
        ),
    ] = None,
    upstream_key: Annotated[
        str | None,
        typer.Option(envvar="CODEMOE_UPSTREAM_KEY", help="Its API key."),
    ] = None,
    upstream_base: Annotated[
        str | None, typer.Option(help="The base's name there; otherwise its first that is free.")
    ] = None,
    upstream_timeout: Annotated[
        float, typer.Option(help="Seconds to wait for each piece of its answers.")
    ] = 60.0,
    run_tests: Annotated[
        bool,
        typer.Option(
            "--run-tests",
            help="Let the playground run tests in the sandbox; needs --api-key and bubblewrap.",
        ),
    ] = False,
) -> None:
    """Serve a model with an OpenAI-compatible API.

    Requests are answered together, whatever their languages; the model's name in a request picks
    the mixture, one expert or the base. The playground is at /. For example:
    codemoe serve runs/demo --port 8000, or with vLLM behind it: --upstream http://127.0.0.1:8001
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
        upstream=upstream,
        upstream_key=upstream_key,
        upstream_base=upstream_base,
        upstream_timeout_s=upstream_timeout,
    )
    judge = make_judge(settings.api_key) if run_tests else None
    from codemoe.serve.server import serve as run

    run(model, settings, judge)


def make_judge(api_key: str | None) -> "Judge":
    """What runs programs for the playground: in the strongest sandbox, for those with the key."""
    from codemoe.evaluate.sandbox import BUBBLEWRAP, Job, probe, run_jobs
    from codemoe.languages import LANGUAGES
    from codemoe.serve.program_tests import Judge

    if api_key is None:
        raise UserError(
            "--run-tests lets others run programs here, and there is no key",
            "give one: --api-key KEY (or CODEMOE_API_KEY)",
        )
    found = probe()
    if found.tier != BUBBLEWRAP:
        raise UserError(f"--run-tests needs bubblewrap: {found.reason}", found.fix)

    def run(language: str, code: str, tests: str) -> dict[str, Any]:
        (verdict,) = run_jobs([Job("0", language, code, tests)], workers=1, tier=BUBBLEWRAP)
        names = ("status", "detail", "seconds", "tier", "form")
        return {name: getattr(verdict, name) for name in names}

    here = [
        row.name for row in LANGUAGES.values() if row.toolchain and not row.missing_executables()
    ]
    return Judge(tuple(here), run)
