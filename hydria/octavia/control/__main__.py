"""`python -m hydria.octavia.control DIRECTORY`: the control plane of the lab there, from its first moment until it is killed."""

from __future__ import annotations

import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec

from hydria.lab.octavia_given import given
from hydria.lab.octavia_plan import CONTROL_SOCKET, OCTAVIA, PROJECT, SECOND_WORKER, WORKER, OctaviaPlan
from hydria.lab.pid_one import DESCRIPTORS
from hydria.octavia.control import database, roles
from hydria.octavia.control.nursery import Nursery
from hydria.octavia.control.preparation import prepare


def main(directory: Path) -> NoReturn:
    """Its first descriptor is the API's socket, which whoever started this has made listen; then come those of Keystone's, if there are any."""
    plan = msgspec.json.decode((directory / OCTAVIA).read_bytes(), type=OctaviaPlan)
    servers = given(directory).servers.in_the_lab
    listening, *identity = [socket.socket(fileno=int(each)) for each in os.environ.pop(DESCRIPTORS).split()]
    prepare(directory, plan, servers)
    if not servers.db:
        database.lock_early()
    api = partial(
        roles.api,
        directory,
        listening,
        worker=not servers.transport,
        project=None if plan.keystone else PROJECT,
        one_writer=not servers.db,
    )
    # Where jobs are on a board there is a second one to take over what the first has not ended.
    workers = ([WORKER] if servers.transport else []) + ([SECOND_WORKER] if servers.jobboard else [])
    nursery = Nursery(
        {
            **({"keystone": partial(roles.keystone, directory, identity)} if plan.keystone else {}),
            "api": api,
            **{name: partial(roles.worker, directory) for name in workers},
            "health-manager": partial(roles.health_manager, directory),
            "housekeeping": partial(roles.housekeeping, directory),
        }
    )
    for name in nursery.roles()["roles"]:
        nursery.start(name)
    nursery.serve(directory / CONTROL_SOCKET)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
