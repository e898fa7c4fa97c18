"""Graph → IR, for one target. Decides every default and every name; `ir` holds what was decided, the templates only write it down.

Rules: the graph has been checked and has no errors. Order follows the graph, ids decide only where the graph has no order, so that
the same graph always gives the same configuration. Files beside haproxy.cfg (certificates, lists) are made here, because what is in
haproxy.cfg names them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from compiler import ir, quoting
from compiler.bundle import File
from compiler.certificates import Material
from compiler.graph import LoadBalancer
from compiler.index import Index
from compiler.lower.backends import lower_backend
from compiler.lower.files import Files
from compiler.lower.frontends import lower_frontend
from compiler.target import Target


class Lowered(msgspec.Struct, frozen=True):
    """The IR, and the files that it names, by path, each with the object it was made for."""

    config: ir.Config
    files: Mapping[str, tuple[File, object]]


def lower(index: Index, target: Target, material: Material, previous: Mapping[str, int] | None = None) -> Lowered:
    """The IR of a graph without errors. `previous`: member id → server id of the generation that runs, which is kept."""
    graph = index.graph
    files = Files(material)
    listeners = [
        listener
        for listener in graph.listeners
        if graph.admin_state_up and listener.admin_state_up and listener.protocol not in ("UDP", "SCTP", "PROMETHEUS")
    ]
    frontends = tuple(lower_frontend(index, listener, target, files) for listener in listeners)
    peers_name = quoting.keyword(f"{graph.id.replace('-', '')}_peers")
    backends = tuple(
        lower_backend(pool, listener, peers_name, files, previous)
        for listener in listeners
        for pool in index.pools_of(listener)
        if pool.admin_state_up
    )
    sticky = any(backend.stickiness for backend in backends)
    peers = _peers(graph, target, peers_name) if sticky else None
    return Lowered(ir.Config(process=_global(graph, target, peers), peers=peers, frontends=frontends, backends=backends), files.made)


def _global(graph: LoadBalancer, target: Target, peers: ir.Peers | None) -> ir.Global:
    def optional(text: str | None) -> quoting.Word | None:
        return None if text is None else quoting.word(text)

    return ir.Global(
        node=graph,
        maxconn=target.maxconn,
        threads=target.cpus,
        stats_socket=quoting.word(f"{target.run_directory}/{graph.id}.sock"),
        hard_stop_after=target.hard_stop_after,
        max_reloads=target.max_reloads,
        user=optional(target.user),
        group=optional(target.group),
        log=optional(target.log),
        local_peer=peers.local_peer if peers else None,
    )


def _peers(graph: LoadBalancer, target: Target, name: quoting.Word) -> ir.Peers:
    return ir.Peers(
        node=graph,
        name=name,
        local_peer=quoting.keyword("local"),
        socket=quoting.word(f"unix@{target.run_directory}/{graph.id}.peers"),
    )
