"""Pages in a real browser: a headless Chromium, driven by the DevTools protocol through a pair of pipes.

    with Browser() as browser:
        page = browser.open("file:///tmp/page.html")      # or a path
        page.evaluate("document.title")                   # what JSON can hold
        page.click("#search"); page.type("conv1"); page.press("Enter")
        page.console_errors, page.requests                # exceptions and errors; every address asked for
        page.screenshot("page.png")

On pipes there is no port that another program could meet, and messages need no WebSocket: they end with a zero byte.
Protocol: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--mute-audio",
    "--no-default-browser-check",
    "--remote-debugging-pipe",
]
# The browser reads file descriptor 3 and writes 4; between fork and exec only another program may put them there
LAUNCHER = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])  # out of the way of 3 and 4
os.dup2(read, 3), os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
KEYS = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "ArrowDown": ("ArrowDown", 40, ""),
        "ArrowUp": ("ArrowUp", 38, ""), "Tab": ("Tab", 9, ""), "Space": ("Space", 32, " ")}  # fmt: skip


def executable() -> str | None:
    """The browser's path, or None: MINIGRAD_BROWSER if it is set, else one of the usual names."""
    chosen = os.environ.get("MINIGRAD_BROWSER")
    return chosen or next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A browser without a window; the test is skipped where there is none. Closed by `with`, or by `close()`."""

    def __init__(self, width: int = 1440, height: int = 900, timeout: float = 30.0) -> None:
        path = executable()
        if path is None:
            pytest.skip(f"no browser is installed; one of {', '.join(NAMES)} is wanted")
        self.size, self.timeout = (width, height), timeout
        self.folder = tempfile.mkdtemp(prefix="browser-")
        read, self._out = os.pipe()
        self._in, write = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(read), str(write), path, *FLAGS, f"--user-data-dir={self.folder}",
             f"--window-size={width},{height}"],
            pass_fds=(read, write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._buffer, self._number = b"", 0
        self.pages: dict[str, Page] = {}
        try:
            self.call("Target.setDiscoverTargets", discover=False)
        except BaseException:
            self.close()
            raise

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer; events that come before it are handed to their pages."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + self.timeout
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self._event(answer)

    def listen(self, seconds: float) -> None:
        """Take in the events of that long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self._event(self._receive(deadline, "events"))
            except TimeoutError:
                return

    def _receive(self, deadline: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"the browser gave no answer in time to {what}")
            more = os.read(self._in, 1 << 20)
            if not more:
                raise ConnectionError(f"the browser closed while it was asked for {what}")
            self._buffer += more
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _event(self, message: dict[str, Any]) -> None:
        page = self.pages.get(message.get("sessionId", ""))
        if page is not None and "method" in message:
            page._event(message["method"], message["params"])

    def open(self, address: str | os.PathLike[str], dark: bool = False, timeout: float | None = None) -> Page:
        """A new page at an address, or of a file, once it has loaded."""
        text = str(address)
        if "://" not in text and not text.startswith("about:"):
            text = Path(text).resolve().as_uri()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        width, height = self.size
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        page.dark(dark)
        page.requests.clear()
        page.loaded = False
        page.call("Page.navigate", url=text)
        deadline = time.monotonic() + (timeout or self.timeout)
        while not page.loaded:
            self._event(self._receive(deadline, f"loading {text}"))
        return page

    def close(self) -> None:
        """End the browser and remove what it wrote."""
        with contextlib.suppress(OSError):  # it may have gone already
            os.write(self._out, b'{"id":0,"method":"Browser.close"}\0')
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Page:
    """One page. `console_errors`: texts of exceptions, errors and breaches of its policy; `requests`: addresses."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session
        self.console_errors: list[str] = []
        self.requests: list[str] = []
        self.loaded = False

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def _event(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.console_errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.console_errors.append(
                " ".join(str(a.get("value", a.get("description"))) for a in params["args"])
            )
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.console_errors.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self.loaded = True

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise. An exception there is one here."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 10.0) -> Any:
        """The first true value of an expression."""
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"never came true: {script}")
            self.browser.listen(0.02)
        return value

    def click(self, selector: str, count: int = 1) -> None:
        """Press the mouse in the middle of the first element that fits; it must be there and not be covered."""
        found = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null; "
            "if (!(e instanceof SVGElement)) e.scrollIntoView({block: 'nearest'}); "
            "const b = e.getBoundingClientRect(); const at = [b.x + b.width / 2, b.y + b.height / 2]; "
            "const top = document.elementFromPoint(...at); "
            "return [...at, !!top && (e.contains(top) || top.contains(e)), top && top.outerHTML.slice(0, 90)]; })()"
        )
        assert found, f"nothing fits {selector}"
        x, y, on_top, covering = found
        assert on_top, f"{selector} is out of sight or covered, at ({x:.0f}, {y:.0f}), by {covering}"
        for n in range(1, count + 1):
            for what in ("mousePressed", "mouseReleased"):
                self.call(
                    "Input.dispatchMouseEvent", type=what, x=x, y=y, button="left", buttons=1, clickCount=n
                )
        self.evaluate("new Promise(done => setTimeout(done))")

    def wheel(self, x: float, y: float, dx: float = 0, dy: float = 0, ctrl: bool = False) -> None:
        """Turn the mouse wheel over a point."""
        self.call(
            "Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=dx, deltaY=dy, modifiers=2 * ctrl
        )

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at one point, move to the other, let go."""
        steps = [("mousePressed", start), ("mouseMoved", ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)),
                 ("mouseMoved", end), ("mouseReleased", end)]  # fmt: skip
        for what, (x, y) in steps:
            self.call("Input.dispatchMouseEvent", type=what, x=x, y=y, button="left", buttons=1, clickCount=1)

    def type(self, text: str) -> None:
        """Enter text where the focus is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key: a character, or one of KEYS."""
        code, number, text = KEYS.get(key, (key, ord(key[0].upper()), key))
        for what in ("keyDown", "keyUp"):
            extra = {"text": text} if what == "keyDown" and text else {}
            self.call("Input.dispatchKeyEvent", type=what, key=" " if key == "Space" else key, code=code,
                      windowsVirtualKeyCode=number, **extra)  # fmt: skip

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a select element."""
        self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.value = {json.dumps(value)}; "
            "e.dispatchEvent(new Event('change', {bubbles: true})); })()"
        )

    def dark(self, wanted: bool = True) -> None:
        """Whether the reader prefers dark colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if wanted else "light"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: str | os.PathLike[str]) -> Path:
        """What can be seen, as a PNG file."""
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return Path(path)

    def pdf(self, path: str | os.PathLike[str]) -> Path:
        """What would be printed."""
        data = self.call("Page.printToPDF", landscape=False, printBackground=True)["data"]
        Path(path).write_bytes(base64.b64decode(data))
        return Path(path)
