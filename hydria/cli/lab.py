"""`hydria lab`: a load balancer with amphorae, members and clients on one machine. One file a part, imported when it is used."""

from __future__ import annotations

import click

from hydria.cli.late import Late

#: part → what it does, in a line. Each is the function of this name in the module `hydria.cli.lab_NAME`.
PARTS = {
    "up": "Make a lab for a graph.",
    "status": "Say what runs, who has the VIPs, and what heartbeats tell.",
    "watch": "Show the same again and again, with requests and events as they happen.",
    "web": "Show the same and more to a browser.",
    "load": "Make requests, say what came of them, and draw it.",
    "kill": "Have an amphora, a part of it, or a member fail.",
    "heal": "Make good what has failed.",
    "switch": "Have the other amphora take over, without losing a request.",
    "shell": "A shell on a machine of the lab.",
    "octavia": "A lab whose load balancers are made by OpenStack's own control plane and command line.",
    "down": "End a lab and remove all that there is of it.",
}


@click.group(cls=Late, listed=PARTS, called="part", prefix="lab_", subcommand_metavar="WHAT …")
def lab() -> None:
    """A load balancer as a cloud would have it, on this machine: one amphora or a pair, members and clients, joined by networks of their own.

    It needs root, HAProxy and keepalived, and touches nothing of the machine's own network: all of it is in namespaces, under one process whose
    end is the lab's. Several labs, each with a --name, do not know of each other.
    """
