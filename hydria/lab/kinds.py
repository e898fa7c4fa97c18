"""Kinds of machines that a lab can have, by the flavors that stand for them; and of which kind one is that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydria.lab.machine import PlainMachine
from hydria.lab.octavia_plan import MACHINES
from hydria.lab.uml_machine import KERNEL, UmlMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydria.lab.lab import Lab
    from hydria.lab.machine import Machine

KINDS: dict[str, Callable[[Lab, str], Machine]] = {MACHINES["namespaces"]: PlainMachine, MACHINES["uml"]: UmlMachine}


def found(lab: Lab, name: str) -> Machine:
    """The machine of this name, as far as it has been started."""
    return (UmlMachine if (lab.directory / name / KERNEL).exists() else PlainMachine)(lab, name)
