"""`hydria lab octavia`: OpenStack's own control plane in a lab. One file a part, imported when it is used."""

from __future__ import annotations

import importlib

import click

#: part → what it does, in a line. Each is the function of this name in the module `hydria.cli.lab_octavia_NAME`.
PARTS = {
    "up": "Start Octavia, with networks, members and clients; say what `openstack` is to be told.",
    "status": "Say what runs, and which load balancers and amphorae there are.",
    "down": "End it and remove all that there is of it.",
}


class _Parts(click.Group):
    """Imports a part only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(PARTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in PARTS:
            ctx.fail(f"there is no {cmd_name!r}; there are {', '.join(PARTS)}")
        module, name = ("lab_down", "down") if cmd_name == "down" else (f"lab_octavia_{cmd_name}", cmd_name)
        command: click.Command = getattr(importlib.import_module(f"hydria.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(PARTS.items()))


@click.group(cls=_Parts, subcommand_metavar="WHAT …")
def octavia() -> None:
    """A lab whose load balancers are made by `openstack loadbalancer …`: Octavia's API, worker, health manager and housekeeping run in it, and its
    amphorae are machines of the lab.

    It needs what a lab needs, and an interpreter that has Octavia: pip install 'hydria[octavia]'.
    """
