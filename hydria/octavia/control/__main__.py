"""`python -m hydria.octavia.control DIRECTORY`: the control plane of the lab there, from its first moment until it is killed."""

from __future__ import annotations

import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec

from hydria.lab.octavia_plan import CONTROL_SOCKET, OCTAVIA, OctaviaPlan
from hydria.lab.pid_one import DESCRIPTORS
from hydria.octavia.control import database, roles
from hydria.octavia.control.nursery import Nursery
from hydria.octavia.control.preparation import prepare


def main(directory: Path) -> NoReturn:
    """Its first descriptor is the API's socket, which whoever started this has made listen."""
    plan = msgspec.json.decode((directory / OCTAVIA).read_bytes(), type=OctaviaPlan)
    listening = socket.socket(fileno=int(os.environ.pop(DESCRIPTORS).split()[0]))
    prepare(directory, plan)
    database.lock_early()
    nursery = Nursery(
        {
            "api": partial(roles.api_and_worker, directory, listening),
            "health-manager": partial(roles.health_manager, directory),
            "housekeeping": partial(roles.housekeeping, directory),
        }
    )
    for name in ("api", "health-manager", "housekeeping"):
        nursery.start(name)
    nursery.serve(directory / CONTROL_SOCKET)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
