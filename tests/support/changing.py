"""A running HAProxy of a text and the files that it names, and all that it shows of itself: to be changed, and to be compared."""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.haproxy import Haproxy
from agent.runtime import Runtime
from agent.supervised import SupervisedHaproxy
from compiler.haproxy_file import read
from compiler.named_files import Role, roles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.stats_socket import StatsSocket
    from compiler.plan import Files

#: The socket that a text has to name: `stats socket RUN/lb.sock`, where RUN is put for the run directory.
RUN = b"@run@"
_FORCED_MAINTENANCE, _MAINTENANCE, _CHECKED = 0x01, 0x05, 0x04


class Running:
    """One HAProxy, as it shows itself."""

    def __init__(self, process: SupervisedHaproxy, files: Files) -> None:
        self.process = process
        self.stats = process.stats
        self.runtime = Runtime(process.stats)
        self.files = files

    def state(self, files: Files | None = None) -> dict[str, Any]:
        """What it shows, without what only tells its past; of the files that `files` names, which are those that it was started with."""
        return shown(self.stats, files or self.files)


def shown(stats: StatsSocket, files: Files) -> dict[str, Any]:
    """What `show …` says of a HAProxy that a change could be about, without what only tells its past; `files` name what it has loaded."""
    named = roles(read(files.configuration), files.contents)
    texts = ("be_name", "srv_name", "srv_addr", "srv_check_addr")
    numbers = (
        "srv_port",
        "srv_uweight",
        "srv_check_port",
        "srv_admin_state",
        "srv_op_state",
        "srv_check_state",
        "srv_id",
        "srv_f_forced_id",
    )
    columns = stats.servers_state(texts, numbers)
    found: dict[str, Any] = {}
    for backend, name, address, check_address, *rest in zip(*columns.texts.values(), *columns.numbers.values(), strict=True):
        port, weight, check_port, admin, state, check, number, forced = (value or 0 for value in rest)
        stopped = bool(admin & _MAINTENANCE) and state == 0
        found[f"server {backend}/{name}"] = {
            "address": (address, port),
            "weight": weight,
            "check": (check_address, check_port, bool(check & _CHECKED)),
            "stopped": stopped,
            "up": state != 0 or stopped,
            "id": number if forced else None,
        }
    for row in stats.show_stat():
        if row["status"].startswith("MAINT"):
            row["weight"] = ""  # of one that was added so, it is reckoned when it begins to serve
        if row["svname"] == "BACKEND":
            row["slim"] = ""  # a sum over frontends, which only servers with `minconn` look at
        found.setdefault("stat", {})[row["pxname"], row["svname"]] = {
            column: re.sub(r" \d+/\d+", "", row.get(column, ""))
            for column in ("status", "weight", "slim", "act", "bck", "cookie", "algo", "mode")
        }
    found["maxconn"] = stats.show_info()["Maxconn"]
    found |= {f"{role} {name}": _file(stats, role, name) for name, of in named.items() for role in of}
    found["certificates"] = sorted(re.findall(r"^[^*#\s].*$", stats.ask("show ssl cert"), re.MULTILINE))
    return found


def _file(stats: StatsSocket, role: Role, name: str) -> Any:
    if role is Role.PATTERNS:
        return sorted(line.split(" ", 1)[1] for line in stats.ask(f"show acl {name}").split("\n") if " " in line)
    if role is Role.CRT_LIST:
        return sorted(line for line in stats.ask(f"show ssl crt-list {name}").splitlines() if line)
    kind = {Role.CERTIFICATE: "cert", Role.AUTHORITIES: "ca-file", Role.REVOCATIONS: "crl-file"}[role]
    shown = stats.ask(f"show ssl {kind} {name}")
    return [line for line in shown.splitlines() if line.startswith(("Serial", "SHA1", "Last Update", "Issuer", "Chain", "Status"))]


@contextmanager
def running(haproxy: Haproxy, files: Files) -> Iterator[Running]:
    """Starts it, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="hydria-") as directory:
        bundle, run = Path(directory, "bundle"), Path(directory, "run")
        for name, content in {"haproxy.cfg": files.configuration.replace(RUN, str(run).encode()), **files.contents}.items():
            path = bundle / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        run.mkdir(mode=0o700)
        with SupervisedHaproxy(haproxy, bundle, run, "lb") as process:
            process.start()
            yield Running(process, files)
