"""Headless Chromium, driven by WebDriver's own HTTP protocol: no package is needed for it."""

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the name that the standard gives
_ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--window-size=1280,900"),
)


def missing() -> str | None:
    """What to install for these tests, or None."""
    names = ("chromium", "chromedriver")
    lacking = [name for name in names if shutil.which(name) is None]
    if not lacking:
        return None
    return f"{' and '.join(lacking)} not found: apt-get install chromium chromium-driver"


class Browser:
    """One window. Elements are named by CSS selectors and looked up anew every time."""

    def __init__(self, driver: httpx2.Client, session: str) -> None:
        self._driver = driver
        self._session = session

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        response = self._driver.request(
            method, f"/session/{self._session}{path}", json=body if method == "POST" else None
        )
        value = response.json()["value"]
        assert response.status_code == 200, value
        return value

    def open(self, url: str) -> None:
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a function's body."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def _find(self, selector: str) -> str:
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[_ELEMENT])

    def click(self, selector: str) -> None:
        self._ask("POST", f"/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._ask("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def fill(self, selector: str, text: str) -> None:
        self._ask("POST", f"/element/{self._find(selector)}/clear", {})
        self.type(selector, text)

    def press(self, *keys: str) -> None:
        """Held together, in the focused element; names as in WebDriver: "\\ue009" is Control."""
        down = [{"type": "keyDown", "value": key} for key in keys]
        up = [{"type": "keyUp", "value": key} for key in reversed(keys)]
        action = {"type": "key", "id": "keyboard", "actions": [*down, *up]}
        self._ask("POST", "/actions", {"actions": [action]})

    def text(self, selector: str) -> str:
        return str(self._ask("GET", f"/element/{self._find(selector)}/text"))

    def is_shown(self, selector: str) -> bool:
        script = "const e = document.querySelector(arguments[0]); return !!e?.checkVisibility()"
        return bool(self.run(script, selector))

    def count(self, selector: str) -> int:
        return int(self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def focused(self) -> str:
        return str(self.run("return document.activeElement.id"))

    def wait_for(self, what: Callable[[], Any], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, "it did not come in time: " + self.text("body")
            time.sleep(0.05)

    def command(self, name: str, **parameters: Any) -> Any:
        """One of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def errors(self) -> list[str]:
        """What the console complained of since the last call."""
        entries = self._ask("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def resize(self, width: int, height: int, mobile: bool = False) -> None:
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A window with an empty profile."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    options = {
        "binary": shutil.which("chromium"),
        "args": [*_ARGUMENTS, f"--user-data-dir={profile}"],
    }
    wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as driver:
        try:
            for _ in range(200):
                try:
                    if driver.get("/status").json()["value"]["ready"]:
                        break
                except httpx2.HTTPError:
                    time.sleep(0.05)
            made = driver.post("/session", json={"capabilities": {"alwaysMatch": wanted}}).json()
            session = made["value"].get("sessionId")
            assert session, made
            yield Browser(driver, session)
            driver.delete(f"/session/{session}")
        finally:
            process.terminate()
            process.wait(10)
