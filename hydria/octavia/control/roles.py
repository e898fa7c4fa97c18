"""Octavia's processes, each as its own command starts it. Each function is the whole life of one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import oslo_messaging
from octavia.api.app import setup_app
from octavia.cmd import health_manager as health_manager_command
from octavia.cmd import house_keeping, octavia_worker
from octavia.common import constants, rpc
from octavia.controller.queue.v2.endpoints import Endpoints
from oslo_config import cfg
from oslo_messaging.rpc.dispatcher import DefaultRPCAccessPolicy

from hydria.lab.octavia_plan import CONFIGURATION, PROJECT
from hydria.octavia.cloud import FILE, Cloud
from hydria.octavia.control.front import Front
from hydria.octavia.control.lookups import Lookups
from hydria.octavia.control.serving import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from pathlib import Path


def api(directory: Path, listening: socket.socket, *, worker: bool, project: str | None = PROJECT, one_writer: bool = True) -> None:
    """Serves the API and, as the only `worker`, does what it asks for. `project`, `one_writer`: see `Front`."""
    application = setup_app(argv=_arguments("octavia-api", directory))
    if worker:
        target = oslo_messaging.Target(topic=constants.TOPIC_AMPHORA_V2, server=cfg.CONF.host, fanout=False)
        rpc.get_server(target, [Endpoints()], access_policy=DefaultRPCAccessPolicy).start()
    Server(listening, Front(application, Lookups(Cloud(directory / FILE)), project, one_writer=one_writer)).serve_forever()


def worker(directory: Path) -> None:
    """Does what the API asks for."""
    sys.argv = _arguments("octavia-worker", directory)
    octavia_worker.main()


def health_manager(directory: Path) -> None:
    """Receives heartbeats, and fails over amphorae that are silent."""
    sys.argv = _arguments("octavia-health-manager", directory)
    health_manager_command.main()


def housekeeping(directory: Path) -> None:
    """Forgets what is deleted, and renews certificates."""
    sys.argv = _arguments("octavia-housekeeping", directory)
    house_keeping.main()


def keystone(directory: Path, sockets: Sequence[socket.socket]) -> NoReturn:
    """Says who asks. Nothing of Octavia's may be in its process, so it becomes another program."""
    for listening in sockets:
        listening.set_inheritable(True)
    command = [sys.executable, "-W", "ignore", "-m", "hydria.octavia.control.keystone", "serve", str(directory)]
    os.execv(sys.executable, [*command, *(str(listening.fileno()) for listening in sockets)])  # noqa: S606 - there is no shell


def _arguments(program: str, directory: Path) -> list[str]:
    return [program, "--config-file", str(directory / CONFIGURATION)]
