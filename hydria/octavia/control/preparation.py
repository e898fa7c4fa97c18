"""What must be there before Octavia's first process starts: the cloud, the configuration, the database, and Keystone's where there is one."""

from __future__ import annotations

import secrets
import subprocess
import sys
from typing import TYPE_CHECKING

from agent.errors import SystemFault
from agent.files import create_file
from hydria.lab.keystone import passwords
from hydria.lab.octavia_plan import CONFIGURATION, MACHINES
from hydria.lab.record import HEARTBEAT_KEY
from hydria.octavia import layout
from hydria.octavia.cloud import FILE, Cloud
from hydria.octavia.cloud_things import Network, SecurityGroup
from hydria.octavia.control import configuration, database

if TYPE_CHECKING:
    from pathlib import Path

    from hydria.lab.octavia_plan import OctaviaPlan
    from hydria.lab.octavia_servers import Servers

#: Bytes of randomness in a passphrase of 32 characters.
_PASSPHRASE = 24


def prepare(directory: Path, plan: OctaviaPlan, servers: Servers) -> None:
    """Makes all of it in a lab's directory, and in its `servers`, as they are reached in the lab. Raises SystemFault, OSError."""
    cloud = Cloud.create(directory / FILE)
    needed = configuration.Cloud(
        management=cloud.named(Network, layout.MANAGEMENT).id,
        group=cloud.named(SecurityGroup, layout.MANAGEMENT_GROUP).id,
        flavor=MACHINES[plan.machines],
    )
    secret = configuration.Secrets(
        heartbeat_key=(directory / HEARTBEAT_KEY).read_text(encoding="ascii"),
        passphrase=secrets.token_urlsafe(_PASSPHRASE),
        service=passwords(directory).octavia if plan.keystone else "",
    )
    create_file(directory / CONFIGURATION, configuration.text(directory, plan, needed, servers, secret).encode(), 0o600)
    if servers.db:
        database.furnish(servers.db, directory / CONFIGURATION)
    else:
        database.create(directory / configuration.DATABASE)
    if servers.jobboard:
        database.manage(directory / CONFIGURATION, "upgrade_persistence")
    if plan.keystone:
        command = [sys.executable, "-W", "ignore", "-m", "hydria.octavia.control.keystone", "make", str(directory)]
        if subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode != 0:
            raise SystemFault("keystone-manage has not made a Keystone")
