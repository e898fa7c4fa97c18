"""`hydria-probe`: checks one member where neither HAProxy nor keepalived has a check of its own. Exits 0 when it is up, 1 when not.

`hydria-probe sctp ADDRESS PORT SECONDS`: an SCTP association (RFC 9260 5.1), for keepalived's MISC_CHECK.
`hydria-probe udp ADDRESS PORT SECONDS`: whether nobody says that the port is closed (RFC 1122 4.1.3.1), for the same.
`hydria-probe PROXY_ADDRESS PROXY_PORT ADDRESS PORT`: an echo request (RFC 792, RFC 4443), as HAProxy calls its `external-check command`.
`amphora-health-checker sctp [-t SECONDS] ADDRESS PORT`: the first, as Octavia's configurations call it.

It runs once for each check of each member, so it imports next to nothing. Whoever starts it as root sees it become nobody at once.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from contextlib import suppress

#: nobody and nogroup, on every distribution.
_NOBODY = 65534
#: Seconds that an echo may take; HAProxy ends the check by itself at its own `timeout check`.
_ECHO_DEADLINE = 5.0


def main() -> None:
    """The command."""
    arguments = sys.argv[1:]
    try:
        if len(arguments) == 4 and arguments[0] == "sctp":
            _become_nobody()
            associate(arguments[1], int(arguments[2]), float(arguments[3]))
        elif len(arguments) == 4 and arguments[0] == "udp":
            _become_nobody()
            reach(arguments[1], int(arguments[2]), float(arguments[3]))
        elif len(arguments) == 4:
            echo(arguments[2], _ECHO_DEADLINE)
        else:
            sys.exit("usage: hydria-probe sctp|udp ADDRESS PORT SECONDS | hydria-probe PROXY_ADDRESS PROXY_PORT ADDRESS PORT")
    except (OSError, ValueError) as error:
        sys.stderr.write(f"hydria-probe: {error}\n")
        sys.exit(1)


def health_checker() -> None:
    """The command by the name and with the arguments that Octavia's keepalived configurations have for it."""
    match sys.argv[1:]:
        case ["sctp", "-t", seconds, address, port]:
            sys.argv = ["hydria-probe", "sctp", address, port, seconds]
        case ["sctp", address, port]:
            sys.argv = ["hydria-probe", "sctp", address, port, "3"]
        case _:
            sys.exit("usage: amphora-health-checker sctp [-t SECONDS] ADDRESS PORT")
    main()


def _become_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)


def associate(address: str, port: int, seconds: float) -> None:
    """Sets up an SCTP association and ends it; raises OSError where there is none within `seconds`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_SCTP) as connection:
        connection.settimeout(seconds)
        connection.connect((address, port))


def reach(address: str, port: int, seconds: float) -> None:
    """Sends datagrams; raises OSError where the answer is, within `seconds`, that nobody is there. Silence is fine: UDP may be silent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.connect((address, port))
        connection.settimeout(seconds)
        connection.send(b"X")
        with suppress(TimeoutError):
            connection.recv(1)


def echo(address: str, seconds: float) -> None:
    """Sends an echo request and awaits its answer; raises OSError where none comes within `seconds`.

    Unprivileged where the system lets this group (`net.ipv4.ping_group_range`, as systemd sets it), else as whoever may open raw sockets.
    """
    v6 = ":" in address
    family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
    try:
        connection = socket.socket(family, socket.SOCK_DGRAM, protocol)
        raw = False
    except PermissionError:
        connection = socket.socket(family, socket.SOCK_RAW, protocol)
        raw = True
    identifier = os.getpid() & 0xFFFF
    payload = os.urandom(16)
    deadline = time.monotonic() + seconds
    with connection:
        if raw:
            _become_nobody()
        connection.connect((address, 0))
        connection.send(_request(128 if v6 else 8, identifier, payload, checksum=raw and not v6))
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([connection], [], [], left)[0]:
                break
            answer = connection.recv(2048)
            if raw and not v6:
                answer = answer[(answer[0] & 0x0F) * 4 :]  # behind the IP header, which raw IPv4 sockets show
            if answer[:1] == (b"\x81" if v6 else b"\x00") and answer[8:] == payload:
                return
    raise TimeoutError(f"{address} sent no echo within {seconds:g} s")


def _request(kind: int, identifier: int, payload: bytes, *, checksum: bool) -> bytes:
    """An echo request; the kernel fills in the checksum where it can (all but raw IPv4)."""
    head = bytes([kind, 0, 0, 0]) + identifier.to_bytes(2) + (1).to_bytes(2)
    if not checksum:
        return head + payload
    words = head + payload
    total = sum(int.from_bytes(words[place : place + 2]) for place in range(0, len(words), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:2] + (~total & 0xFFFF).to_bytes(2) + head[4:] + payload


if __name__ == "__main__":
    main()
