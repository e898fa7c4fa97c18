"""`hydria lab status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from hydria.cli import FINE, SYSTEM
from hydria.cli.agent_view import show
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import name_option, the_lab
from hydria.cli.lab_view import picture
from hydria.lab import record
from hydria.lab.looking import look

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@name_option
@json_option
@click.pass_obj
def status(output: Output, *, name: str) -> int:
    """Say what is switched on and runs, who has the VIPs, how members are, and what heartbeats tell of them. Ends with 3 where something is amiss."""
    lab = the_lab(name)
    found = look(lab)
    if output.json:
        output.document({"ok": found.well, **msgspec.to_builtins(found), "events": list(record.told(lab.directory))})
    else:
        show(picture(found, list(record.told(lab.directory))))
    return FINE if found.well else SYSTEM
