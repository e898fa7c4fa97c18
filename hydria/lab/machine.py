"""What a machine of a lab is asked, whatever it is made of; and `PlainMachine`, which has the kernel that everything here has.

All are below the lab's hypervisor, whose cables lead into their namespaces: `Lab` knows whether one runs, `bridges` what is plugged into it,
`amphora.cut_power` ends it. What differs is what is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hydria.lab import amphora as amphorae
from hydria.lab import bridges, namespaces

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hydria.lab.lab import Lab


class Cable(NamedTuple):
    """One that is in a machine: its end in the hypervisor, its end there, its hardware address, the `address/prefix`es that are good at once."""

    port: str
    interface: str
    mac: str
    addresses: Sequence[str] = ()


class Machine(Protocol):
    """One machine. All raise CallError, SystemFault, OSError."""

    def switch_on(self, places: Mapping[str, str]) -> None:
        """Has it be there, so that it can be cabled. `places`: directory there → what it is here."""

    def start(self, cables: Sequence[Cable], command: list[str], log: Path) -> None:
        """Has it have these cables, which are in it, and run a program, whose words go to the end of `log`."""

    def plug(self, cable: Cable) -> None:
        """Has it take note of a cable that is in it since a moment ago."""

    def unplug(self, mac: str) -> None:
        """Has it be without an interface whose cable is about to go; one that is not there is fine."""

    def call(self, do: str, /, **words: Any) -> dict[str, Any]:
        """Has its first process do something about its `processes`: see `hydria.lab.pid_one`."""


class PlainMachine:
    """Namespaces, and nothing else. A cable's end is the interface."""

    def __init__(self, lab: Lab, name: str) -> None:
        self._lab, self._name = lab, name

    def switch_on(self, places: Mapping[str, str]) -> None:
        """See `Machine`."""
        amphorae.switch_on(self._lab, self._name, places)

    def start(self, cables: Sequence[Cable], command: list[str], log: Path) -> None:
        """See `Machine`."""
        for cable in cables:
            if cable.addresses:
                bridges.settle(namespaces.of_machine(self._lab.first_process(self._name)), cable.interface, cable.addresses)
        self._lab.call(self._name, "run", command=command, log=str(log))

    def plug(self, cable: Cable) -> None:
        """It is there already."""

    def unplug(self, mac: str) -> None:
        """It goes with the cable."""

    def call(self, do: str, /, **words: Any) -> dict[str, Any]:
        """See `Machine`."""
        return self._lab.call(self._name, do, **words)
