"""`hydria lab heal`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hydria.cli import FINE
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import name_option, the_lab
from hydria.cli.output import visible
from hydria.lab import failing

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@click.argument("target", metavar="[AMPHORA|MEMBER]", required=False)
@name_option
@json_option
@click.pass_obj
def heal(output: Output, *, target: str | None, name: str) -> int:
    """Make good what has failed: machines are switched on, networks pass again, agents are started, members take connections."""
    done = failing.heal(the_lab(name), target)
    if output.json:
        output.document({"ok": True, "done": done})
    else:
        for each in done or ["nothing was wrong"]:
            click.echo(visible(each))
    return FINE
