"""Graph → IR, for one target. Decides every default and every name; `ir` holds what was decided, the templates only write it down.

Rules: the graph has been checked and has no errors. Order follows the graph, ids decide only where the graph has no order, so that
the same graph always gives the same configuration. Files beside haproxy.cfg (certificates, lists) are made here, because what is in
haproxy.cfg names them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from compiler import ir, ir_keepalived, quoting
from compiler.graph import Listener, LoadBalancer
from compiler.identity import transport
from compiler.index import Index
from compiler.lower.backends import lower_backend
from compiler.lower.files import Files, Made
from compiler.lower.frontends import lower_frontend
from compiler.lower.keepalived import lower_filter, lower_lvs, lower_vrrp
from compiler.material import Material
from compiler.target import Target, Topology

#: The TCP port at which the amphorae of a pair share stick tables; Octavia's.
PEER_PORT = 1025


class Lowered(msgspec.Struct, frozen=True):
    """The IR of every program, and the files that it names, by path, each with the field that it was made for."""

    config: ir.Config
    vrrp: ir_keepalived.VrrpInstance | None
    lvs: tuple[ir_keepalived.LvsListener, ...]
    filter: ir_keepalived.PacketFilter | None
    files: Mapping[str, Made]


def lower(index: Index, target: Target, material: Material, previous: Mapping[str, int] | None = None) -> Lowered:
    """The IR of a graph without errors. `previous`: member id → server id of the generation that runs, which is kept."""
    graph = index.graph
    files = Files(material, target)
    enabled = [listener for listener in graph.listeners if graph.admin_state_up and listener.admin_state_up]
    listeners = [listener for listener in enabled if transport(listener) == "tcp"]
    lvs = [listener for listener in enabled if transport(listener) != "tcp"]
    frontends = tuple(lower_frontend(index, listener, target, files) for listener in listeners)
    peers_name = quoting.keyword(f"{graph.id.replace('-', '')}_peers")
    backends = tuple(
        lower_backend(index, pool, listener, target, files, peers=peers_name, previous=previous)
        for listener in listeners
        for pool in index.pools_of(listener)
        if pool.admin_state_up
    )
    sticky = any(backend.stickiness for backend in backends)
    peers = _peers(graph, target, peers_name) if sticky else None
    return Lowered(
        config=ir.Config(
            process=_global(graph, target, peers, forks=any(backend.check and backend.check.command for backend in backends)),
            peers=peers,
            exporter=_exporter(graph, listeners, target),
            frontends=frontends,
            backends=backends,
        ),
        vrrp=lower_vrrp(graph, target) if target.topology == Topology.ACTIVE_STANDBY else None,
        lvs=tuple(lower_lvs(index, listener, target) for listener in lvs),
        filter=lower_filter(index, lvs, target),
        files=files.made,
    )


def _global(graph: LoadBalancer, target: Target, peers: ir.Peers | None, *, forks: bool) -> ir.Global:
    def optional(text: str | None) -> quoting.Word | None:
        return None if text is None else quoting.word(text)

    return ir.Global(
        node=graph,
        maxconn=target.maxconn,
        threads=target.cpus,
        stats_socket=quoting.word(f"{target.run_directory}/{graph.id}.sock"),
        hard_stop_after=graph.hard_stop_after or target.hard_stop_after,
        max_reloads=graph.mworker_max_reloads or target.max_reloads,
        redispatch=target.redispatch if graph.redispatch is None else graph.redispatch,
        user=optional(target.user),
        group=optional(target.group),
        log=optional(target.log),
        local_peer=peers.local_peer if peers else None,
        forks=forks,
    )


def _exporter(graph: LoadBalancer, listeners: Sequence[Listener], target: Target) -> ir.Exporter | None:
    """Where the listeners that serve metrics have them from."""
    for listener in listeners:
        if listener.protocol == "PROMETHEUS":
            place = f"unix@{target.run_directory}/{graph.id}"
            return ir.Exporter(node=listener, metrics=quoting.word(f"{place}.raw"), translator=quoting.word(f"{place}.prom"))
    return None


def _peers(graph: LoadBalancer, target: Target, name: quoting.Word) -> ir.Peers:
    """Both of a pair, at their own addresses; a single amphora has itself, at a socket."""
    if target.topology == Topology.SINGLE:
        socket = quoting.word(f"unix@{target.run_directory}/{graph.id}.peers")
        return ir.Peers(node=graph, name=name, local_peer=quoting.keyword("local"), socket=socket, pair=())
    pair = tuple((peer_name(amphora.id), quoting.endpoint(amphora.address, PEER_PORT)) for amphora in target.amphorae)
    return ir.Peers(node=graph, name=name, local_peer=peer_name(target.amphora or ""), socket=None, pair=pair)


def peer_name(amphora: str) -> quoting.Word:
    """How an amphora is called among peers, as Octavia's controller computes it: base64 of SHA-1 of its id with `_-` for `+/`, `x` for a
    leading `-`, without `=`; HAProxy permits letters, digits and -_.: (3.5).
    """
    text = base64.b64encode(hashlib.sha1(amphora.encode(), usedforsecurity=False).digest(), b"_-").decode().rstrip("=")
    return quoting.word(f"x{text[1:]}" if text.startswith("-") else text)
