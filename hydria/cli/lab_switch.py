"""`hydria lab switch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from hydria.cli import FINE
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import name_option, the_lab
from hydria.lab.switching import switch as switched

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@name_option
@click.option("--within", metavar="SECONDS", type=click.FloatRange(0, 30), default=1, show_default=True, help="For requests in progress.")
@json_option
@click.pass_obj
def switch(output: Output, *, name: str, within: float) -> int:
    """Have the other amphora take over, as before maintenance: new connections wait until it has, requests in progress are answered first.

    With --preempt of `hydria lab up`, amphora-1 takes the VIPs back.
    """
    before, after, said = switched(the_lab(name), within)
    if output.json:
        output.document({"ok": True, "from": before, "to": after, **msgspec.to_builtins(said)})
    else:
        left = f"; {said.connections} connections were broken off" if said.connections else ""
        click.echo(f"{before} → {after}, {said.seconds * 1000:.0f} ms{left}")
    return FINE
