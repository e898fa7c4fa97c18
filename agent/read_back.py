"""What a running HAProxy shows of itself, beside what was promised of it (`compiler.changes`): what does not hold, in words.

Management guide 9.3 "show servers state", "show stat", "show ssl cert", "show ssl ca-file", "show ssl crl-file", "show ssl crt-list", "show acl".
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from compiler.changes import (
    AuthoritiesAre,
    CertificateIs,
    Confirmation,
    CrtListIs,
    FrontendLimit,
    PatternsAre,
    ProcessLimit,
    RevocationsAre,
    ServerGone,
    ServerIs,
    ServerLimit,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from agent.stats_socket import StatsSocket

_TEXTS = ("be_name", "srv_name", "srv_addr", "srv_check_addr")
_NUMBERS = ("srv_port", "srv_uweight", "srv_id", "srv_check_port", "srv_admin_state", "srv_op_state", "srv_check_state")
#: Bits of `srv_admin_state` by which a command has forced maintenance, or drained; of `srv_check_state`, that checks go on.
_FORCED = 0x01 | 0x08
_CHECKED = 0x04

#: What is shown of a server: the texts and the numbers above.
_Shown = dict[str, str | int | None]


def differences(stats: StatsSocket, promises: Iterable[Confirmation]) -> list[str]:
    """What does not hold. Raises SocketFault where it cannot be seen."""
    return [said for reader in [_Reader(stats)] for promise in dict.fromkeys(promises) for said in reader.differences(promise)]


class _Reader:
    """Asks once for what many promises are about."""

    def __init__(self, stats: StatsSocket) -> None:
        self._stats = stats
        self._servers: dict[tuple[str, str], _Shown] | None = None
        self._limits: dict[tuple[str, str], str] | None = None

    def differences(self, promise: Confirmation) -> Iterator[str]:
        """What is not as promised."""
        if isinstance(promise, ServerIs):
            yield from self._server(promise)
        elif isinstance(promise, ServerGone):
            if (promise.backend, promise.server) in self.servers():
                yield f"server {promise.backend}/{promise.server} is still there"
        elif isinstance(promise, ProcessLimit):
            yield from _unequal("connections of the process", promise.maxconn, int(self._stats.show_info().get("Maxconn", "0")))
        elif isinstance(promise, FrontendLimit | ServerLimit):
            key = (promise.frontend, "FRONTEND") if isinstance(promise, FrontendLimit) else (promise.backend, promise.server)
            yield from _unequal(f"connections of {'/'.join(key)}", str(promise.maxconn), self.limits().get(key))
        else:
            wanted, shown = _FILES[type(promise)](promise, self._stats)
            yield from _unequal(promise.file, wanted, shown)

    def servers(self) -> dict[tuple[str, str], _Shown]:
        """`show servers state`, by backend and server."""
        if self._servers is None:
            columns = self._stats.servers_state(_TEXTS, _NUMBERS)
            rows: Iterable[tuple[str | int | None, ...]] = zip(*columns.texts.values(), *columns.numbers.values(), strict=True)
            names = (*columns.texts, *columns.numbers)
            shown = [dict(zip(names, row, strict=True)) for row in rows]
            self._servers = {(str(row["be_name"]), str(row["srv_name"])): row for row in shown}
        return self._servers

    def limits(self) -> dict[tuple[str, str], str]:
        """The column `slim` of `show stat`, by proxy and server."""
        if self._limits is None:
            rows = self._stats.show_stat(("pxname", "svname", "slim"))
            self._limits = {(row["pxname"], row["svname"]): row["slim"] for row in rows}
        return self._limits

    def _server(self, promise: ServerIs) -> Iterator[str]:
        row = self.servers().get((promise.backend, promise.server))
        name = f"server {promise.backend}/{promise.server}"
        if row is None:
            yield f"{name} is not there"
            return
        for field, wanted, shown in (
            ("address", _address(promise.address), _address(row["srv_addr"])),
            ("port", promise.port, row["srv_port"]),
            ("weight", promise.weight, row["srv_uweight"]),
            ("id", promise.id, row["srv_id"]),
            ("check address", _address(promise.check_address), _address(row["srv_check_addr"])),
            ("check port", promise.check_port, row["srv_check_port"]),
            ("checked", promise.checked, bool(int(row["srv_check_state"] or 0) & _CHECKED)),
            ("maintenance", promise.maintenance, self._maintenance(row, wanted=promise.maintenance)),
        ):
            if wanted is not None:
                yield from _unequal(f"{name}, {field}", wanted, shown)

    def _maintenance(self, row: _Shown, *, wanted: bool | None) -> bool:
        """One in maintenance is down with all that it means; one that is out of it may be down because its checks say so."""
        admin, state = int(row["srv_admin_state"] or 0), int(row["srv_op_state"] or 0)
        return (admin & 0x05 != 0 and state == 0) if wanted else admin & _FORCED != 0


def _certificate(promise: CertificateIs, stats: StatsSocket) -> tuple[object, object]:
    answer = stats.ask(f"show ssl cert {promise.file}")
    return (promise.fingerprint, True), (next(iter(_fingerprints(answer)), None), "Status: Used" in answer)


def _authorities(promise: AuthoritiesAre, stats: StatsSocket) -> tuple[object, object]:
    return promise.fingerprints, frozenset(_fingerprints(stats.ask(f"show ssl ca-file {promise.file}")))


def _revocations(promise: RevocationsAre, stats: StatsSocket) -> tuple[object, object]:
    serials = re.findall(r"Serial Number: *(?:0x)?0*([0-9A-Fa-f]+)", stats.ask(f"show ssl crl-file {promise.file}"))
    return promise.serials, frozenset(serial.upper() for serial in serials)


def _crt_list(promise: CrtListIs, stats: StatsSocket) -> tuple[object, object]:
    lines = stats.ask(f"show ssl crt-list {promise.file}").splitlines()
    return promise.lines, tuple(sorted(tuple(line.split()) for line in lines if line.strip() and not line.startswith("#")))


def _patterns(promise: PatternsAre, stats: StatsSocket) -> tuple[object, object]:
    lines = stats.ask(f"show acl {promise.file}").split("\n")
    return promise.patterns, frozenset(line.partition(" ")[2] for line in lines if line.startswith("0x"))


#: What is promised of a file → what was promised, and what is shown.
_FILES: dict[type, Callable[..., tuple[object, object]]] = {
    CertificateIs: _certificate,
    AuthoritiesAre: _authorities,
    RevocationsAre: _revocations,
    CrtListIs: _crt_list,
    PatternsAre: _patterns,
}


def _fingerprints(answer: str) -> list[str]:
    return re.findall(r"SHA1 FingerPrint: *([0-9A-F]+)", answer)


def _address(text: object) -> str | None:
    """One way to write an address; as it stands what is none, as the `-` of a server that has no address of that kind."""
    if text is None:
        return None
    try:
        return str(ipaddress.ip_address(str(text)))
    except ValueError:
        return str(text)


def _unequal(what: str, wanted: object, shown: object) -> Iterator[str]:
    if wanted != shown:
        yield f"{what}: {shown!r} where {wanted!r} was promised"
