"""UDP and SCTP listeners → LVS virtual servers; the pair of an ACTIVE_STANDBY load balancer → its VRRP instance; and nftables."""

from __future__ import annotations

import ipaddress

from compiler import ir_keepalived as ir
from compiler import quoting
from compiler.check.pools import expected_codes
from compiler.graph import HealthMonitor, Listener, LoadBalancer, Member, Pool
from compiler.identity import transport
from compiler.index import Index
from compiler.quoting import Word
from compiler.target import Amphora, Target, VipNetwork

#: Seconds that a client keeps its member when SOURCE_IP persistence gives no time; LVS's own default.
DEFAULT_PERSISTENCE = 360

_CHECKERS = {"UDP-CONNECT": "UDP_CHECK", "TCP": "TCP_CHECK", "HTTP": "HTTP_GET", "SCTP": "MISC_CHECK"}


def lower_vrrp(graph: LoadBalancer, target: Target) -> ir.VrrpInstance | None:
    """The VRRP instance of this side of the pair; None for a single amphora, and where somebody else moves the VIPs."""
    mine = next((amphora for amphora in target.amphorae if amphora.id == target.amphora), None)
    if mine is None or target.vrrp.elsewhere:
        return None
    vips = [graph.vip_address, *(vip.ip_address for vip in graph.additional_vips)]
    same = [vip for vip in vips if _family(vip) == _family(mine.address)]
    networks = {ipaddress.ip_address(network.address): network for network in target.networks}
    return ir.VrrpInstance(
        node=graph,
        name=quoting.keyword(graph.id.replace("-", "")),
        interface=quoting.keyword(target.vrrp.interface),
        router_id=target.vrrp.router_id,
        priority=mine.priority,
        preempt=target.vrrp.preempt,
        advert_interval=quoting.seconds(target.vrrp.advert_interval),
        garp_refresh=target.vrrp.garp_refresh,
        garp_refresh_repeat=target.vrrp.garp_refresh_repeat,
        source=quoting.address(mine.address),
        peers=tuple(quoting.address(peer.address) for peer in _others(target, mine)),
        vips=tuple(map(_host, same)),
        excluded=tuple(_host(vip) for vip in vips if vip not in same),
        routes=tuple(_routes(vip, network) for vip in vips if (network := networks.get(ipaddress.ip_address(vip)))),
        health_file=quoting.keepalived_word(f"{target.run_directory}/{graph.id}.health"),
    )


def _others(target: Target, mine: Amphora) -> list[Amphora]:
    return [amphora for amphora in target.amphorae if amphora is not mine]


def _routes(vip: str, network: VipNetwork) -> ir.VipRoutes:
    return ir.VipRoutes(
        vip=quoting.address(vip),
        host=_host(vip),
        cidr=quoting.network(network.cidr),
        gateway=None if network.gateway is None else quoting.address(network.gateway),
        host_routes=tuple((quoting.network(route.destination), quoting.address(route.nexthop)) for route in network.host_routes),
    )


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _host(address: str) -> Word:
    return quoting.network(address)


def lower_lvs(index: Index, listener: Listener, target: Target) -> ir.LvsListener:
    """The virtual servers of a UDP or SCTP listener, one for each family of VIPs."""
    pool = index.default_pool(listener)
    pool = pool if pool is not None and pool.admin_state_up else None
    persistence = pool.session_persistence if pool is not None else None
    monitor = pool.healthmonitor if pool is not None else None
    return ir.LvsListener(
        node=listener,
        name=quoting.keyword(listener.id),
        pool=pool,
        pool_name=None if pool is None else quoting.keyword(pool.id),
        disabled=tuple(
            ir.DisabledMember(node=member, id=quoting.keyword(member.id))
            for member in (pool.members if pool else ())
            if not member.admin_state_up
        ),
        protocol=quoting.keyword(listener.protocol),
        port=listener.protocol_port + target.port_offset,
        limit=None if listener.connection_limit == -1 else listener.connection_limit,
        persistence=None if persistence is None else persistence.persistence_timeout or DEFAULT_PERSISTENCE,
        checker=_checker(monitor, target) if monitor is not None and monitor.admin_state_up else None,
        virtual_servers=tuple(_virtual_servers(index.graph, pool, target)),
    )


def _virtual_servers(graph: LoadBalancer, pool: Pool | None, target: Target) -> list[ir.VirtualServer]:
    vips = _vips(graph, target)
    found = []
    for family in (4, 6):
        members = [member for member in (pool.members if pool else ()) if _family(member.address) == family and member.admin_state_up]
        mine = [vip for vip in vips if _family(vip) == family]
        # keepalived complains of a virtual server without real servers, or of one in which nobody has a weight; there is nothing for it to do.
        if pool is not None and mine and any(member.weight for member in members):
            scheduler, flags = _scheduler(pool)
            found.append(
                ir.VirtualServer(
                    group=quoting.keyword(f"ipv{family}-group"),
                    vips=tuple(map(quoting.address, mine)),
                    scheduler=scheduler,
                    flags=flags,
                    granularity=_granularity(pool, family),
                    real_servers=tuple(map(_real_server, members)),
                )
            )
    return found


