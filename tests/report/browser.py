"""A Chromium without a window, driven over a pipe: real keys, any width, light or dark."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

PATH = shutil.which("chromium") or shutil.which("google-chrome")
_QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
)
_KEYS = {"Tab": ("Tab", 9, ""), "Enter": ("Enter", 13, "\r"), " ": ("Space", 32, " ")}


class Browser:
    """One tab (`with Browser(folder) as browser`).

    Args:
        folder: of the profile.
    """

    def __init__(self, folder: Path) -> None:
        assert PATH is not None
        (theirs, self._out), (self._in, answers) = os.pipe(), os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4, which a shell can set without a fork of our own.
        shell = f'exec "$0" "$@" 3<&{theirs} 4>&{answers}'
        command = ["bash", "-c", shell, PATH, *_QUIET, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self._process = subprocess.Popen(command, pass_fds=(theirs, answers), stderr=subprocess.DEVNULL)
        os.close(theirs)
        os.close(answers)
        self._count, self._rest, self._session = 0, b"", None
        self.errors: list[str] = []
        pages = [one for one in self._send("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        attached = self._send("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._send(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def visit(self, page: Path, *, width: int, dark: bool = False, height: int = 900) -> None:
        """Load a page in a window of this size; `errors` then has what went wrong on it."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._send("Emulation.setDeviceMetricsOverride", **size)
        self.errors.clear()
        self._send("Page.navigate", url=page.as_uri())
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        found = self._send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release Tab, Enter or the space bar."""
        code, number, text = _KEYS[key]
        event = {"key": key, "code": code, "windowsVirtualKeyCode": number, "text": text}
        self._send("Input.dispatchKeyEvent", type="keyDown", **event)
        self._send("Input.dispatchKeyEvent", type="keyUp", **event)

    def picture(self, *, whole: bool = False) -> bytes:
        """A PNG of the window, or of the whole page."""
        return base64.b64decode(self._send("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        session = {} if self._session is None else {"sessionId": self._session}
        message = {"id": self._count, "method": method, "params": parameters, **session}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            found = os.read(self._in, 1 << 16)
            assert found, "the browser has ended"
            self._rest += found
        message, _, self._rest = self._rest.partition(b"\0")
        answer = json.loads(message)
        if answer.get("method") == "Runtime.exceptionThrown":
            self.errors.append(answer["params"]["exceptionDetails"]["text"])
        if answer.get("method") == "Log.entryAdded":
            self.errors.append(answer["params"]["entry"]["text"])
        return answer
