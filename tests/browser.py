"""A real headless Chromium, driven over its DevTools protocol; tests skip where the machine has none."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE_SECONDS = 60.0
_LARGEST_MESSAGE = 100_000_000  # a screenshot in base64


def find_browser() -> str | None:
    """Return the path of a Chromium; None if the machine has none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page of a browser.

    Attributes
    ----------
    problems : what its console said of errors
    requests : addresses that it asked for
    received : address -> bytes of the answer as they came over the wire, headers included, once it was whole
    """

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._socket: WebSocketClientConnection = self._loop.run_until_complete(self._connect(url))
        self._number = 0
        self._session: str | None = None
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.received: dict[str, int] = {}
        self._asked: dict[str, str] = {}
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    @staticmethod
    async def _connect(url: str) -> WebSocketClientConnection:
        return await websocket_connect(url, max_message_size=_LARGEST_MESSAGE)

    def _call(self, method: str, **parameters: object) -> Any:
        return self._loop.run_until_complete(self._answered(method, parameters))

    async def _answered(self, method: str, parameters: dict[str, object]) -> Any:
        self._number += 1
        mine = self._number
        session = {"sessionId": self._session} if self._session else {}
        await self._socket.write_message(json.dumps({"id": mine, "method": method, "params": parameters, **session}))
        while True:
            said = await asyncio.wait_for(self._socket.read_message(), PATIENCE_SECONDS)
            assert said is not None, "the browser went away"
            message = json.loads(said)
            self._note(message)
            if message.get("id") == mine:
                assert "error" not in message, (method, message["error"])
                return message["result"]

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.problems.append(str(details.get("exception", {}).get("description", details["text"])))
        if message.get("method") == "Log.entryAdded":
            entry = message["params"]["entry"]
            if entry["level"] == "error" and entry["source"] in {"security", "javascript"}:
                self.problems.append(entry["text"])

        if message.get("method") == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            self.requests.append(url)
            self._asked[message["params"]["requestId"]] = url
        if message.get("method") == "Network.loadingFinished":
            url = self._asked.pop(message["params"]["requestId"], "")
            self.received[url] = self.received.get(url, 0) + int(message["params"]["encodedDataLength"])

    def close(self) -> None:
        self._loop.run_until_complete(self._goodbye())
        self._loop.close()

    async def _goodbye(self) -> None:
        self._socket.close()  # it asks for the loop that runs

    def go(self, url: str) -> None:
        self._call("Page.navigate", url=url)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """Set the size of the window in pixels, and whether the reader prefers a dark page."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = "dark" if dark else "light"
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def forget_cache(self) -> None:
        self._call("Network.clearBrowserCache")

    def run(self, script: str) -> Any:
        """Return the value of an expression, which may be a promise."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, (script, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait until an expression is true, and return its value; an element is none, ask for `!!` it."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(f"document.body && ({script})")):  # a page that loads has no body yet
            assert time.monotonic() < deadline, (script, self.text(), self.problems)
            time.sleep(0.05)
        return value

    def text(self) -> str:
        """Return what a reader sees."""
        return str(self.run("document.body.innerText"))

    def click(self, label: str) -> None:
        """Click the button or link whose text is `label`."""
        found = f"[...document.querySelectorAll('button, a')].find(e => e.textContent.trim() === {json.dumps(label)})"
        self.wait(f"!!{found}")
        self.run(f"{found}.click()")

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def running_browser(program: str, folder: Path) -> Iterator[Browser]:
    """Run a browser with a profile of its own in `folder`."""
    profile = folder / "profile"
    command = [
        program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--metrics-recording-only",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
    ]  # fmt: skip
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        active = profile / "DevToolsActivePort"
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not active.exists() or len(active.read_text().splitlines()) < 2:
            assert process.poll() is None, (folder / "browser.log").read_text()
            assert time.monotonic() < deadline, (folder / "browser.log").read_text()
            time.sleep(0.05)
        port, path = active.read_text().splitlines()[:2]
        browser = Browser(f"ws://127.0.0.1:{port}{path}")
        try:
            yield browser
        finally:
            browser.close()
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
