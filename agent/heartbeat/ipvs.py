"""What the kernel's IPVS says: `/proc/net/ip_vs` for real servers, generic netlink (family IPVS) for the counters of each virtual service.

The file has no counters of single services, and netlink gives real servers for one service at a time only; so each is asked for what it is good at.

netlink's library is imported when there is a service to ask for: most load balancers have none.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agent.errors import SystemFault
from agent.heartbeat.counters import Counts
from agent.heartbeat.lvs_conf import Place
from agent.network.namespaces import entered

_PROTOCOLS = {socket.IPPROTO_UDP: "UDP", socket.IPPROTO_SCTP: "SCTP", socket.IPPROTO_TCP: "TCP"}

#: "UDP  0A5A0001:1388 wrr", "UDP  [fd90:0000:…:0001]:1388 wrr  "
_SERVICE = re.compile(r"(TCP|UDP|SCTP)\s+(\[?[0-9A-Fa-f:]+\]?):([0-9A-Fa-f]{4})\s")
#: "  -> 0A610102:2328      Masq    3      0          1         ": how, weight, active connections, inactive ones
_SERVER = re.compile(r"\s+->\s+(\[?[0-9A-Fa-f:]+\]?):([0-9A-Fa-f]{4})\s+\w+\s+(\d+)\s+(\d+)\s+(\d+)\s*")


class Service(NamedTuple):
    """A virtual service: its protocol and place."""

    protocol: str
    place: Place


class RealServer(NamedTuple):
    """A real server's weight, and its connections that are active."""

    weight: int
    active: int


Table = Mapping[Service, Mapping[Place, RealServer]]


class Ipvs:
    """That of the network namespace `namespace`, or of ours with None. Raises SystemFault."""

    def __init__(self, namespace: str | None) -> None:
        self._namespace = namespace

    def there(self) -> bool:
        """Whether the kernel has it, and somebody has asked for it."""
        with entered(self._namespace):
            return Path("/proc/thread-self/net/ip_vs").exists()

    def table(self) -> Table:
        """Services and their real servers; nothing where the kernel has no IPVS, or nothing has asked for it."""
        with entered(self._namespace):
            try:
                return parse_table(Path("/proc/thread-self/net/ip_vs").read_text(encoding="ascii", errors="replace"))
            except FileNotFoundError:
                return {}
            except OSError as error:
                raise SystemFault(f"/proc/net/ip_vs cannot be read: {error.strerror}") from error

    def counters(self) -> dict[Service, Counts]:
        """What each service has counted. (IPVS knows no errors.)"""
        # See above.
        from agent.netlink import (  # noqa: PLC0415
            IPVS_CMD_GET_SERVICE,
            NLM_F_DUMP,
            NLM_F_REQUEST,
            IPVSSocket,
            NetlinkError,
            ipvsmsg,
        )

        with entered(self._namespace):
            try:
                with IPVSSocket() as asked:
                    request = ipvsmsg()
                    request["cmd"], request["version"] = IPVS_CMD_GET_SERVICE, 1
                    answers = asked.nlm_request(request, msg_type=asked.prid, msg_flags=NLM_F_REQUEST | NLM_F_DUMP)
                    return dict(filter(None, map(read_service, answers)))
            except (NetlinkError, OSError) as error:
                raise SystemFault(f"IPVS does not tell its counters: {error}") from error


def parse_table(text: str) -> dict[Service, dict[Place, RealServer]]:
    """Reads `/proc/net/ip_vs`."""
    table: dict[Service, dict[Place, RealServer]] = {}
    servers: dict[Place, RealServer] = {}
    for line in text.splitlines():
        if service := _SERVICE.match(line):
            servers = table.setdefault(Service(service[1], _place(service[2], service[3])), {})
        elif line[:1].isalpha():
            servers = {}  # a service by firewall mark, or the heading
        elif (server := _SERVER.fullmatch(line)) and "." not in line:
            servers[_place(server[1], server[2])] = RealServer(int(server[3]), int(server[4]))
    return table


def read_service(message: Any) -> tuple[Service, Counts] | None:
    """Reads an answer of netlink; None for a service by firewall mark, which is none of ours."""
    service = message.get_attr("IPVS_CMD_ATTR_SERVICE")
    if service.get_attr("IPVS_SVC_ATTR_FWMARK"):
        return None
    address = socket.inet_pton(service.get_attr("IPVS_SVC_ATTR_AF"), service.get_attr("IPVS_SVC_ATTR_ADDR"))
    protocol = service.get_attr("IPVS_SVC_ATTR_PROTOCOL")
    stats = service.get_attr("IPVS_SVC_ATTR_STATS64") or service.get_attr("IPVS_SVC_ATTR_STATS")
    return Service(_PROTOCOLS.get(protocol, str(protocol)), Place(address, service.get_attr("IPVS_SVC_ATTR_PORT"))), Counts(
        stats.get_attr("IPVS_STATS_ATTR_INBYTES"), stats.get_attr("IPVS_STATS_ATTR_OUTBYTES"), stats.get_attr("IPVS_STATS_ATTR_CONNS")
    )


def _place(address: str, port: str) -> Place:
    """As the kernel prints it: "0A5A0001", or "[fd90:0000:0000:0000:0000:0000:0000:0001]"."""
    return Place(bytes.fromhex(address.strip("[]").replace(":", "")), int(port, 16))
