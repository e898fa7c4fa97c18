"""What may be kept of servers' states over a reload (3.1 `server-state-file`, management guide 9.3 "show servers state").

HAProxy takes a state that was saved for what an operator wants: weight, port and maintenance in it count more than the file that is loaded, unless the
file says something else than the one that was loaded before. Of a server that commands have changed, it does not know what that one said.
"""

from __future__ import annotations

from compiler.balancing import ip, literal
from compiler.haproxy_file import Proxy, Server, read
from compiler.server_options import UnknownOption, options

#: Bits of `srv_admin_state`: maintenance by command or by the file, drained by command.
_OUT_OF_USE = 0x01 | 0x04
_DRAINED = 0x08


def kept(dump: str, configuration: bytes) -> str:
    """The lines of `dump`, an answer to `show servers state`, of servers that are as `configuration`, which is to be loaded, has them.

    All others begin as the file says. Raises UnreadableFile.
    """
    proxies = {name: proxy for (kind, name), proxy in read(configuration).proxies.items() if kind != "frontend"}
    columns: list[str] = []
    lines = []
    for line in dump.splitlines():
        if line.startswith("# "):
            columns = line[2:].split()
        elif columns and line.strip() and not _agrees(dict(zip(columns, line.split(), strict=False)), proxies):
            continue
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def _agrees(row: dict[str, str], proxies: dict[str, Proxy]) -> bool:
    proxy = proxies.get(row.get("be_name", ""))
    server = proxy.servers.get(row.get("srv_name", "")) if proxy is not None else None
    try:
        return server is not None and _shown(row) == _said(server)
    except (KeyError, ValueError):
        return False


def _shown(row: dict[str, str]) -> tuple[object, ...]:
    """Address, weight, whether it is out of use. A server that a command made ready has the file's maintenance still, but serves or may."""
    admin = int(row["srv_admin_state"])
    if admin & _DRAINED:
        raise ValueError("drained")
    return (ip(row["srv_addr"]), int(row["srv_port"])), int(row["srv_uweight"]), admin & _OUT_OF_USE


def _said(server: Server) -> tuple[object, ...]:
    try:
        said = options(server.defaults, server.own)
    except UnknownOption as error:
        raise ValueError(str(error)) from error
    return literal(server.address), int(said.get("weight", ("1",))[0]), _OUT_OF_USE if "disabled" in said else 0
