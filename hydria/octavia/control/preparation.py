"""What must be there before Octavia's first process starts: the cloud, the database, the configuration."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from agent.files import create_file
from hydria.lab.octavia_plan import CONFIGURATION, MACHINES
from hydria.lab.record import HEARTBEAT_KEY
from hydria.octavia import layout
from hydria.octavia.cloud import FILE, Cloud
from hydria.octavia.cloud_things import Network, SecurityGroup
from hydria.octavia.control import configuration, database

if TYPE_CHECKING:
    from pathlib import Path

    from hydria.lab.octavia_plan import OctaviaPlan

#: Bytes of randomness in a passphrase of 32 characters.
_PASSPHRASE = 24


def prepare(directory: Path, plan: OctaviaPlan) -> None:
    """Makes all of it in a lab's directory. Raises OSError."""
    cloud = Cloud.create(directory / FILE)
    database.create(directory / configuration.DATABASE)
    needed = configuration.Cloud(
        management=cloud.named(Network, layout.MANAGEMENT).id,
        group=cloud.named(SecurityGroup, layout.MANAGEMENT_GROUP).id,
        flavor=MACHINES[plan.machines],
    )
    key = (directory / HEARTBEAT_KEY).read_text(encoding="ascii")
    text = configuration.text(directory, plan, needed, key, secrets.token_urlsafe(_PASSPHRASE))
    create_file(directory / CONFIGURATION, text.encode(), 0o600)
