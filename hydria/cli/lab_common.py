"""What the parts of `hydria lab` have in common: which lab is meant, and that root is needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agent.errors import ConflictError, NotAllowed
from hydria.lab import record
from hydria.lab.lab import Lab
from hydria.lab.octavia_lab import OctaviaLab
from hydria.lab.octavia_plan import OCTAVIA

if TYPE_CHECKING:
    from collections.abc import Callable

_Verb = TypeVar("_Verb", bound="Callable[..., Any]")


def name_option(verb: _Verb) -> _Verb:
    """--name, handed over as `name`."""
    return click.option(
        "--name", metavar="NAME", default="lab", show_default=True, envvar="HYDRIA_LAB", help="Which lab: small letters, digits, hyphens."
    )(verb)


def must_be_root() -> None:
    """Raises NotAllowed."""
    if os.geteuid() != 0:
        raise NotAllowed("a lab is made of namespaces, which root alone can make and enter")


def the_lab(name: str) -> Lab:
    """The one that is up, and has a graph. Raises NotFoundError, ConflictError, NotAllowed."""
    found = any_lab(name)
    if isinstance(found, OctaviaLab):
        raise ConflictError(f"what is in the lab {name} is Octavia's to say; see `hydria lab octavia --help`")
    return found


def any_lab(name: str) -> Lab:
    """The one that is up, whoever drives its amphorae. Raises NotFoundError, ConflictError, NotAllowed."""
    must_be_root()
    directory = record.found(name)
    return OctaviaLab(directory) if (directory / OCTAVIA).exists() else Lab(directory)
