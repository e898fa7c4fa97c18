"""`OctaviaLab`: one that is there, whose amphorae Octavia makes."""

from __future__ import annotations

import http.client
import json
from functools import cached_property
from typing import Any

import msgspec

from agent.errors import NotFoundError, SystemFault
from hydria.lab import calls, record
from hydria.lab.lab import Lab
from hydria.lab.octavia_plan import CONTROL_SOCKET, MEMBERS_SOCKET, OCTAVIA, OctaviaPlan

#: Seconds for an answer of Octavia's API.
_PATIENCE = 60.0


class OctaviaLab(Lab):
    """The lab in `directory`. Raises CallError where one of its processes does not answer."""

    @cached_property
    def octavia(self) -> OctaviaPlan:
        """What it is."""
        return msgspec.json.decode((self.directory / OCTAVIA).read_bytes(), type=OctaviaPlan)

    def control(self, do: str, /, **words: Any) -> dict[str, Any]:
        """Has whoever starts Octavia's processes do something: see `hydria.octavia.control.nursery`."""
        return calls.call(self.directory / CONTROL_SOCKET, do, **words)

    def attendant(self, do: str, /, **words: Any) -> dict[str, Any]:
        """Has whoever sees to the members do something."""
        return calls.call(self.directory / MEMBERS_SOCKET, do, **words)

    @property
    def roles(self) -> dict[str, int | None]:
        """Octavia's processes, by what they do; None for one that does not run."""
        found: dict[str, int | None] = self.control("roles")["roles"]
        return found

    def ask(self, path: str, timeout: float = _PATIENCE) -> dict[str, Any]:
        """What the API answers to a GET. Raises SystemFault where that is an error; OSError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.octavia.port, timeout=timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise SystemFault(f"{self.octavia.endpoint} gives no whole answer: {error!r}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise SystemFault(f"{self.octavia.endpoint}{path} answers {answer.status}: {text.decode(errors='replace')[:1000]}")
        document: dict[str, Any] = json.loads(text)
        return document


def found(name: str) -> OctaviaLab:
    """The one of this name that is up. Raises NotFoundError, ConflictError."""
    directory = record.found(name)
    if not (directory / OCTAVIA).exists():
        raise NotFoundError(f"the lab {name} is none of Octavia's; `hydria lab status --name {name}` tells of it")
    return OctaviaLab(directory)
