"""The playground in a real browser: run, stream, trace, compare, what goes wrong, and by keyboard.

Needs Debian's chromium and chromium-driver.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from codemoe.cli.serve import make_judge
from codemoe.errors import UserError
from codemoe.evaluate.sandbox import BUBBLEWRAP, probe
from codemoe.models.load import CodeModel
from codemoe.serve.pages import page_files
from codemoe.serve.program_tests import Judge
from tests.serve.browser import Browser, browser, missing
from tests.serve.conftest import Live, error_of, running

needs_chromium = pytest.mark.skipif(missing() is not None, reason=str(missing()))
CONTROL, ENTER, ESCAPE, RIGHT, TAB = "\ue009", "\ue007", "\ue00c", "\ue014", "\ue004"
KEY = "a key"
STATS = "return [...document.querySelectorAll('.stats')].map((e) => e.textContent)"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(window: Browser, live: Live) -> Browser:
    """The page, loaded, without a history."""
    load(window, live.url)
    window.run("localStorage.clear()")
    load(window, live.url)
    return window


def load(window: Browser, url: str) -> None:
    window.open(f"{url}/")
    window.wait_for(lambda: "2 experts" in window.text("#status"))
    window.fill("#max-tokens", "40")  # a random model seldom ends by itself


def ask(page: Browser, text: str, *keys: str) -> None:
    page.fill("#prompt", text)
    page.press(*keys or (CONTROL, ENTER))
    page.wait_for(lambda: not page.run("return document.querySelector('#run').disabled"))


def answer_of(live: Live, text: str, **fields: Any) -> Any:
    fields = {"temperature": 0, "max_tokens": 40, "routing": {"trace": True}} | fields
    return live.chat(text, **fields).json()["choices"][0]


def pick(page: Browser, pane: int, value: str) -> None:
    script = "document.querySelectorAll('.model')[arguments[0]].value = arguments[1]"
    page.run(script, pane, value)


@needs_chromium
def test_an_answer_is_the_servers_and_says_who_gave_it(page: Browser, live: Live) -> None:
    ask(page, "add two numbers")
    expected = answer_of(live, "add two numbers")
    assert (
        page.run("return document.querySelector('.code').textContent")
        == (expected["message"]["content"])
    )
    routing = page.text(".routing")
    assert expected["routing"]["expert"] in routing
    for share in expected["routing"]["probabilities"].values():
        assert f"{100 * share:.1f} %" in routing
    assert f"{len(expected['routing']['tokens'])} tokens" in page.text(".stats")
    assert page.count(".code [data-token]") >= 1
    assert page.errors() == []
    origins = "performance.getEntriesByType('resource').map((e) => new URL(e.name).origin)"
    assert set(page.run(f"return {origins}")) == {live.url}


@needs_chromium
def test_token_gates_are_shown_by_layer(page: Browser, live: Live) -> None:
    pick(page, 0, "tiny|token")
    ask(page, "add two numbers")
    expected = answer_of(live, "add two numbers", routing={"by": "token", "trace": True})
    tokens = expected["routing"]["tokens"]
    assert page.text(".code").strip() == expected["message"]["content"].strip()
    assert page.count(".rows button") == 3  # all layers, and the model's two
    page.click(".rows button:nth-child(2)")
    index = {"a": "0", "b": "1", None: None}
    shown = page.run(
        "return [...document.querySelectorAll('[data-token]')]"
        ".map((e) => [Number(e.dataset.token), e.dataset.x ?? null])"
    )
    assert len(shown) > 5
    assert all(x == index[tokens[token]["experts"][0]] for token, x in shown)
    page.run("document.querySelector('.code').focus()")
    page.press(RIGHT)
    page.press(RIGHT)
    assert page.text(".token").startswith("token 2")
    assert f"layer 0: {tokens[1]['experts'][0]}" in page.text(".token")
    assert page.count(".chosen") >= 1


@needs_chromium
def test_two_answers_side_by_side(page: Browser, live: Live) -> None:
    page.click("#compare")
    pick(page, 0, "b|auto")
    ask(page, "add two numbers")
    codes = page.run("return [...document.querySelectorAll('.code')].map((e) => e.textContent)")
    expected = [
        answer_of(live, "add two numbers", model=name)["message"]["content"]
        for name in ("b", "base")
    ]
    assert codes == expected
    assert len(page.run(STATS)) == 2
    page.click("#compare")
    assert page.count(".pane") == 1


@needs_chromium
def test_a_long_answer_streams_and_stops_by_escape(page: Browser, live: Live) -> None:
    page.fill("#max-tokens", "8000")
    page.fill("#prompt", "go on")
    page.press(CONTROL, ENTER)
    page.wait_for(lambda: page.count(".code [data-token]") > 3)
    assert live.metric('codemoe_rows{state="running"}') == 1
    before = page.count(".code [data-token]")
    page.wait_for(lambda: page.count(".code [data-token]") > before)
    page.press(ESCAPE)
    page.wait_for(lambda: "stopped by you" in page.text(".stats"))
    live.wait_for(lambda: live.metric('codemoe_rows{state="running"}') == 0)


@needs_chromium
def test_history_survives_a_reload_and_what_is_spoilt_is_forgotten(
    page: Browser, live: Live
) -> None:
    ask(page, "first task")
    code = page.text(".code")
    ask(page, "<b>second</b> & task")
    load(page, live.url)
    page.click("#show-history")
    assert page.count("#history-list li") == 2
    assert "<b>second</b> & task" in page.text("#history-list li:nth-child(1)")
    page.click("#history-list li:nth-child(2) button")
    assert page.run("return document.querySelector('#prompt').value") == "first task"
    assert page.text(".code") == code
    assert page.focused() == "prompt"
    page.run("localStorage.setItem('codemoe-history', '{spoilt')")
    load(page, live.url)
    page.click("#show-history")
    assert page.count("#history-list li") == 0
    assert page.errors() == []


@needs_chromium
def test_without_storage_it_still_answers(page: Browser, live: Live) -> None:
    """As in a browser that forbids it, or whose quota is spent."""
    forbid = (
        "for (const name of ['localStorage', 'sessionStorage']) Object.defineProperty(window, "
        "name, {get() { throw new DOMException('no', 'SecurityError') }})"
    )
    added = page.command("Page.addScriptToEvaluateOnNewDocument", source=forbid)
    try:
        load(page, live.url)
        ask(page, "add two numbers")
        assert "tokens" in page.text(".stats")
        page.click("#theme")
        page.click("#show-history")
        assert page.errors() == []
    finally:
        page.command("Page.removeScriptToEvaluateOnNewDocument", **added)


@needs_chromium
def test_errors_are_shown_in_their_place(
    page: Browser, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(page, " ")
    assert "no task yet" in page.text(".pane .error")
    monkeypatch.setattr(live.service.engine, "draining", True)
    ask(page, "add two numbers")
    assert "draining" in page.text(".pane .error")
    monkeypatch.undo()
    ask(page, "add two numbers")
    assert not page.is_shown(".pane .error")


@needs_chromium
def test_a_server_that_is_gone_and_comes_back(window: Browser, mixture: CodeModel) -> None:
    with running(mixture) as first:
        load(window, first.url)
        port = first.port
    ask(window, "add two numbers")
    assert "does not answer" in window.text(".pane .error")
    assert "no answer" in window.text("#status")
    with running(mixture, port=port) as again:
        window.wait_for(lambda: "2 experts" in window.text("#status"))
        ask(window, "add two numbers")
        assert "tokens" in window.text(".stats")
        assert again.metric('codemoe_requests_total{path="/v1/chat/completions",status="200"}') == 1


@needs_chromium
def test_a_key_is_asked_for_and_tests_run_with_it(window: Browser, mixture: CodeModel) -> None:
    seen = []

    def judge(language: str, code: str, tests: str) -> dict[str, Any]:
        seen.append((language, code, tests))
        detail = "AssertionError: 1 != 2"
        return {"status": "fail", "detail": detail, "seconds": 0.1, "tier": "t", "form": "strong"}

    with running(mixture, Judge(("python",), judge), api_key=KEY) as server:
        window.open(f"{server.url}/")
        window.wait_for(lambda: window.is_shown("#key-form"))
        assert not window.is_shown("#key-error")
        window.type("#key", "wrong" + ENTER)
        window.wait_for(lambda: window.is_shown("#key-error"))
        window.type("#key", KEY + ENTER)
        window.wait_for(lambda: "2 experts" in window.text("#status"))
        assert not window.is_shown("#key-form")
        window.run("document.querySelector('#language').value = 'python'")
        window.fill("#max-tokens", "20")
        ask(window, "add two numbers")
        window.click(".tests summary")
        window.type(".tests textarea", "assert f(1) == 2")
        window.click(".tests button")
        window.wait_for(lambda: "fail: AssertionError" in window.text(".verdict"))
        code = window.run("return document.querySelector('.code').textContent")
        assert seen == [("python", f"{code}\n", "assert f(1) == 2")]
        window.run("sessionStorage.clear()")


@needs_chromium
def test_by_keyboard_and_with_names_for_everything(page: Browser, live: Live) -> None:
    page.open(f"{live.url}/")
    page.wait_for(lambda: "2 experts" in page.text("#status"))
    order = []
    for _ in range(14):
        page.press(TAB)
        order.append(page.focused())
    wanted = ["prompt", "language", "temperature", "max-tokens", "compare", "run"]
    assert [name for name in order if name in wanted] == wanted
    tree = page.command("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "textbox", "combobox", "checkbox", "spinbutton", "link", "region"}
    named = [node for node in tree if node.get("role", {}).get("value") in roles]
    assert len(named) > 10
    assert all(node.get("name", {}).get("value") for node in named if not node["ignored"]), named


@needs_chromium
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_screen(page: Browser, width: int) -> None:
    page.resize(width, 800, mobile=width < 500)
    try:
        page.click("#compare")
        pick(page, 0, "tiny|token")
        ask(page, "add two numbers")
        assert page.run("return document.documentElement.scrollWidth") <= width
    finally:
        page.resize(1280, 900)


@needs_chromium
def test_light_and_dark(page: Browser) -> None:
    def background() -> str:
        return str(page.run("return getComputedStyle(document.body).backgroundColor"))

    def prefer(scheme: str) -> None:
        feature = {"name": "prefers-color-scheme", "value": scheme}
        page.command("Emulation.setEmulatedMedia", features=[feature])

    prefer("light")
    light = background()
    prefer("dark")
    dark = background()
    assert light != dark
    page.click("#theme")  # from the system's to light
    assert background() == light
    page.click("#theme")
    prefer("light")
    assert background() == dark
    page.click("#theme")
    assert background() == light


@pytest.mark.skipif(probe().tier != BUBBLEWRAP, reason=f"no bubblewrap: {probe().reason}")
def test_programs_are_judged_by_the_real_sandbox() -> None:
    judge = make_judge(KEY)
    assert "python" in judge.languages
    program = "def f(x):\n    return x + 1\n"
    assert judge.run("python", program, "assert f(1) == 2\n")["status"] == "pass"
    found = judge.run("python", program, "assert f(1) == 3\n")
    assert (found["status"], found["tier"]) == ("fail", BUBBLEWRAP)
    with pytest.raises(UserError, match="no key"):
        make_judge(None)


def test_pages_allow_nothing_from_elsewhere(live: Live) -> None:
    assert {"/", "/playground/app.js", "/playground/style.css"} <= set(page_files())
    for path in page_files():
        response = live.client.get(path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in response.text.replace("http://www.w3.org/2000/svg", "")
        assert response.headers["x-content-type-options"] == "nosniff"
    rebound = live.client.get("/", headers={"Host": "evil.example"})
    assert error_of(rebound, 403)["code"] == "foreign_host"


def test_programs_are_run_only_where_that_was_asked_for(live: Live, mixture: CodeModel) -> None:
    asked = {"language": "python", "code": "a = 1", "tests": "assert a == 1"}
    refused = live.client.post("/playground/tests", json=asked)
    assert error_of(refused, 403)["code"] == "tests_are_off"

    def judge(language: str, code: str, tests: str) -> dict[str, Any]:
        return {"status": "pass", "detail": "", "seconds": 0.0, "tier": "t", "form": "strong"}

    with running(mixture, Judge(("python",), judge), api_key=KEY) as server:
        assert error_of(server.client.post("/playground/tests", json=asked), 401)
        server.client.headers["X-Api-Key"] = KEY
        assert server.client.post("/playground/tests", json=asked).json()["status"] == "pass"
        for wrong in ({"language": "java"}, {"tests": " "}, {"code": 5}, {"code": "x" * 200_000}):
            error_of(server.client.post("/playground/tests", json=asked | wrong), 400)
