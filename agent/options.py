"""What the agent is told on its command line, because Octavia's settings file knows nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

ServicesKind = Literal["supervised", "systemd"]


class Options(NamedTuple):
    """See `hydria-agent --help`."""

    octavia_conf: Path
    namespace: str
    run_dir: Path
    state_dir: Path
    services: ServicesKind
    units: Path = Path("/etc/systemd/system")
