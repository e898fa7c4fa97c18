"""A load balancer that really runs: a graph in, an HAProxy on loopback that serves it."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import compiler
from agent import bundle_directory
from agent.supervised import SupervisedHaproxy
from compiler.target import Target
from hydria.lab.client import Address, Answer, Connection, fetch
from hydria.lab.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agent.haproxy import Haproxy
    from compiler.bundle import Bundle
    from compiler.graph import LoadBalancer
    from compiler.secrets import Secret
    from support.graphs import Part

VIPS = ("127.0.0.1", "::1")

#: Columns of `show servers state` that tests look at (management guide 9.3).
_STATE_COLUMNS = ("be_name", "srv_id", "srv_name", "srv_addr", "srv_op_state", "srv_admin_state", "srv_uweight")


class Serving:
    """A running load balancer with the VIPs 127.0.0.1 and ::1. Listeners and pools are called by their names."""

    def __init__(self, haproxy: Haproxy, directory: Path, secrets: Mapping[str, Secret], /, **target: Any) -> None:
        self.haproxy = haproxy
        self.directory = directory
        self.run_directory = directory / "run"
        self.run_directory.mkdir(mode=0o700)
        here = {"run_directory": str(self.run_directory), "user": None, "group": None, "log": None, "maxconn": 4000}
        self.target = Target(**{"haproxy": haproxy.version, **here, **target})
        self._secrets = secrets
        self._ports: dict[str, HeldPort] = {}
        self.graph: LoadBalancer
        self.bundle: Bundle
        self.process: SupervisedHaproxy

    def close(self) -> None:
        """Lets the ports go."""
        for port in self._ports.values():
            port.close()

    def build(self, listeners: Sequence[Part], pools: Sequence[Part], **fields: Any) -> None:
        """Compiles the graph, writes the bundle, and has `haproxy -c` look at it. A listener without a port gets a free one, and keeps it."""
        for name in (part["name"] for part in listeners if "protocol_port" not in part):
            if name not in self._ports:
                self._ports[name] = HeldPort(VIPS)
        described = {
            "name": "lb",
            "vip_address": VIPS[0],
            "additional_vips": [{"ip_address": VIPS[1]}],
            "listeners": [
                part if "protocol_port" in part else {**part, "protocol_port": self._ports[part["name"]].port} for part in listeners
            ],
            "pools": list(pools),
            **fields,
        }
        self.graph = compiler.load(json.dumps({"loadbalancer": described}))
        self.bundle = compiler.build(self.graph, self.target, self._secrets)
        assert self.bundle.ok, "\n".join(map(str, self.bundle.problems))
        bundle_directory.replace(self.bundle, self.directory / "bundle")
        checked = self.haproxy.check(self.directory / "bundle")
        assert checked.ok, f"{checked.output}\n{self.bundle.files['haproxy.cfg'].content.decode()}"

    def address(self, listener: str, vip: str = VIPS[0]) -> Address:
        """Where a listener is."""
        return vip, next(part.protocol_port for part in self.graph.listeners if part.name == listener)

    def fetch(self, listener: str, *arguments: Any, vip: str = VIPS[0], **keywords: Any) -> Answer:
        """One request to a listener: see `hydria.lab.client.fetch`."""
        return fetch(self.address(listener, vip), *arguments, **keywords)

    def connect(self, listener: str, *, vip: str = VIPS[0], **keywords: Any) -> Connection:
        """A connection to a listener: see `hydria.lab.client.Connection`."""
        return Connection(self.address(listener, vip), **keywords)

    def backend_name(self, pool: str, listener: str) -> str:
        """What HAProxy calls a pool behind a listener."""
        pool_id = next(part.id for part in self.graph.pools if part.name == pool)
        listener_id = next(part.id for part in self.graph.listeners if part.name == listener)
        return f"{pool_id}:{listener_id}"

    def member_names(self, pool: str) -> dict[str, str]:
        """Member id → name."""
        return {member.id: member.name for part in self.graph.pools if part.name == pool for member in part.members}

    def statuses(self, pool: str, listener: str) -> dict[str, str]:
        """Member name → status, as `show stat` says it (UP, DOWN, MAINT, no check …)."""
        names = self.member_names(pool)
        backend = self.backend_name(pool, listener)
        rows = [row for row in self.process.stats.show_stat() if row["pxname"] == backend]
        return {names[row["svname"]]: row["status"] for row in rows if row["svname"] in names}

    def server_states(self) -> list[dict[str, str]]:
        """`show servers state`: a row for each server."""
        lines = self.process.stats.ask("show servers state").splitlines()
        columns = next(line for line in lines if line.startswith("# ")).removeprefix("# ").split()
        rows = [dict(zip(columns, line.split(), strict=False)) for line in lines if line and line[0] != "#" and " " in line]
        return [{column: row[column] for column in _STATE_COLUMNS} for row in rows]

    def server_ids(self, pool: str, listener: str) -> dict[str, int]:
        """Member name → the id by which HAProxy's consistent hash knows the server."""
        names = self.member_names(pool)
        backend = self.backend_name(pool, listener)
        return {names[row["srv_name"]]: int(row["srv_id"]) for row in self.server_states() if row["be_name"] == backend}

    def reload(self, listeners: Sequence[Part], pools: Sequence[Part], **fields: Any) -> None:
        """Puts another graph in the place of the present one, without ending its connections."""
        self.build(listeners, pools, **fields)
        self.process.reload()


@contextmanager
def serve(
    haproxy: Haproxy,
    listeners: Sequence[Part],
    pools: Sequence[Part] = (),
    *,
    secrets: Mapping[str, Secret] | None = None,
    target: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Iterator[Serving]:
    """Runs a load balancer of these listeners and pools until the block ends. `fields` are the load balancer's others.

    The directory is not pytest's: a UNIX socket's path must be short.
    """
    with tempfile.TemporaryDirectory(prefix="hydria-") as directory:
        serving = Serving(haproxy, Path(directory), secrets or {}, **(target or {}))
        try:
            serving.build(listeners, pools, **fields)
            with SupervisedHaproxy(haproxy, serving.directory / "bundle", serving.run_directory, serving.graph.id) as process:
                serving.process = process
                process.start()
                yield serving
        finally:
            serving.close()
