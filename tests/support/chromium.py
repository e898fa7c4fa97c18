"""A browser without a window, which is told what to do and says what it sees: Chromium by its DevTools protocol, on a pipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Self

import pytest

from support.polling import eventually

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests are root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--remote-debugging-pipe",
)


class Browser:
    """With one tab. What it keeps is in `directory`. A context manager."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("chromium")
        if program is None:
            raise pytest.UsageError("chromium is missing: please run `make test-slow`, which names what is to be installed")
        reading, ours_to_write = os.pipe()
        ours_to_read, writing = os.pipe()
        # It has its pipe at descriptors 3 and 4.
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{reading} 4>&{writing}', "bash", program, *_FLAGS, f"--user-data-dir={directory}", "about:blank"],
            pass_fds=(reading, writing),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(directory)},
        )
        os.close(reading)
        os.close(writing)
        self._to, self._from = os.fdopen(ours_to_write, "wb"), os.fdopen(ours_to_read, "rb")
        self._pending = b""
        self._number = 0
        self._session: str | None = None
        #: What pages have complained about: scripts' errors, what the Content-Security-Policy has refused, what could not be loaded.
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.tell(f"{domain}.enable")
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()
        self._to.close()
        self._from.close()

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Has it do something; what it answers."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            more = os.read(self._from.fileno(), 1 << 16)
            assert more, "the browser has ended"
            self._pending += more
        text, _, self._pending = self._pending.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(message["params"]))
        return message

    def go(self, url: str) -> None:
        """Shows a page."""
        assert "errorText" not in self.tell("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def says(self, expression: str) -> Any:
        """What an expression of JavaScript is."""
        found = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Waits until it is so. A page that loads itself anew meanwhile is looked at again."""

        def look() -> bool:
            try:
                return bool(self.says(expression))
            except AssertionError:
                return False

        eventually(look, expression, 60)
