"""Finding things in a graph: the pool behind a reference, and every object's place in the document."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import msgspec

from compiler import quoting
from compiler.graph import TYPE_NAMES, HealthMonitor, L7Policy, L7Rule, Listener, LoadBalancer, Member, Pool
from compiler.problems import ObjectRef

Object = LoadBalancer | Listener | L7Policy | L7Rule | Pool | Member | HealthMonitor


class Index:
    """Look-ups in one graph. `pools` are those described, each once by its id (in lower case: UUIDs have none), in the document's order."""

    def __init__(self, graph: LoadBalancer) -> None:
        self.graph = graph
        self.pools: dict[str, Pool] = {}
        self.pools_by_name: dict[str, list[Pool]] = {}
        self._endpoints: dict[str, quoting.Words] = {}
        for pool, _ in _pools(graph):
            if not pool.is_reference and self.pools.setdefault(pool.id.lower(), pool) is pool and pool.name:
                self.pools_by_name.setdefault(pool.name, []).append(pool)

    def pool(self, given: Pool | None, pool_id: str | None) -> Pool | None:
        """The described pool that a `default_pool`/`default_pool_id` or `redirect_pool`/`redirect_pool_id` pair means; None where
        there is none (`compiler.check` says so).
        """
        if given is None:
            return self.pools.get((pool_id or "").lower())
        if not given.is_reference:
            return given
        if given.id:
            return self.pools.get(given.id.lower())
        named = self.pools_by_name.get(given.name, [])
        return named[0] if len(named) == 1 else None

    def endpoints(self, pool: Pool) -> quoting.Words:
        """Address and port of each member, as HAProxy has them; made once. Of a graph that has not been checked they may be none."""
        if pool.id not in self._endpoints:
            members = pool.members
            self._endpoints[pool.id] = quoting.endpoints(
                [member.address for member in members], [member.protocol_port for member in members]
            )
        return self._endpoints[pool.id]

    def default_pool(self, listener: Listener) -> Pool | None:
        """The listener's default pool."""
        return self.pool(listener.default_pool, listener.default_pool_id)

    def redirect_pool(self, policy: L7Policy) -> Pool | None:
        """The pool that a REDIRECT_TO_POOL policy sends to."""
        return self.pool(policy.redirect_pool, policy.redirect_pool_id)

    def pools_of(self, listener: Listener) -> list[Pool]:
        """All pools that the listener's traffic can reach, each once: the default first, then the policies'. Disabled ones too."""
        found = [self.default_pool(listener), *(self.redirect_pool(p) for p in listener.l7policies if p.action == "REDIRECT_TO_POOL")]
        return list({pool.id: pool for pool in found if pool is not None}.values())

    def ids(self) -> list[str]:
        """The ids of all objects, references to pools left out."""
        graph = self.graph
        found = [graph.id]
        for listener in graph.listeners:
            found.append(listener.id)
            for policy in listener.l7policies:
                found.append(policy.id)
                found += [rule.id for rule in policy.rules]
        for pool, _ in _pools(graph):
            if not pool.is_reference:
                found.append(pool.id)
                found += [member.id for member in pool.members]
                if pool.healthmonitor is not None:
                    found.append(pool.healthmonitor.id)
        return found

    @cached_property
    def users(self) -> dict[str, list[Listener]]:
        """Pool id → the listeners whose traffic can reach it."""
        found: dict[str, list[Listener]] = {}
        for listener in self.graph.listeners:
            for pool in self.pools_of(listener):
                found.setdefault(pool.id, []).append(listener)
        return found

    @cached_property
    def _paths(self) -> dict[int, str]:
        return {id(node): path for node, path in walk(self.graph)}

    def path(self, node: Object) -> str:
        """The object's place in the document. (The first call walks the whole graph.)"""
        return self._paths[id(node)]


def reference(node: Object) -> ObjectRef:
    """How a problem or the source map names the object."""
    return ObjectRef(TYPE_NAMES[type(node)], node.id, node.name)


def _pools(graph: LoadBalancer) -> Iterator[tuple[Pool, str]]:
    for number, pool in enumerate(graph.pools):
        yield pool, f"loadbalancer.pools[{number}]"
    for number, listener in enumerate(graph.listeners):
        if listener.default_pool is not None:
            yield listener.default_pool, f"loadbalancer.listeners[{number}].default_pool"
        for position, policy in enumerate(listener.l7policies):
            if policy.redirect_pool is not None:
                yield policy.redirect_pool, f"loadbalancer.listeners[{number}].l7policies[{position}].redirect_pool"


def walk(graph: LoadBalancer) -> Iterator[tuple[Object, str]]:
    """Every object of the graph with its path, parents before children."""
    yield graph, "loadbalancer"
    for number, listener in enumerate(graph.listeners):
        path = f"loadbalancer.listeners[{number}]"
        yield listener, path
        for position, policy in enumerate(listener.l7policies):
            policy_path = f"{path}.l7policies[{position}]"
            yield policy, policy_path
            yield from ((rule, f"{policy_path}.rules[{n}]") for n, rule in enumerate(policy.rules))
    for pool, path in _pools(graph):
        yield pool, path
        yield from ((member, f"{path}.members[{n}]") for n, member in enumerate(pool.members))
        if pool.healthmonitor is not None:
            yield pool.healthmonitor, f"{path}.healthmonitor"


def secret_references(graph: LoadBalancer) -> list[str]:
    """Every `*_container_ref` of the graph, each once, in the document's order: what a caller must resolve before a build."""
    found: dict[str, None] = {}
    for node, _ in walk(graph):
        if isinstance(node, Listener | Pool):
            for field in msgspec.structs.fields(type(node)):
                if field.name.endswith(("_container_ref", "_container_refs")):
                    value = getattr(node, field.name)
                    found.update(dict.fromkeys([value] if isinstance(value, str) else value or ()))
    return list(found)
