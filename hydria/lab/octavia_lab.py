"""`OctaviaLab`: one that is there, whose amphorae Octavia makes."""

from __future__ import annotations

import http.client
import json
from functools import cached_property
from typing import Any

import msgspec

from agent.errors import NotFoundError, SystemFault
from hydria.lab import calls, keystone, record
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

    @property
    def environment(self) -> dict[str, str]:
        """What `openstack` wants to be told: for the lab's own user, where somebody asks who it is."""
        return self.environment_of(keystone.USER)

    def environment_of(self, who: str) -> dict[str, str]:
        """The same for one of `hydria.lab.keystone`'s users."""
        plan = self.octavia
        if not plan.keystone:
            return plan.environment
        return keystone.environment(plan.identity, who, keystone.passwords(self.directory).of(who))

    @property
    def identity(self) -> keystone.Keystone:
        """Who says who asks."""
        return keystone.Keystone(self.octavia.identity)

    @cached_property
    def _token(self) -> dict[str, str]:
        """The header with which an administrator asks; it is valid for longer than this object."""
        if not self.octavia.keystone:
            return {}
        return {"X-Auth-Token": self.identity.token(keystone.ADMIN, keystone.passwords(self.directory).admin)}

    def ask(self, path: str, timeout: float = _PATIENCE) -> dict[str, Any]:
        """What the API answers to a GET of an administrator. Raises SystemFault where that is an error; OSError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.octavia.port, timeout=timeout)
        try:
            connection.request("GET", path, headers=self._token)
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
