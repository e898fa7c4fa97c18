"""Identity and references: ids that are unique, pools that exist, ports that do not collide."""

from __future__ import annotations

import msgspec

from compiler.check.report import Report
from compiler.graph import L7Policy, Listener, Pool
from compiler.identity import transport
from compiler.index import walk
from compiler.problems import did_you_mean


def check(report: Report) -> None:
    """Ids, ports, and references to pools, of the whole graph."""
    _unique_ids(report)
    _described_pools(report)
    _ports(report)
    for listener in report.graph.listeners:
        _reference(report, listener, "default_pool", listener.default_pool, listener.default_pool_id)
        for policy in listener.l7policies:
            _reference(report, policy, "redirect_pool", policy.redirect_pool, policy.redirect_pool_id)


def _unique_ids(report: Report) -> None:
    seen: dict[str, str] = {}
    ids = report.index.ids()
    together = "".join(ids)
    if len(set(ids)) == len(ids) and together == together.lower():
        return  # as nearly always
    for node, path in walk(report.graph):
        if isinstance(node, Pool) and node.is_reference:
            continue
        other = seen.setdefault(node.id.lower(), path)
        if other != path:
            report.error(node, "id", "duplicate-id", f"{node.id} is the id of {other} too")


def _described_pools(report: Report) -> None:
    for pool in report.graph.pools:
        if pool.is_reference:
            message = "this pool has neither protocol nor algorithm: describe it here"
            report.error(pool, "protocol", "missing-field", message, "the API's short list of pools holds ids only; give the full pools")


def _ports(report: Report) -> None:
    seen: dict[tuple[str, int], Listener] = {}
    for listener in report.graph.listeners:
        other = seen.setdefault((transport(listener), listener.protocol_port), listener)
        if other is not listener:
            message = f"{transport(listener)} port {listener.protocol_port} is taken by {report.index.path(other)} ({other.protocol})"
            report.error(listener, "protocol_port", "duplicate-port", message)


def _reference(report: Report, node: Listener | L7Policy, field: str, given: Pool | None, pool_id: str | None) -> None:
    index = report.index
    if given is not None and pool_id is not None:
        meant = index.pool(given, None)
        if meant is None or meant.id.lower() != pool_id.lower():
            report.error(node, f"{field}_id", "conflicting-fields", f"{pool_id} given, but {field} is another pool")
            return
    if given is None:
        if pool_id is not None and pool_id.lower() not in index.pools:
            report.error(node, f"{field}_id", "dangling-reference", f"no pool {pool_id} is described in this document")
    elif given.is_reference:
        _nothing_beside(report, node, field, given)
        _named_pool(report, node, field, given)


def _nothing_beside(report: Report, node: Listener | L7Policy, field: str, given: Pool) -> None:
    """What stands beside a reference's name or id would be lost: the pool is as it is described elsewhere."""
    for known in msgspec.structs.fields(Pool):
        value = getattr(given, known.name)
        default = known.default_factory() if known.default_factory is not msgspec.NODEFAULT else known.default
        if known.name not in ("id", "name") and value != default:
            message = f"{known.name} is given beside a reference by {'id' if given.id else 'name'}; it belongs where the pool is described"
            report.error(
                node, f"{field}.{known.name}", "conflicting-fields", message, "a pool that is described has protocol and lb_algorithm"
            )


def _named_pool(report: Report, node: Listener | L7Policy, field: str, given: Pool) -> None:
    index = report.index
    if given.id:
        if given.id.lower() not in index.pools:
            report.error(node, f"{field}.id", "dangling-reference", f"no pool {given.id} is described in this document")
    elif not given.name:
        report.error(
            node, field, "missing-field", "a pool needs a protocol and an algorithm, or the name or id of a pool described elsewhere"
        )
    elif given.name not in index.pools_by_name:
        hint = did_you_mean(given.name, index.pools_by_name)
        report.error(node, f"{field}.name", "dangling-reference", f"no pool named {given.name!r} is described in this document", hint)
    elif len(index.pools_by_name[given.name]) > 1:
        count = len(index.pools_by_name[given.name])
        report.error(node, f"{field}.name", "ambiguous-reference", f"{count} pools are named {given.name!r}; refer to one by its id")
