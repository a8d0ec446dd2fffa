"""The playground at `/`: a page and its parts, which need nothing from anywhere else."""

from functools import cache
from importlib.resources import files

from fastapi import FastAPI
from fastapi.responses import Response

_KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
# Own scripts and styles only, no inline ones, no frames around it, and nothing leaves this server.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@cache
def page_files() -> dict[str, tuple[bytes, str]]:
    """Every file of the page, by its path: (content, media type)."""
    found = {}
    for file in files("codemoe.serve").joinpath("playground").iterdir():
        kind = _KINDS.get(file.name.rpartition(".")[2])
        if kind is not None:
            path = "/" if file.name == "index.html" else f"/playground/{file.name}"
            found[path] = (file.read_bytes(), f"{kind}; charset=utf-8")
    return found


def add_pages(app: FastAPI) -> None:
    def add(path: str, content: bytes, kind: str) -> None:
        @app.get(path, include_in_schema=False)
        async def page() -> Response:
            return Response(content, media_type=kind, headers=_HEADERS)

    for path, (content, kind) in page_files().items():
        add(path, content, kind)
