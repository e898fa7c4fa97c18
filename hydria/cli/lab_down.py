"""`hydria lab down`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agent.errors import NotFoundError, SystemFault
from hydria.cli import FINE
from hydria.cli.inputs import json_option
from hydria.cli.lab_common import must_be_root, name_option
from hydria.lab import record

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@name_option
@click.option("--all", "every", is_flag=True, help="All labs that there are.")
@json_option
@click.pass_obj
def down(output: Output, *, name: str, every: bool) -> int:
    """End a lab and remove all that there is of it, also what a broken-off `hydria lab up` has left."""
    must_be_root()
    ended, left = [], []
    for one in record.names() if every else [name]:
        try:
            if record.end(one):
                ended.append(one)
        except SystemFault as error:  # the others are to end as well
            left.append(str(error))
    if left:
        raise SystemFault("; ".join(left))
    if not ended and not every:
        raise NotFoundError(f"there is no lab {name}")
    if output.json:
        output.document({"ok": True, "ended": ended})
    for one in ended:
        output.note(f"lab {one}: nothing is left of it")
    return FINE
