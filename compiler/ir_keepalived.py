"""What keepalived and nftables will hold, resolved for one target; the rules are those of `compiler.ir`."""

from __future__ import annotations

import msgspec

from compiler.graph import HealthMonitor, Listener, LoadBalancer, Member, Pool
from compiler.quoting import Word


class VipRoutes(msgspec.Struct, frozen=True, kw_only=True):
    """A VIP with the routes for what is sent from it, in their own table; `host` is the VIP with its full prefix."""

    vip: Word
    host: Word
    cidr: Word
    gateway: Word | None
    host_routes: tuple[tuple[Word, Word], ...]


class VrrpInstance(msgspec.Struct, frozen=True, kw_only=True):
    """keepalived.conf(5), "VRRP instance(s)". `advert_interval` in seconds; `excluded` VIPs are of the other family than the peers."""

    node: LoadBalancer
    name: Word
    interface: Word
    router_id: int
    priority: int
    preempt: bool
    advert_interval: Word
    garp_refresh: int
    garp_refresh_repeat: int
    source: Word
    peers: tuple[Word, ...]
    vips: tuple[Word, ...]
    excluded: tuple[Word, ...]
    routes: tuple[VipRoutes, ...]
    health_file: Word


class RealServer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A member. `check_address`, `check_port`: where it is checked."""

    node: Member
    id: Word
    address: Word
    port: int
    weight: int
    check_address: Word
    check_port: int


class Checker(msgspec.Struct, frozen=True, kw_only=True):
    """How real servers are checked; times in seconds. `kind` is UDP_CHECK, TCP_CHECK, HTTP_GET or MISC_CHECK."""

    node: HealthMonitor
    kind: Word
    interval: int
    timeout: int
    retry: int
    path: Word | None
    codes: tuple[Word, ...]
    host: Word | None
    protocol: Word | None
    command: Word | None


class VirtualServer(msgspec.Struct, frozen=True, kw_only=True):
    """One family of a listener's VIPs (keepalived.conf(5), "Virtual server(s)"). `flags` belong to the scheduler."""

    group: Word
    vips: tuple[Word, ...]
    scheduler: Word
    flags: tuple[Word, ...]
    granularity: Word | None
    real_servers: tuple[RealServer, ...]


class DisabledMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member that is switched off: told, so that whoever reads the file knows of it."""

    node: Member
    id: Word


class LvsListener(msgspec.Struct, frozen=True, kw_only=True):
    """A UDP or SCTP listener. `limit` is the connections a real server takes, `persistence` seconds; None for none.

    `disabled`: the members that are no real servers because they are switched off.
    """

    node: Listener
    name: Word
    pool: Pool | None
    pool_name: Word | None
    disabled: tuple[DisabledMember, ...]
    protocol: Word
    port: int
    limit: int | None
    persistence: int | None
    checker: Checker | None
    virtual_servers: tuple[VirtualServer, ...]


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Who may not reach a UDP or SCTP port of the VIPs of one family (ip or ip6): all but `cidrs`; None where that is nobody's."""

    node: Listener
    family: Word
    vips: Word
    transport: Word
    port: int
    cidrs: Word | None


class PacketFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The nftables table: admission by source, and masquerading of what LVS forwards so that answers come back this way."""

    node: LoadBalancer
    table: Word
    admissions: tuple[Admission, ...]
