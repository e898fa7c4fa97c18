"""`hydria lab heal`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hydria.cli import FINE
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import any_lab, name_option
from hydria.cli.output import visible
from hydria.lab import failing, octavia_failing
from hydria.lab.octavia_lab import OctaviaLab

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@click.argument("target", metavar="[AMPHORA|MEMBER|PROCESS]", required=False)
@name_option
@json_option
@click.pass_obj
def heal(output: Output, *, target: str | None, name: str) -> int:
    """Make good what has failed: machines are switched on, networks pass again, agents are started, members take connections; in a lab of Octavia's
    its processes are started, while amphorae that are off are Octavia's to replace.
    """
    lab = any_lab(name)
    done = octavia_failing.heal(lab, target) if isinstance(lab, OctaviaLab) else failing.heal(lab, target)
    if output.json:
        output.document({"ok": True, "done": done})
    else:
        for each in done or ["nothing was wrong"]:
            click.echo(visible(each))
    return FINE
