"""Keystone beside Octavia, as it comes from PyPI, on a file of SQLite: `python -m hydria.octavia.control.keystone make|serve DIRECTORY [DESCRIPTOR …]`.

A process of its own: its configuration and Octavia's are one object, and would be one another's.
`serve` listens on sockets that it is given: one where the user is, one in the lab, with the same address.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent.files import create_file
from hydria.lab.keystone import passwords
from hydria.lab.octavia_plan import OCTAVIA, REGION, OctaviaPlan
from hydria.octavia.control.serving import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_CONFIGURATION = "keystone.conf"


def text(directory: Path) -> str:
    """`keystone.conf` of a lab."""
    sections: dict[str, dict[str, object]] = {
        "DEFAULT": {"use_stderr": True},
        "database": {"connection": f"sqlite:///{directory}/keystone.sqlite?timeout=60", "sqlite_synchronous": False},
        # Passwords are long and random.
        "identity": {"password_hash_rounds": 4},
        "token": {"expiration": 86_400},
        "fernet_tokens": {"key_repository": f"{directory}/fernet"},
        "fernet_receipts": {"key_repository": f"{directory}/fernet"},
        "credential": {"key_repository": f"{directory}/credential"},
    }
    return "\n".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items()) for name, options in sections.items())


def make(directory: Path) -> None:
    """Has `keystone-manage` make its database, its keys and its administrator. Raises SystemExit."""
    from keystone.cmd import cli  # noqa: PLC0415 - whoever serves needs none of it

    plan = msgspec.json.decode((directory / OCTAVIA).read_bytes(), type=OctaviaPlan)
    create_file(directory / _CONFIGURATION, text(directory).encode(), 0o600)
    os.environ["OS_BOOTSTRAP_PASSWORD"] = passwords(directory).admin
    urls = [word for kind in ("admin", "public", "internal") for word in (f"--bootstrap-{kind}-url", plan.identity)]
    keys = ("--keystone-user", "root", "--keystone-group", "root")
    for command in (
        ("db_sync",),
        ("fernet_setup", *keys),
        ("credential_setup", *keys),
        ("bootstrap", "--bootstrap-region-id", REGION, *urls),
    ):
        _apart(partial(cli.main, argv=["keystone-manage", "--config-file", str(directory / _CONFIGURATION), *command]))


def _apart(act: Callable[[], None]) -> None:
    """Does it in a process that ends with it: each command of Keystone's is the only one in its life. Raises SystemExit."""
    if (pid := os.fork()) == 0:
        try:
            act()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    if (status := os.waitpid(pid, 0)[1]) != 0:
        sys.exit(os.waitstatus_to_exitcode(status))


def serve(directory: Path, sockets: list[socket.socket]) -> None:
    """Goes on until it is killed."""
    os.environ["OS_KEYSTONE_CONFIG_FILES"] = str(directory / _CONFIGURATION)
    sys.argv = ["keystone"]  # which it reads, too
    from keystone.server.wsgi import initialize_public_application  # noqa: PLC0415 - it reads them when it is imported

    keystone, alone = initialize_public_application(), threading.Lock()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with alone:  # SQLite refuses the second one who writes
            return list(keystone(environ, start_response))

    for listening in sockets:
        threading.Thread(target=Server(listening, application).serve_forever).start()


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        serve(Path(sys.argv[2]), [socket.socket(fileno=int(each)) for each in sys.argv[3:]])
