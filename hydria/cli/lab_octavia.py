"""`hydria lab octavia`: OpenStack's own control plane in a lab. One file a part, imported when it is used."""

from __future__ import annotations

import click

from hydria.cli.late import Late

#: part → what it does, in a line. Each is the function of this name in the module `hydria.cli.lab_octavia_NAME`; `down` is any lab's.
PARTS = {
    "up": "Start Octavia, with networks, members and clients; say what `openstack` is to be told.",
    "status": "Say what runs, and which load balancers and amphorae there are.",
    "down": "End it and remove all that there is of it.",
}


@click.group(cls=Late, listed=PARTS, called="part", prefix="lab_octavia_", elsewhere={"down": "lab_down"}, subcommand_metavar="WHAT …")
def octavia() -> None:
    """A lab whose load balancers are made by `openstack loadbalancer …`: Octavia's API, worker, health manager and housekeeping run in it, and its
    amphorae are machines of the lab.

    It needs what a lab needs, and an interpreter that has Octavia: pip install 'hydria[octavia]'.
    """
