"""The OpenAI-compatible endpoints, and the layers around them."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from codemoe import __version__
from codemoe.languages import LANGUAGES
from codemoe.models.load import load_model
from codemoe.serve import replies
from codemoe.serve.access import Access
from codemoe.serve.answers import Answer, chunks, whole
from codemoe.serve.asgi import App
from codemoe.serve.body import Body
from codemoe.serve.docs_page import docs_page
from codemoe.serve.engine import Engine
from codemoe.serve.errors import ApiError, as_api_error, not_ready
from codemoe.serve.front import Front
from codemoe.serve.gateway import Gateway
from codemoe.serve.metrics import Metrics
from codemoe.serve.pages import add_pages, page_files
from codemoe.serve.plans import Plan, plan_chat, plan_completion
from codemoe.serve.program_tests import Judge, TestReply, TestRequest, TestRuns
from codemoe.serve.schemas import ChatRequest, CompletionRequest
from codemoe.serve.served import Served, default_name
from codemoe.serve.settings import Settings
from codemoe.serve.shapes import Form, Reply
from codemoe.serve.stream import Disconnected, EventStream, unless_disconnected
from codemoe.serve.worker import Worker

_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": replies.ErrorReply},
    "5XX": {"model": replies.ErrorReply},
}


class Service:
    """One server's parts; `served` is there once the model has been loaded."""

    def __init__(self, settings: Settings, judge: Judge | None = None) -> None:
        self.settings = settings
        self.tests = TestRuns(judge)
        self.metrics = Metrics()
        self.engine: Worker = (Gateway if settings.upstream else Engine)(settings, self.metrics)
        self.served: Served | None = None

    def start(self, argument: str, when_over: Callable[[], None]) -> None:
        """Load MODEL and serve it, in the engine's thread."""

        def load() -> Any:
            model = load_model(argument)
            name = self.settings.name or default_name(argument)
            self.served = Served(model, name, is_gateway=self.settings.upstream is not None)
            return model

        self.engine.start(load, when_over)

    def ready(self) -> Served:
        if self.served is None or self.engine.state != "ready":
            state = self.engine.state
            raise not_ready(f"no request is taken: the server is {state}", state)
        return self.served


def app_for(service: Service) -> App:
    """The application with its layers; from the outside in: log, CORS, key, body."""
    app = _endpoints(service)
    paths = frozenset(app.openapi()["paths"]) | {"/docs", "/openapi.json"} | set(page_files())
    inner: App = Access(Body(app, service.settings), service.settings)
    if service.settings.allow_origins:
        inner = CORSMiddleware(
            inner,
            allow_origins=service.settings.allow_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-request-id"],
        )
    return Front(inner, service.settings, service.metrics, paths)


def _endpoints(service: Service) -> FastAPI:
    app = FastAPI(
        title="codemoe",
        version=__version__,
        description="OpenAI-compatible; `language` and `routing` are codemoe's own.",
        docs_url=None,  # FastAPI's page loads its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses=_ERRORS,
    )
    _shape_errors(app)

    @app.post(
        "/v1/chat/completions",
        summary="Answer a conversation",
        response_model=None,
        responses=_answers(replies.ChatReply),
    )
    async def chat(body: ChatRequest, request: Request) -> Response:
        return await _answer(service, "chat", plan_chat, body, request)

    @app.post(
        "/v1/completions",
        summary="Continue a text, or fill in its middle",
        response_model=None,
        responses=_answers(replies.CompletionReply),
    )
    async def completions(body: CompletionRequest, request: Request) -> Response:
        return await _answer(service, "completion", plan_completion, body, request)

    @app.get("/v1/models", summary="The mixture, its experts, its base")
    async def models() -> replies.ModelList:
        served = service.ready()
        data = [served.entry(name) for name in served.names.values()]
        return replies.ModelList.model_validate({"object": "list", "data": data})

    @app.get("/v1/models/{model}", summary="One of them")
    async def one_model(model: Annotated[str, Path(max_length=256)]) -> replies.ModelEntry:
        served = service.ready()
        return replies.ModelEntry.model_validate(served.entry(served.find(model)))

    @app.get(
        "/health",
        summary="200 when requests are taken, else 503; needs no key",
        response_model=replies.Health,
    )
    async def health() -> Response:
        state = service.engine.state
        if state == "ready":
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": state}, 503, {"Retry-After": "1"})

    @app.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    async def metrics() -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(service.metrics.text(), media_type=kind)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return HTMLResponse(docs_page(app.openapi()), headers={"content-security-policy": policy})

    @app.post("/playground/tests", summary="Run a program's tests in the sandbox, if enabled")
    async def tests(body: TestRequest) -> TestReply:
        return TestReply.model_validate(await service.tests.run(body))

    @app.get("/playground/settings", summary="What the playground may offer; needs no key")
    async def playground() -> replies.PlaygroundSettings:
        return replies.PlaygroundSettings(
            needs_key=service.settings.api_key is not None,
            max_tokens=service.settings.max_tokens,
            tests=list(service.tests.languages),
            languages=[
                replies.LanguageEntry(
                    name=row.name,
                    label=row.label,
                    comment=row.line_comment,
                    keywords=sorted(row.keywords),
                )
                for row in LANGUAGES.values()
            ],
        )

    add_pages(app)
    return app


def _answers(reply: type) -> dict[int | str, dict[str, Any]]:
    return {
        200: {
            "model": reply,
            "content": {"text/event-stream": {}},
            "description": "The answer; with `stream`, chunks of it as server-sent events.",
        }
    }


async def _answer(
    service: Service,
    form: Form,
    plan: Callable[[Served, Settings, Any], Plan],
    body: ChatRequest | CompletionRequest,
    request: Request,
) -> Response:
    served = service.ready()
    planned = await asyncio.to_thread(plan, served, service.settings, body)
    answer = Answer(service.engine, Reply(form, served, planned, body.model))
    try:
        if not planned.stream:
            return JSONResponse(await unless_disconnected(request.receive, whole(answer)))
        # Until the prompt has been read, what goes wrong still gets a status of its own.
        first = await unless_disconnected(request.receive, answer.next())
    except Disconnected:
        answer.close()
        service.metrics.disconnected()
        return Response(status_code=499)
    except Exception as error:
        answer.close()
        raise as_api_error(error) from None
    return EventStream(chunks(answer, first, service.metrics))


def _shape_errors(app: FastAPI) -> None:
    """Every error in OpenAI's form."""

    def reply(error: ApiError) -> Response:
        return JSONResponse(error.body(), error.status, error.headers)

    @app.exception_handler(ApiError)
    async def ours(request: Request, error: ApiError) -> Response:
        return reply(error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        known = {404: "there is nothing at this path", 405: "this path does not take this method"}
        message = known.get(error.status_code, str(error.detail))
        return reply(ApiError(error.status_code, message, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        # The first of them, and never what was sent: it may be long.
        first = error.errors()[0]
        place = [str(part) for part in first["loc"][1:]]
        message = first["msg"].removeprefix("Value error, ")
        where = ".".join(place[:4])
        param = place[0] if place else None
        return reply(ApiError(400, f"{where}: {message}" if where else message, param=param))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        return reply(as_api_error(error))
