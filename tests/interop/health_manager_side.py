"""Octavia's health manager on an SQLite database, run by the Python of `.venv/octavia`: its own receiver, status updates and statistics.

Arguments: a directory, the heartbeat's key, its interval. For each line of JSON with a command on standard input, a line with the answer:
`describe` (which begins anew), `add`, `alter` and `have_all` fill the database, `wait` waits until so many datagrams have been worked on, `state` tells what the database says.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from typing import Any

from octavia.amphorae.drivers.health import heartbeat_udp
from octavia.common import config, constants
from octavia.db import api as db_api
from octavia.db import base_models, models
from oslo_config import cfg

_NAMES = {
    models.ProvisioningStatus: constants.SUPPORTED_PROVISIONING_STATUSES,
    models.OperatingStatus: constants.SUPPORTED_OPERATING_STATUSES,
    models.Protocol: constants.SUPPORTED_PROTOCOLS,
    models.Algorithm: constants.SUPPORTED_LB_ALGORITHMS,
    models.ClientAuthenticationMode: constants.SUPPORTED_CLIENT_AUTH_MODES,
    models.LBTopology: constants.SUPPORTED_LB_TOPOLOGIES,
}
_MODELS = {"load_balancer": models.LoadBalancer, "listener": models.Listener, "pool": models.Pool, "member": models.Member}


class Complaints(logging.Handler):
    """Collects what Octavia warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage() + (f": {record.exc_info[1]!r}" if record.exc_info else ""))


class HealthManager:
    """Receives in a thread, one datagram after the other. (Octavia hands them to processes; what these do is the same.)"""

    def __init__(self, directory: str, key: str, interval: int) -> None:
        cfg.CONF([], project="octavia", default_config_files=[])
        config.cfg.CONF.set_override("connection", f"sqlite:///{directory}/octavia.db", "database")
        config.cfg.CONF.set_override("pool_timeout", None, "database")
        for option, value in {"heartbeat_key": key, "bind_ip": "127.0.0.1", "bind_port": 0, "heartbeat_interval": interval}.items():
            cfg.CONF.set_override(option, value, "health_manager")
        self.complaints = Complaints()
        logging.getLogger().addHandler(self.complaints)
        base_models.BASE.metadata.create_all(db_api.get_engine())
        with db_api.session().begin() as session:
            session.add_all(model(name=name) for model, names in _NAMES.items() for name in names)
        self.getter = heartbeat_udp.UDPStatusGetter()
        self.received: list[int] = []
        self.last_sequence = -1
        self._done = threading.Condition()
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        real = heartbeat_udp.status_message.unwrap_envelope
        sizes: list[int] = []

        def measured(data: bytes, key: str) -> Any:
            sizes.append(len(data))
            return real(data, key)

        heartbeat_udp.status_message.unwrap_envelope = measured
        while True:
            try:
                message, source = self.getter.dorecv()
            except TimeoutError:
                continue
            except Exception as error:  # noqa: BLE001 - a test looks at what it was
                self.complaints.said.append(repr(error))
                continue
            self.getter.health_updater.update_health(message, source)
            heartbeat_udp.update_stats(message)
            with self._done:
                self.received.append(sizes[-1])
                self._done.notify_all()

    def describe(self, amphora: str, load_balancer: dict[str, Any], listeners: list[Any], pools: list[Any]) -> None:
        self.received.clear()
        self.complaints.said.clear()
        with db_api.session().begin() as session:
            for model in (models.ListenerStatistics, models.AmphoraHealth, models.Member, models.Pool, models.Listener, models.Amphora):
                session.query(model).delete()
            session.query(models.LoadBalancer).delete()
            session.add(models.LoadBalancer(**load_balancer))
            session.add(models.Amphora(id=amphora, load_balancer_id=load_balancer["id"], status=constants.AMPHORA_ALLOCATED))
            session.add_all(models.Listener(load_balancer_id=load_balancer["id"], **each) for each in listeners)
            for pool in pools:
                members = pool.pop("members")
                session.add(models.Pool(load_balancer_id=load_balancer["id"], **pool))
                session.add_all(models.Member(pool_id=pool["id"], **each) for each in members)

    def alter(self, kind: str, identity: str, **values: Any) -> None:
        with db_api.session().begin() as session:
            session.query(_MODELS[kind]).filter_by(id=identity).update(values)

    def have_all(self, kind: str, status: str) -> None:
        with db_api.session().begin() as session:
            session.query(_MODELS[kind]).update({"operating_status": status})

    def add(self, kind: str, rows: list[dict[str, Any]]) -> None:
        with db_api.session().begin() as session:
            session.add_all(_MODELS[kind](**row) for row in rows)

    def wait(self, datagrams: int, seconds: float) -> bool:
        with self._done:
            return self._done.wait_for(lambda: len(self.received) >= datagrams, seconds)

    def state(self) -> dict[str, Any]:
        with db_api.session().begin() as session:
            status = {kind: dict(session.query(model.id, model.operating_status).all()) for kind, model in _MODELS.items()}
            statistics = {
                row.listener_id: {
                    "rx": row.bytes_in,
                    "tx": row.bytes_out,
                    "conns": row.active_connections,
                    "totconns": row.total_connections,
                    "ereq": row.request_errors,
                }
                for row in session.query(models.ListenerStatistics).all()
            }
            health = [row.last_update.timestamp() for row in session.query(models.AmphoraHealth).all()]
        return {
            "status": status,
            "statistics": statistics,
            "health": health[0] if health else None,
            "received": self.received,
            "complaints": self.complaints.said,
            "time": time.time(),
        }


def main() -> None:
    manager = HealthManager(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    sys.stdout.write(json.dumps({"port": manager.getter.sock.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        arguments = json.loads(line)
        answer = getattr(manager, arguments.pop("command"))(**arguments)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