def _scheduler(pool: Pool) -> tuple[Word, tuple[Word, ...]]:
    """IPVS's scheduler. Source hashing is Maglev, which moves few clients when members change, or, for `hash: map`, the older `sh`.

    With fallback, clients of a member that is drained or full are served by another instead of nobody.
    """
    if pool.lb_algorithm in ("SOURCE_IP", "SOURCE_IP_PORT"):
        kind = "sh" if pool.hash == "map" else "mh"
        port = [quoting.keyword(f"{kind}-port")] if pool.lb_algorithm == "SOURCE_IP_PORT" else []
        return quoting.keyword(kind), (*port, quoting.keyword(f"{kind}-fallback"))
    return quoting.keyword("wlc" if pool.lb_algorithm == "LEAST_CONNECTIONS" else "wrr"), ()


def _granularity(pool: Pool, family: int) -> Word | None:
    """The netmask (IPv4) or prefix length (IPv6) within which clients count as one."""
    persistence = pool.session_persistence
    if persistence is None:
        return None
    given = persistence.persistence_granularity
    if family == 4:
        return quoting.address(given if given and "." in given else "255.255.255.255")
    return quoting.keyword(given if given and given.isdecimal() else "128")


def _real_server(member: Member) -> ir.RealServer:
    return ir.RealServer(
        node=member,
        id=quoting.keyword(member.id),
        address=quoting.address(member.address),
        port=member.protocol_port,
        weight=member.weight,
        check_address=quoting.address(member.monitor_address or member.address),
        check_port=member.monitor_port or member.protocol_port,
    )


def _checker(monitor: HealthMonitor, target: Target) -> ir.Checker:
    http = monitor.type == "HTTP"
    codes = expected_codes(str(monitor.expected_codes if monitor.expected_codes is not None else 200)) or []
    return ir.Checker(
        node=monitor,
        kind=quoting.keyword(_CHECKERS[monitor.type]),
        interval=monitor.delay,
        timeout=monitor.timeout,
        # keepalived counts the checks after the first failure.
        retry=monitor.max_retries_down - 1,
        path=quoting.keepalived_word(monitor.url_path or "/") if http else None,
        codes=tuple(quoting.keepalived_word(f"{low}" if low == high else f"{low}-{high}") for low, high in codes) if http else (),
        host=quoting.keepalived_word(monitor.domain_name) if http and monitor.domain_name else None,
        protocol=quoting.keepalived_word(str(monitor.http_version or "1.0")) if http else None,
        command=quoting.keepalived_word(target.check_command) if monitor.type == "SCTP" else None,
    )


def lower_filter(index: Index, listeners: list[Listener], target: Target) -> ir.PacketFilter | None:
    """The packet filter for these UDP and SCTP listeners; None where there are none."""
    if not listeners:
        return None
    graph = index.graph
    return ir.PacketFilter(
        node=graph,
        table=quoting.keyword(f"hydria_{graph.id.replace('-', '_')}"),
        admissions=tuple(admission for listener in listeners for admission in _admissions(graph, listener, target)),
    )


def _admissions(graph: LoadBalancer, listener: Listener, target: Target) -> list[ir.Admission]:
    """One for each family of VIPs; none where everybody may come."""
    if not listener.allowed_cidrs:
        return []
    networks = [ipaddress.ip_network(cidr, strict=False) for cidr in listener.allowed_cidrs]
    cidrs: dict[int, list[str]] = {
        4: [str(network) for network in ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv4Network))],
        6: [str(network) for network in ipaddress.collapse_addresses(n for n in networks if isinstance(n, ipaddress.IPv6Network))],
    }
    return [
        ir.Admission(
            node=listener,
            family=quoting.keyword("ip" if family == 4 else "ip6"),
            vips=quoting.listed(map(quoting.address, vips)),
            transport=quoting.keyword(transport(listener)),
            port=listener.protocol_port + target.port_offset,
            cidrs=quoting.listed(map(quoting.network, cidrs[family])) if cidrs[family] else None,
        )
        for family in (4, 6)
        if (vips := [vip for vip in _vips(graph, target) if _family(vip) == family])
    ]


def _vips(graph: LoadBalancer, target: Target) -> list[str]:
    if target.bind_address is not None:
        return [target.bind_address]
    return [graph.vip_address, *(vip.ip_address for vip in graph.additional_vips)]
