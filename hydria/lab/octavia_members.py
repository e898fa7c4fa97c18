"""The members of a lab of Octavia's: `python -m hydria.lab.octavia_members DIRECTORY`, in the members' network. See `hydria.lab.attendant`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from hydria.lab.attendant import Attendant
from hydria.lab.certificates import Authority
from hydria.lab.octavia_plan import MEMBERS_SOCKET, OCTAVIA, OctaviaPlan
from hydria.lab.record import AUTHORITY, AUTHORITY_KEY


def main(directory: Path) -> NoReturn:
    """Goes on until it is killed."""
    plan = msgspec.json.decode((directory / OCTAVIA).read_bytes(), type=OctaviaPlan)
    authority = Authority.read((directory / AUTHORITY).read_bytes(), (directory / AUTHORITY_KEY).read_bytes())
    Attendant(plan.backends, authority).serve(directory / MEMBERS_SOCKET)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
