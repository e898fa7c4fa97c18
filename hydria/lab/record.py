"""What is known of labs: a directory for each, by its name. It is there before anything is made, and holds all that must be known to end it.

A lab is a hypervisor and what is below it (`hydria.lab.pid_one`): two processes to be killed, by id and start, and a directory to be removed.
So one whose `up` was killed in the middle ends as any other does.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.clock import SystemClock, wait_until
from agent.errors import ConflictError, InvalidRequest, NotFoundError, SystemFault
from agent.services.records import Identity
from hydria.lab import octavia_given
from hydria.lab.pid_one import HYPERVISOR_RECORD, LAUNCHER_RECORD

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAN, EVENTS, HEARTBEAT_KEY = "plan.json", "events.jsonl", "heartbeat.key"
AUTHORITY, AUTHORITY_KEY = "ca.pem", "ca.key"
#: Is there once `up` has ended well.
UP = "up"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}", re.ASCII)
#: Seconds. The kernel ends a machine with all its processes, networks and mounts.
_ENDING = 30.0


def root() -> Path:
    """Where labs are: HYDRIA_LAB_DIR, or a directory that goes with the machine's uptime."""
    return Path(os.environ.get("HYDRIA_LAB_DIR") or "/run/hydria-lab").absolute()


def place(name: str) -> Path:
    """Where the lab of this name is or would be. Raises InvalidRequest."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(f"{name[:100]!r} cannot be a lab's name: up to 31 small letters, digits and hyphens are allowed")
    return root() / name


def names() -> list[str]:
    """All labs that there are, also unfinished ones."""
    with suppress(FileNotFoundError):
        return sorted(path.name for path in root().iterdir() if path.is_dir() and _NAME.fullmatch(path.name))
    return []


def begin(name: str) -> Path:
    """Takes the name. Raises ConflictError where it is taken, OSError."""
    directory = place(name)
    while True:
        directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            directory.mkdir(mode=0o711)
        except FileExistsError:
            raise ConflictError(f"there is a lab {name} already; `hydria lab down --name {name}` ends it") from None
        except FileNotFoundError:
            # The last of the others has just been ended, and the directory of all with it.
            continue
        return directory


def found(name: str) -> Path:
    """The directory of a lab that is up. Raises NotFoundError, ConflictError."""
    directory = place(name)
    if not directory.is_dir():
        others = f"; there is {', '.join(names())}" if names() else ""
        raise NotFoundError(f"there is no lab {name}{others}")
    if not (directory / UP).exists():
        raise ConflictError(
            f"the lab {name} is being made, or making it was broken off: `hydria lab down --name {name}` removes what there is"
        )
    return directory


def end(name: str) -> bool:
    """Ends a lab, however far it has come; whether there was anything. Raises SystemFault, also where something of it is left in a server
    that it was given; OSError.
    """
    directory = place(name)
    if not directory.is_dir():
        return False
    # Only when the first is gone it is certain whether there is the second.
    for record in (LAUNCHER_RECORD, HYPERVISOR_RECORD):
        identity = _identity(directory / record)
        if identity is not None:
            identity.signal(signal.SIGKILL)
            if not wait_until(lambda identity=identity: not identity.alive(), _ENDING, SystemClock()):  # type: ignore[misc]
                raise SystemFault(f"process {identity.pid} of lab {name} does not end")
    try:
        octavia_given.leave(directory)
    finally:
        shutil.rmtree(directory)
        with suppress(OSError):  # others are there
            directory.parent.rmdir()
    return True


def tell(directory: Path, what: str) -> None:
    """Keeps what was done to a lab, and when."""
    with (directory / EVENTS).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"at": time.time(), "what": what}) + "\n")


def told(directory: Path) -> Iterator[dict[str, Any]]:
    """All that was kept, in order."""
    with suppress(FileNotFoundError):
        for line in (directory / EVENTS).read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _identity(path: Path) -> Identity | None:
    try:
        pid, started = path.read_text(encoding="ascii").split()
    except (FileNotFoundError, ValueError):  # killed before it had written
        return None
    return Identity(int(pid), int(started))
