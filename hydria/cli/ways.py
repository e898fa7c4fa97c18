"""In which way HAProxy would come from one graph to another, as an agent would do it, without one: two bundles are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import compiler
from agent.outcomes import Forecast, Way, Why
from compiler.bundle import HAPROXY_CFG, VRRP_CONF
from compiler.changes import Commands, NoOp, Reason, Reload, Restart
from compiler.identity import server_ids
from compiler.index import Index
from compiler.plan import Files
from compiler.plan import plan as changes

if TYPE_CHECKING:
    import datetime as dt

    from compiler import Bundle, LoadBalancer, Secrets, Target
    from compiler.changes import Plan


def after(old: LoadBalancer, new: LoadBalancer, target: Target, secrets: Secrets, now: dt.datetime) -> Bundle:
    """What `new` becomes where `old` runs: members keep the server ids that they have."""
    known = {member: number for pool in Index(old).pools.values() for member, number in server_ids([m.id for m in pool.members]).items()}
    return compiler.build(new, target, secrets, previous=known, now=now)


def way(lb: str, old: Bundle, new: Bundle, versions: tuple[tuple[int, ...], tuple[int, ...]]) -> Forecast:
    """As an agent says it. `versions` are those of the HAProxy before and after. Both bundles are without errors."""
    found = _plan(old, new, versions)
    kind, reasons, commands = _told(found)
    return Forecast(
        loadbalancer=lb,
        way=kind,
        generation=0,
        etag="",
        reasons=list(map(_why, reasons)),
        later=list(map(_why, found.later)) if isinstance(found, NoOp | Commands) else [],
        commands=commands,
        also=_also(old, new),
    )


def _plan(old: Bundle, new: Bundle, versions: tuple[tuple[int, ...], tuple[int, ...]]) -> Plan:
    before, becomes = (".".join(map(str, version)) for version in versions)
    if before != becomes:
        return Restart((Reason("haproxy", "process", f"{before} becomes {becomes}"),))
    if HAPROXY_CFG not in old.files or HAPROXY_CFG not in new.files:
        if HAPROXY_CFG in old.files or HAPROXY_CFG in new.files:
            return Restart((Reason("haproxy", "configuration", "there is none before, or none after"),))
        return NoOp()
    return changes(Files.of(old), Files.of(new), versions[0])


def _told(found: Plan) -> tuple[Way, tuple[Reason, ...], list[str]]:
    match found:
        case NoOp():
            return "noop", (), []
        case Commands():
            return "runtime", (), list(map(str, found.commands))
        case Reload():
            return "reload", found.reasons, []
        case Restart():
            return "restart", found.reasons, []


def _also(old: Bundle, new: Bundle) -> list[str]:
    """What changes beside HAProxy."""
    found = []
    for path in sorted(path for path in {*old.files, *new.files} if path.startswith(("keepalived/", "nftables/"))):
        before, becomes = old.files.get(path), new.files.get(path)
        if before is not None and becomes is not None and before.content == becomes.content:
            continue
        what = "packet filter" if path.startswith("nftables/") else "keepalived of VRRP" if path == VRRP_CONF else f"keepalived: {path}"
        found.append(f"{what} {'starts' if before is None else 'ends' if becomes is None else 'is reloaded'}")
    return found


def _why(reason: Reason) -> Why:
    return Why(object=reason.object, field=reason.field, why=reason.why)
