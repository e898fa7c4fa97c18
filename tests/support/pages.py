"""The status page of `hydria web` and `hydria lab web`, as whoever fetches it sees it."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HYDRIA = str(Path(sys.executable).with_name("hydria"))


class Shown:
    """A page that is there, as whoever fetches it sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.url = json.loads(process.stdout.readline())["url"]
        self.host = self.url.removeprefix("http://").rstrip("/")

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def document(self) -> dict[str, Any]:
        status, text = self.get("/status.json")
        assert status == 200
        found: dict[str, Any] = json.loads(text)
        return found

    def balancer(self) -> dict[str, Any]:
        """The only one; nothing where there is none."""
        return next(iter(self.document()["balancers"]), {})

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=60)


@contextmanager
def page(*arguments: str) -> Iterator[Shown]:
    with subprocess.Popen([HYDRIA, *arguments, "--port", "0", "--interval", "0.5", "--json"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Shown(process)
        finally:
            process.kill()
