"""What is different between two graphs, object by object and field by field: for whoever wants to see what a change is before making it.

Objects are the same if their ids are; those without one have one of their place (`identity`). What the API only shows is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

import msgspec

from compiler.graph import HealthMonitor, L7Policy, L7Rule, Listener, LoadBalancer, Member
from compiler.index import Index, Object, reference
from compiler.problems import ObjectRef

Action = Literal["add", "change", "remove"]

#: Other objects: told of for themselves.
_OBJECTS = frozenset({"healthmonitor", "l7policies", "listeners", "members", "pools", "rules"})
#: What leads to a pool: told as the pool that it comes to.
_POOLS = frozenset({"default_pool", "default_pool_id", "redirect_pool", "redirect_pool_id"})
#: What says which object it is, and what the API shows and nobody configures.
_SHOWN = frozenset({
    *("created_at", "healthmonitor_id", "id", "listener_id", "load_balancer_id", "loadbalancer_id", "loadbalancers", "operating_status"),
    *("project_id", "provisioning_status", "tags", "tenant_id", "updated_at"),
})  # fmt: skip


class FieldChange(msgspec.Struct, frozen=True):
    """A field, with what it was and what it becomes; None where it says nothing, and where the object was not there."""

    field: str
    before: Any
    after: Any


class ObjectChange(msgspec.Struct, frozen=True, kw_only=True):
    """An object that comes, goes or changes. `place` is what a client or HAProxy finds it by; `within`: what it is part of, outermost first."""

    action: Action
    object: ObjectRef
    place: str = ""
    within: tuple[ObjectRef, ...] = ()
    fields: tuple[FieldChange, ...] = ()


def graph_changes(old: LoadBalancer | None, new: LoadBalancer) -> list[ObjectChange]:
    """All that is different; in the order of `new`, and what goes behind what it was part of. `old` is None where there was nothing."""
    before = {one.key: one for one in (_nodes(old) if old is not None else ())}
    after = {one.key: one for one in _nodes(new)}
    parts: dict[_Key, list[_Key]] = {}
    for key in dict.fromkeys((*after, *before)):
        parts.setdefault(key[:-1], []).append(key)
    return list(_changes((), before, after, parts))


_Key = tuple[tuple[str, str], ...]


class _Node(NamedTuple):
    """An object, in what it is, and what it says: only what is not the default."""

    key: _Key
    node: Object
    within: tuple[ObjectRef, ...]
    values: dict[str, Any]

    def told(self, action: Action, fields: tuple[FieldChange, ...]) -> ObjectChange:
        return ObjectChange(action=action, object=reference(self.node), place=place(self.node), within=self.within, fields=fields)


def _changes(
    key: _Key, before: Mapping[_Key, _Node], after: Mapping[_Key, _Node], parts: Mapping[_Key, list[_Key]]
) -> Iterator[ObjectChange]:
    """Of what is below `key`: each object, followed by what is part of it."""
    for part in parts.get(key, ()):
        was, becomes = before.get(part), after.get(part)
        if becomes is None and was is not None:
            yield was.told("remove", ())
        elif becomes is not None:
            fields = tuple(_differences(was, becomes))
            if was is None or fields:
                yield becomes.told("change" if was else "add", fields)
        yield from _changes(part, before, after, parts)


def _nodes(graph: LoadBalancer) -> Iterator[_Node]:
    index = Index(graph)
    whole = _node(graph, (), (), {})
    yield whole
    for listener in graph.listeners:
        pool = index.default_pool(listener)
        own = _node(listener, whole.key, (), {} if pool is None else {"default_pool": pool.name or pool.id})
        yield own
        for policy in listener.l7policies:
            pool = index.redirect_pool(policy)
            part = _node(policy, own.key, (reference(listener),), {} if pool is None else {"redirect_pool": pool.name or pool.id})
            yield part
            for rule in policy.rules:
                yield _node(rule, part.key, (*part.within, reference(policy)), {})
    for pool in index.pools.values():
        own = _node(pool, whole.key, (), {})
        yield own
        if pool.healthmonitor is not None:
            yield _node(pool.healthmonitor, own.key, (reference(pool),), {})
        for member in pool.members:
            yield _node(member, own.key, (reference(pool),), {})


def _node(node: Object, parent: _Key, within: tuple[ObjectRef, ...], more: dict[str, Any]) -> _Node:
    ref = reference(node)
    values = {name: msgspec.to_builtins(value) for name, default in _fields(type(node)) if (value := getattr(node, name)) != default}
    # Of a load balancer there is one, whatever it is called.
    return _Node((*parent, (ref.type, "" if isinstance(node, LoadBalancer) else ref.id.lower())), node, within, values | more)


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, Any], ...]:
    """Those that are told, with their defaults."""
    fields = [field for field in msgspec.structs.fields(kind) if field.name not in _OBJECTS | _POOLS | _SHOWN]
    return tuple((field.name, field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()) for field in fields)


def _differences(was: _Node | None, becomes: _Node) -> Iterator[FieldChange]:
    """What is not said has its default; of what comes anew, only what is said is told."""
    before, after = was.values if was else {}, becomes.values
    for field in dict.fromkeys((*before, *after)):
        if before.get(field) != after.get(field):
            default = dict(_fields(type(becomes.node))).get(field)
            yield FieldChange(field, before.get(field, default if was else None), after.get(field, default))


def place(node: Object) -> str:
    """What a client or HAProxy finds an object by: a member by address and port, a listener by its port."""
    match node:
        case LoadBalancer():
            return node.vip_address
        case Listener():
            return f"{node.protocol} :{node.protocol_port}"
        case L7Policy():
            return node.action
        case L7Rule():
            return f"{node.type} {node.compare_type} {node.value}"
        case Member():
            return f"[{node.address}]:{node.protocol_port}" if ":" in node.address else f"{node.address}:{node.protocol_port}"
        case HealthMonitor():
            return node.type
        case _:
            return f"{node.protocol} {node.lb_algorithm}"
