"""`hydria lab kill`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from hydria.cli import FINE
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import any_lab, name_option
from hydria.lab import failing, octavia_failing
from hydria.lab.octavia_lab import OctaviaLab

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@click.argument("target", metavar="AMPHORA|MEMBER|PROCESS")
@click.option("--what", type=click.Choice(failing.WHATS), default="all", show_default=True, help="Of an amphora; see below.")
@name_option
@json_option
@click.pass_obj
def kill(output: Output, *, target: str, what: str, name: str) -> int:
    """Have an amphora, a part of it, or a member fail at once. `hydria lab heal` makes it good again.

    all: the power is cut. agent, haproxy, keepalived: the processes are killed; the agent brings the last two back. network: the networks of traffic
    pass nothing from it or to it, and it does not notice; cable: it does. A member refuses connections. In a lab of Octavia's an amphora may be
    called by its id, its processes (as `hydria lab octavia status` shows them) can be killed, and who is to make good an amphora that is off is
    Octavia.
    """
    lab = any_lab(name)
    if isinstance(lab, OctaviaLab):
        octavia_failing.kill(lab, target, cast("failing.What", what))
    else:
        failing.kill(lab, target, cast("failing.What", what))
    if output.json:
        output.document({"ok": True, "target": target, "what": what})
    return FINE
