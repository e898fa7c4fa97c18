"""What a lab of Octavia's does with servers that it was given: whether they can be had, how they are reached, and what is left of it in them: nothing."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.errors import ConflictError, InvalidRequest, SystemFault
from agent.files import create_file
from hydria.lab.octavia_plan import RELAY_LOG
from hydria.lab.octavia_servers import SERVERS, Address, Route, Servers, shown
from hydria.lab.pid_one import HYPERVISOR

if TYPE_CHECKING:
    from hydria.lab.lab import Lab

#: Seconds for servers to say how they are, or to be rid of a lab.
_PATIENCE = 120.0
#: Bytes of what marks a lab's own.
_TOKEN = 8
#: What a process ends with that has found servers to be other than wanted.
REFUSED = 3


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of them in a lab's directory: `python` is Octavia's interpreter, which has what speaks to them; `token` marks what is this lab's."""

    servers: Servers
    python: str
    token: str


def take(directory: Path, servers: Servers, python: str) -> None:
    """Has them be this lab's, if they are nobody's, and keeps what they are. Raises ConflictError, SystemFault, OSError."""
    wanted = Given(servers=servers, python=python, token=secrets.token_hex(_TOKEN))
    # Before there is anything: whoever is killed meanwhile has left what can be found, and what is not marked so is not touched.
    create_file(directory / SERVERS, msgspec.json.encode(wanted), 0o600)
    done = _asked(wanted, "take", directory.name)
    if done.returncode != 0:
        (directory / SERVERS).unlink()
    if done.returncode == REFUSED:
        raise ConflictError(done.stderr.strip())
    if done.returncode != 0:
        raise SystemFault(f"the servers that were named cannot be used: {done.stderr.strip()[-1000:]}")


def given(directory: Path) -> Given:
    """What the lab in `directory` has been given; nothing, where there is no word of it. Raises OSError."""
    try:
        return msgspec.json.decode((directory / SERVERS).read_bytes(), type=Given)
    except FileNotFoundError:
        return Given(servers=Servers(), python="", token="")


def leave(directory: Path) -> None:
    """Removes what the lab in `directory`, all of whose processes have ended, has in them. Raises SystemFault, which says what is left."""
    kept = given(directory)
    if not kept.servers.addresses:
        return
    try:
        done = _asked(kept, "leave", directory.name)
        said = done.stderr.strip()[-1000:] if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said:
        named = ", ".join(shown(url) for url in kept.servers.urls)
        raise SystemFault(f"the lab {directory.name} has ended, but what it had in {named} may still be there: {said}")


def _asked(wanted: Given, what: Literal["take", "leave"], name: str) -> subprocess.CompletedProcess[str]:
    """Passwords are told where nobody sees them."""
    command = [wanted.python, "-W", "ignore", "-m", "hydria.octavia.control.given", what, name, wanted.token]
    return subprocess.run(
        command, input=msgspec.json.encode(wanted.servers).decode(), capture_output=True, text=True, check=False, timeout=_PATIENCE
    )


def reach(lab: Lab, servers: Servers) -> None:
    """Has the hypervisor's ports lead there. Names are resolved here, where they mean something. Raises InvalidRequest, CallError, OSError."""
    if not servers.ports:
        return
    routes = [_route(address, port) for address, port in servers.ports.items()]
    with ExitStack() as stack:
        descriptors = [os.open("/proc/thread-self/ns/net", os.O_RDONLY)]
        stack.callback(os.close, descriptors[0])
        for address in servers.ports:
            if address.socket:
                descriptors.append(os.open(Path(address.socket).parent, os.O_PATH))
                stack.callback(os.close, descriptors[-1])
        command = [sys.executable, "-m", "hydria.lab.relay", str(lab.directory), *map(str, routes)]
        lab.call(HYPERVISOR, "run", command=command, log=str(lab.directory / RELAY_LOG), giving=descriptors)


def _route(address: Address, port: int) -> Route:
    if address.socket:
        return Route(port, (), 0, Path(address.socket).name)
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidRequest(f"nobody knows where {address.host} is: {error.strerror}") from error
    return Route(port, tuple(dict.fromkeys(str(each[4][0]) for each in found)), address.port, "")
