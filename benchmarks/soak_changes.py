"""Random changes of a load balancer: members' weights, members that come, go, are disabled and enabled, certificates that are renewed."""

from __future__ import annotations

import copy
import json
import random
import uuid
from collections import Counter
from typing import Any

#: Ports of the listeners, on loopback.
HTTP, HTTPS, TCP, UPGRADED = 8080, 8443, 7000, 8081
#: Ports where members listen: such that answer HTTP, and such that echo.
ANSWERING, ECHOING = range(9000, 9032), range(9100, 9132)
#: Members that a pool has, at least and at most.
_FEWEST, _MOST = 3, 12

#: Kind of change → how often it comes, in a hundred.
KINDS = {"weight": 40, "member added": 20, "member removed": 20, "member disabled or enabled": 10, "certificate": 10}


class Changes:
    """The same seed makes the same changes. `certificates`: how many there are to choose from."""

    def __init__(self, seed: int, certificates: int) -> None:
        self._dice = random.Random(seed)
        self._certificates = certificates
        self._certificate = 0
        self._pools: dict[str, list[dict[str, Any]]] = {"web": [], "echo": []}
        for _ in range(6):
            for name, pool in self._pools.items():
                pool.append(self._member(name))
        self.made: Counter[str] = Counter()

    def graph(self, timeout: int = 50_000) -> bytes:
        """The load balancer as it is now; `timeout`, in ms, is that of clients of the first listener."""
        pools = [
            {"name": "web", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": self._pools["web"]}
            | {"healthmonitor": {"type": "TCP", "delay": 5, "timeout": 4, "max_retries": 3}},
            {"name": "echo", "protocol": "TCP", "lb_algorithm": "ROUND_ROBIN", "members": self._pools["echo"]},
            {"name": "upgraded", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": self._again(self._pools["echo"])},
        ]
        listeners = [
            _listener("web", "HTTP", HTTP, "web") | {"timeout_client_data": timeout},
            _listener("secure", "TERMINATED_HTTPS", HTTPS, "web") | {"default_tls_container_ref": "certificate"},
            _listener("tcp", "TCP", TCP, "echo"),
            _listener("upgraded", "HTTP", UPGRADED, "upgraded"),
        ]
        return json.dumps({"loadbalancer": {"name": "lb", "vip_address": "127.0.0.1", "listeners": listeners, "pools": pools}}).encode()

    @property
    def certificate(self) -> int:
        """The number of the one that is in use."""
        return self._certificate

    def change(self) -> str:
        """One more; its kind."""
        [kind] = self._dice.choices(list(KINDS), list(KINDS.values()))
        pool = self._pools[name := self._dice.choice(list(self._pools))]
        if kind == "member added" and len(pool) >= _MOST:
            kind = "member removed"
        elif kind == "member removed" and len(pool) <= _FEWEST:
            kind = "member added"
        if kind == "weight":
            member = self._dice.choice(pool)
            member["weight"] = self._other(member["weight"])
        elif kind == "member added":
            pool.insert(self._dice.randrange(len(pool) + 1), self._member(name))
        elif kind == "member removed":
            del pool[self._dice.randrange(len(pool))]
        elif kind == "certificate":
            self._certificate = (self._certificate + 1) % self._certificates
        else:
            # Somebody must be there to answer.
            able = [member for member in pool if member["admin_state_up"]]
            member = self._dice.choice(pool if len(able) > 1 else [member for member in pool if member not in able])
            member["admin_state_up"] = not member["admin_state_up"]
        if not any(member["admin_state_up"] for member in pool):
            pool[0]["admin_state_up"] = True
        self.made[kind] += 1
        return kind

    def _member(self, pool: str) -> dict[str, Any]:
        """A new one, somewhere where no member is."""
        identifier = str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
        taken = {member["protocol_port"] for member in self._pools[pool]}
        port = self._dice.choice([port for port in (ANSWERING if pool == "web" else ECHOING) if port not in taken])
        weight = self._dice.randint(1, 100)
        return {"id": identifier, "address": "127.0.0.1", "protocol_port": port, "weight": weight, "admin_state_up": True}

    def _other(self, weight: int) -> int:
        """Never 0: who would be left is another change's business."""
        return self._dice.choice([number for number in range(1, 101) if number != weight])

    @staticmethod
    def _again(members: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The same servers as members of another pool."""
        copies = copy.deepcopy(members)
        for member in copies:
            member["id"] = str(uuid.uuid5(uuid.UUID(member["id"]), "upgraded"))
        return copies


def _listener(name: str, protocol: str, port: int, pool: str) -> dict[str, Any]:
    identifier = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
    listener = {"id": identifier, "name": name, "protocol": protocol, "protocol_port": port, "connection_limit": 2000}
    return listener | {"default_pool": {"name": pool}}
