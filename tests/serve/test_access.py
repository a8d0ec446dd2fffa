"""Who may ask: keys, addresses, other sites; and what each request is called."""

from collections.abc import Iterator

import pytest

from codemoe.errors import UserError
from codemoe.models.load import CodeModel
from codemoe.serve.access import OPEN_PATHS, PAGE_PATHS
from codemoe.serve.settings import Settings
from tests.serve.conftest import Live, error_of, running

KEY = "correct-horse"


@pytest.fixture(scope="module")
def locked(mixture: CodeModel) -> Iterator[Live]:
    with running(mixture, api_key=KEY) as server:
        yield server


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": f"Bearer {KEY}x"},
        {"X-Api-Key": "wrong"},
        {"X-Api-Key": ""},
    ],
)
def test_every_path_but_health_needs_the_key(locked: Live, headers: dict[str, str]) -> None:
    paths = locked.client.get("/openapi.json", headers={"X-Api-Key": KEY}).json()["paths"]
    known = [*paths, "/openapi.json", "/docs", "/", "/nothing", "/v1/models/a", "/HEALTH"]
    assert len(paths) >= 6
    for path in known:
        for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"):
            response = locked.client.request(method, path, headers=headers)
            if path in OPEN_PATHS or (path in PAGE_PATHS and method == "GET"):
                assert response.status_code in (200, 405, 415)
                continue
            assert response.status_code == 401, (method, path)
            assert response.headers["www-authenticate"] == "Bearer"
            if method != "HEAD":
                assert error_of(response, 401)["code"] == "invalid_api_key"
                assert KEY not in response.text
                assert "wrong" not in response.text
    assert {"/health"} == OPEN_PATHS
    assert all(path == "/" or path.startswith("/playground/") for path in PAGE_PATHS)
    assert "/playground/tests" not in PAGE_PATHS


def test_the_right_key_in_either_header(locked: Live, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    for headers in (
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY}"},
        {"X-Api-Key": KEY},
    ):
        for path in ("/v1/models", "/metrics", "/docs", "/openapi.json"):
            response = locked.client.get(f"{path}?key={KEY}", headers=headers)
            assert response.status_code == 200
    metrics = locked.client.get("/metrics", headers={"X-Api-Key": KEY}).text
    ours = [record.getMessage() for record in caplog.records if record.name == "codemoe.serve"]
    assert any("/v1/models 200" in line for line in ours)
    theirs = [r.getMessage() for r in caplog.records if r.name.startswith("uvicorn")]
    assert not any(KEY in line for line in ours + theirs)
    assert KEY not in metrics


def test_settings_that_would_not_be_safe_or_make_no_sense() -> None:
    for host in ("0.0.0.0", "::", "192.168.0.3", "example.org"):
        with pytest.raises(UserError, match="other machines"):
            Settings(host=host)
        Settings(host=host, api_key="k")
    for host in ("127.0.0.1", "::1", "localhost", "127.8.9.1"):
        Settings(host=host)
    for wrong in ({"api_key": " "}, {"api_key": "\u00e9"}, {"max_batch": 0}, {"max_queue": -1}):
        with pytest.raises(UserError):
            Settings(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="shutdown-timeout"):
        Settings(shutdown_timeout_s=-1)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:8000", 403),
        ("localhost:1", 200),
        ("[::1]:8000", 200),
        ("[::1]", 200),
        ("127.0.0.1", 200),
    ],
)
def test_a_foreign_name_for_this_machine(live: Live, host: str, status: int) -> None:
    """A site that points its own name here must not be able to ask (DNS rebinding)."""
    response = live.client.get("/v1/models", headers={"Host": host})
    assert response.status_code == status
    if status == 403:
        error_of(response, 403)


def test_with_a_key_any_name_is_good(locked: Live) -> None:
    headers = {"Host": "llm.example", "X-Api-Key": KEY}
    assert locked.client.get("/v1/models", headers=headers).status_code == 200


def test_other_sites_may_ask_only_when_named(live: Live, mixture: CodeModel) -> None:
    origin = {"Origin": "https://editor.example", "Access-Control-Request-Method": "POST"}
    assert live.client.options("/v1/chat/completions", headers=origin).status_code == 405
    response = live.client.get("/v1/models", headers=origin)
    assert "access-control-allow-origin" not in response.headers
    with running(mixture, api_key=KEY, allow_origins=("https://editor.example",)) as server:
        asked = origin | {"Access-Control-Request-Headers": "authorization, content-type"}
        allowed = server.client.options("/v1/chat/completions", headers=asked)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://editor.example"
        asked["Origin"] = "https://evil.example"
        refused = server.client.options("/v1/chat/completions", headers=asked)
        assert "access-control-allow-origin" not in refused.headers
        headers = {"Origin": "https://editor.example", "X-Api-Key": KEY}
        answered = server.client.get("/v1/models", headers=headers)
        assert answered.headers["access-control-allow-origin"] == "https://editor.example"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1.2_3", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("x\ty", False)],
)
def test_request_ids(live: Live, given: str, kept: bool) -> None:
    response = live.client.get("/health", headers={"X-Request-Id": given})
    found = response.headers["x-request-id"]
    assert (found == given) == kept
    if not kept:
        assert len(found) == 32
        int(found, 16)
