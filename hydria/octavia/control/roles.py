"""Octavia's processes, each as its own command starts it. Each function is the whole life of one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import oslo_messaging
from octavia.api.app import setup_app
from octavia.cmd import health_manager as health_manager_command
from octavia.cmd import house_keeping
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
    from pathlib import Path


def api_and_worker(directory: Path, listening: socket.socket) -> None:
    """Serves the API, and does what it asks for."""
    application = setup_app(argv=_arguments("octavia-api", directory))
    target = oslo_messaging.Target(topic=constants.TOPIC_AMPHORA_V2, server=cfg.CONF.host, fanout=False)
    worker = rpc.get_server(target, [Endpoints()], access_policy=DefaultRPCAccessPolicy)
    worker.start()
    Server(listening, Front(application, Lookups(Cloud(directory / FILE)), PROJECT)).serve_forever()


def health_manager(directory: Path) -> None:
    """Receives heartbeats, and fails over amphorae that are silent."""
    sys.argv = _arguments("octavia-health-manager", directory)
    health_manager_command.main()


def housekeeping(directory: Path) -> None:
    """Forgets what is deleted, and renews certificates."""
    sys.argv = _arguments("octavia-housekeeping", directory)
    house_keeping.main()


def _arguments(program: str, directory: Path) -> list[str]:
    return [program, "--config-file", str(directory / CONFIGURATION)]
