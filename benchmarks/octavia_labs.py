"""Labs of Octavia's to measure in, and Octavia's API as whoever has no command line uses it: requests of which each takes a connection."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydria.lab import record
from hydria.lab.octavia_building import build
from hydria.lab.octavia_lab import OctaviaLab
from hydria.lab.octavia_plan import OctaviaPlan

VIP = "192.0.2.10"
PYTHON = Path(__file__).parents[1] / ".venv" / "octavia" / "bin" / "python"
#: Seconds for something to come about, and for an answer of the API.
_PATIENCE, _ANSWERING = 300.0, 120.0


@contextmanager
def octavia_lab(label: str, *, with_keystone: bool = False, **wishes: Any) -> Iterator[OctaviaLab]:
    """One that is up; `wishes` are those of its plan. It is gone afterwards."""
    name = f"b{os.getpid()}-{label}"
    try:
        yield build(OctaviaPlan(name=name, port=0, **wishes), str(PYTHON), lambda _: None, with_keystone=with_keystone)
    finally:
        record.end(name)


class Api:
    """Octavia's, of a lab, whose load balancer is `lb` once it has been made."""

    def __init__(self, lab: OctaviaLab) -> None:
        self.lab = lab
        self.lb = ""

    def change(self, method: str, path: str, document: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the API answers below `/v2.0/lbaas`. Raises RuntimeError where it refuses."""
        connection = http.client.HTTPConnection("127.0.0.1", self.lab.octavia.port, timeout=_ANSWERING)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, f"/v2.0/lbaas/{path}", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')[:500]}")
        return dict(json.loads(text)) if text else {}

    def active(self, between: float = 0.1) -> float:
        """Waits until the load balancer is ACTIVE; when it was seen to be, by the monotonic clock. Raises RuntimeError, TimeoutError."""

        def look() -> bool:
            status = self.lab.ask(f"/v2.0/lbaas/loadbalancers/{self.lb}")["loadbalancer"]["provisioning_status"]
            if status == "ERROR":
                raise RuntimeError(f"load balancer {self.lb}: ERROR")
            return bool(status == "ACTIVE")

        wait(look, f"load balancer {self.lb} ACTIVE", between)
        return time.monotonic()

    def load_balancer(self, algorithm: str = "ROUND_ROBIN") -> str:
        """Makes it with an HTTP listener at port 80 and a pool; the pool's id. Returns when it is ACTIVE."""
        [subnet] = self.lab.ask("/v2.0/subnets?name=public-subnet")["subnets"]
        made = self.change("POST", "loadbalancers", {"loadbalancer": {"vip_subnet_id": subnet["id"], "vip_address": VIP}})
        self.lb = made["loadbalancer"]["id"]
        self.active()
        web = {"protocol": "HTTP", "protocol_port": 80, "loadbalancer_id": self.lb}
        listener = self.change("POST", "listeners", {"listener": web})["listener"]["id"]
        self.active()
        pool = {"protocol": "HTTP", "lb_algorithm": algorithm, "listener_id": listener}
        identity = str(self.change("POST", "pools", {"pool": pool})["pool"]["id"])
        self.active()
        return identity

    def member(self, pool: str, name: str) -> str:
        """Makes one of the lab's a member; its id. Returns when the API has answered."""
        address, _ = self.lab.octavia.places[name]
        [subnet] = self.lab.ask("/v2.0/subnets?name=private-subnet")["subnets"]
        member = {"name": name, "address": address, "protocol_port": 80, "subnet_id": subnet["id"]}
        return str(self.change("POST", f"pools/{pool}/members", {"member": member})["member"]["id"])

    def amphorae(self) -> list[dict[str, Any]]:
        """Those of the load balancer that are in use."""
        found = self.lab.ask("/v2.0/octavia/amphorae")["amphorae"]
        return [one for one in found if one["status"] == "ALLOCATED" and one["loadbalancer_id"] == self.lb]


def wait(condition: Callable[[], bool], what: str, between: float = 0.05) -> None:
    """Returns when it is so. Raises TimeoutError."""
    until = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not come about")
        time.sleep(between)


def load() -> str:
    """The machine's load, to be told with figures."""
    return " ".join(f"{each:.1f}" for each in os.getloadavg())
