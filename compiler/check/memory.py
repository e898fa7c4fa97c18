"""Memory: what HAProxy may need at worst, twice over, because a reload has two generations at once."""

from __future__ import annotations

from compiler.check.report import Report
from compiler.graph import Listener, Pool
from compiler.identity import transport
from compiler.target import DEFAULT_CONNECTION_LIMIT, Target
from compiler.weights import ring_points

#: Bytes, measured as proportional set size of HAProxy 2.6 and 2.8 (the greater of both, rounded up): of a process without connections;
#: of a connection with its stream, and two buffers of 16 KiB (configuration manual 3.2, tune.bufsize); what TLS adds on one side; of a
#: server with its check; of its points on the ring of a consistent hash, each; of the 100k entries of a stick table.
PROCESS = 14 * 1024**2
CONNECTION = 6 * 1024 + 2 * 16 * 1024
TLS = 27 * 1024
SERVER = 7 * 1024
POINT = 50
STICK_TABLE = 100 * 1024 * 280


def check(report: Report, target: Target) -> None:
    """Warns, with the numbers, where the target's memory would not do."""
    if target.memory is None:
        return
    need = 2 * worst_case(report, target)
    if need <= target.memory:
        return
    listeners = [listener for listener in report.graph.listeners if listener.admin_state_up and transport(listener) == "tcp"]
    greatest = max(listeners, key=_limit, default=None)
    message = (
        f"two generations of HAProxy may need {_mib(need)} at full connection limits, the target has {_mib(target.memory)}; "
        f"{sum(map(_limit, listeners))} connections are allowed in all"
    )
    report.warning(greatest or report.graph, "connection_limit" if greatest else "", "memory-budget", message, "lower connection_limit")


def worst_case(report: Report, target: Target) -> int:
    """Bytes that one generation may need."""
    index = report.index
    listeners = [listener for listener in report.graph.listeners if listener.admin_state_up and transport(listener) == "tcp"]
    total = PROCESS
    limits = sum(map(_limit, listeners))
    share = min(1.0, target.maxconn / limits) if limits else 0.0
    for listener in listeners:
        pools = index.pools_of(listener)
        tls_sides = (listener.protocol == "TERMINATED_HTTPS") + any(pool.tls_enabled for pool in pools)
        total += int(_limit(listener) * share * (CONNECTION + tls_sides * TLS))
        total += sum(len(pool.members) * SERVER + _ring(pool) for pool in pools)
        total += sum(STICK_TABLE for pool in pools if pool.session_persistence and pool.session_persistence.type != "HTTP_COOKIE")
    return total


def _ring(pool: Pool) -> int:
    if pool.lb_algorithm not in ("SOURCE_IP", "SOURCE_IP_PORT") or pool.hash == "map":
        return 0
    return POINT * ring_points([member.weight for member in pool.members])


def _limit(listener: Listener) -> int:
    return DEFAULT_CONNECTION_LIMIT if listener.connection_limit == -1 else listener.connection_limit


def _mib(size: int) -> str:
    return f"{size / 1024**2:.0f} MiB"
