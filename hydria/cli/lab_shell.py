"""`hydria lab shell`."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import click

from agent.errors import NotFoundError
from agent.paths import NAMESPACE
from hydria.cli import FINE
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import any_lab, name_option
from hydria.lab.lab import CLIENTS, MEMBERS
from hydria.lab.pid_one import HYPERVISOR

if TYPE_CHECKING:
    from hydria.cli.output import Output
    from hydria.lab.lab import Lab

_NETWORKS = (CLIENTS, MEMBERS)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("machine", metavar="[MACHINE]", default=CLIENTS)
@click.argument("command", metavar="[COMMAND …]", nargs=-1, type=click.UNPROCESSED)
@name_option
@json_option
@click.pass_obj
def shell(output: Output, *, machine: str, command: tuple[str, ...], name: str) -> int:
    """A shell, or COMMAND, on MACHINE: clients (where none is named), members, hypervisor, amphora-1, amphora-2 (in a lab of Octavia's: amphora-ID);
    or on amphora-1/traffic, in the namespace of its traffic. Ends as it does.
    """
    lab = any_lab(name)
    entering = _entering(lab, machine)
    done = subprocess.run([*entering, *(command or (os.environ.get("SHELL") or "/bin/sh",))], check=False)
    if output.json:
        output.document({"ok": done.returncode == 0, "code": done.returncode})
    return done.returncode if done.returncode >= 0 else 128 - done.returncode or FINE


def _entering(lab: Lab, machine: str) -> list[str]:
    """The command that enters it. Raises NotFoundError."""
    host, _, part = machine.partition("/")
    known = lab.machines
    if host not in (*_NETWORKS, HYPERVISOR, *known) or part not in ("", "traffic") or (part and host not in known):
        raise NotFoundError(f"there is no machine {machine}; there are {', '.join((*_NETWORKS, HYPERVISOR, *known))}")
    on = HYPERVISOR if host in _NETWORKS else host
    pid = str(lab.first_process(on))
    entering = ["nsenter", "--target", pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd"]
    namespace = host if host in _NETWORKS else NAMESPACE if part else None
    return entering if namespace is None else [*entering, "ip", "netns", "exec", namespace]
