"""The first program of a machine with a kernel of its own: `python -m hydria.lab.uml_guest FILE`, on user-mode Linux, whose files are this machine's.

It makes of it what `hydria.lab.pid_one` makes of a machine without, and runs its agent. Whoever asks it for something more puts a question into
a file, `asked-ID.json`, and presses Ctrl-Alt-Delete; the answer is in `answered-ID.json`. FILE has what `Boot` says.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from agent.processes import ENVIRONMENT
from hydria.lab import bridges, pid_one, syscalls, uml, uml_modules, uml_nft

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED, ANSWERED = "asked-", "answered-"

#: What the agent, keepalived and the stand-in for nft want to find in the kernel.
_MODULES = (
    *(f"ip_vs{name}" for name in ("", "_rr", "_wrr", "_wlc", "_sh", "_mh")),
    *("sctp", "hmac", "veth", "dummy"),
    *(f"{family}table_{table}" for family in ("ip", "ip6") for table in ("raw", "filter", "nat")),
    *("xt_MASQUERADE", "xt_tcpudp", "xt_sctp", "xt_conntrack"),
)
#: reboot(2): Ctrl-Alt-Delete is a signal to the first process; the machine is off.
_INTERRUPT, _POWER_OFF = 0x00000000, 0x4321FEDC
_FILES = 65536
_HERE, _NAMED = Path("/proc/self/ns/net"), Path("/run/netns")


class Boot(msgspec.Struct, frozen=True, kw_only=True):
    """`files`: where questions are; `places`: directory there → what it is here; `addresses`: of its first interfaces, in order; `command` runs
    in it, its words go to `log`.
    """

    name: str
    directory: str
    files: str
    places: dict[str, str]
    addresses: list[list[str]]
    command: list[str]
    log: str


def main(file: Path) -> NoReturn:
    """Goes on until the power is cut. What fails is on the console, and then the machine is off."""
    try:
        os.environ.update(ENVIRONMENT, PYTHONDONTWRITEBYTECODE="1")
        _serve(msgspec.json.decode(file.read_bytes(), type=Boot))
    except BaseException:  # noqa: BLE001 - a kernel whose first process ends says only that it did
        traceback.print_exc()
    sys.stderr.flush()
    _reboot(_POWER_OFF)
    sys.exit(1)


def _serve(boot: Boot) -> NoReturn:
    pid_one.furnish(Path(boot.directory), boot.name, boot.places)
    uml_modules.load(_MODULES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    _stand_in_for_nft()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for each in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(each, lambda *_: None)
    _reboot(_INTERRUPT)
    bridges.bring_up_loopback(_HERE)
    for number, addresses in enumerate(boot.addresses):
        bridges.settle(_HERE, uml.name(number), addresses)
    with Path(boot.log).open("ab", buffering=0) as words:
        subprocess.Popen(boot.command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, start_new_session=True)
    done: set[str] = set()
    while True:
        for asked in Path(boot.files).glob(f"{ASKED}*.json"):
            if asked.name not in done:
                done.add(asked.name)
                answer = _answer(asked)
                unfinished = asked.with_suffix(".new")
                unfinished.write_text(json.dumps(answer))
                unfinished.rename(asked.with_name(asked.name.replace(ASKED, ANSWERED, 1)))
        os.read(woken, 4096)
        pid_one.lay_to_rest()


def _answer(asked: Path) -> dict[str, Any]:
    verbs: dict[str, Callable[..., dict[str, Any]]] = {
        "signal": pid_one.send,
        "processes": lambda: {"processes": pid_one.processes()},
        "release": _release,
    }
    try:
        words = json.loads(asked.read_text())
        return verbs[words.pop("do")](**words)
    except (KeyError, TypeError, ValueError, OSError) as error:
        return {"error": repr(error)}


def _release(mac: str) -> dict[str, Any]:
    """Has an interface be down, in whatever network of this machine's it is: only then it can be taken away."""
    for namespace in (_HERE, *(_NAMED.iterdir() if _NAMED.is_dir() else ())):
        bridges.release(namespace, mac)
    return {}


def _stand_in_for_nft() -> None:
    """Rules of nftables's for IP are what this kernel does not have; it has those of iptables."""
    there = shutil.which("nft")
    if there is None:
        raise FileNotFoundError("nft is not installed (Debian: nftables)")
    script = Path("/run/nft")
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{uml_nft.__file__}" "$@"\n')
    script.chmod(0o755)
    syscalls.mount(str(script), there, flags=syscalls.BIND)


def _reboot(how: int) -> None:
    ctypes.CDLL(None).reboot(how)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
