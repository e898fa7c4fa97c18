"""`hydria lab web`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hydria.cli.inputs import json_option
from hydria.cli.lab_common import any_lab, name_option
from hydria.cli.web_serving import Place, place_options, show_page
from hydria.lab.fleets import LabFleet

if TYPE_CHECKING:
    from hydria.cli.output import Output


@click.command()
@name_option
@place_options
@json_option
@click.pass_obj
def web(output: Output, *, name: str, place: Place) -> int:
    """Show a browser what the amphorae of a lab do, also of one of Octavia's: see `hydria web`. The page is outside of the lab, on this machine. Ends
    with Ctrl-C, or with the lab: then with 3.
    """
    return show_page(output, LabFleet(any_lab(name)), place)
