"""The load-balancer graph: frozen structs whose fields are those of the Octavia v2 API, with its defaults.

Only what one field alone can be right or wrong about is said here, as types; everything between fields is `compiler.check`'s.
Fields that the API shows but a compiler does not need (statuses, timestamps, tags …) are taken and carried along.
The structs keep the shape of the document: a pool stays where it was described. `compiler.index` finds things.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

# `$` alone lets a newline follow.
Uuid = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$(?!\n)")]
UuidOrNone = Annotated[str, Meta(pattern=r"^(?:[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})?$(?!\n)")]
Port = Annotated[int, Meta(ge=1, le=65535)]
Milliseconds = Annotated[int, Meta(ge=0, le=31_536_000_000)]
Weight = Annotated[int, Meta(ge=0, le=256)]
Retries = Annotated[int, Meta(ge=1, le=10)]
# HAProxy holds 2^31 - 1 ms.
Seconds = Annotated[int, Meta(ge=1, le=2_147_483)]

ListenerProtocol = Literal["HTTP", "HTTPS", "TCP", "TERMINATED_HTTPS", "UDP", "SCTP", "PROMETHEUS"]
PoolProtocol = Literal["HTTP", "HTTPS", "TCP", "PROXY", "PROXYV2", "UDP", "SCTP"]
Algorithm = Literal["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT"]
MonitorType = Literal["HTTP", "HTTPS", "TCP", "PING", "TLS-HELLO", "UDP-CONNECT", "SCTP"]
PersistenceType = Literal["SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE"]
PolicyAction = Literal["REJECT", "REDIRECT_TO_URL", "REDIRECT_PREFIX", "REDIRECT_TO_POOL"]
RuleType = Literal["HOST_NAME", "PATH", "FILE_TYPE", "HEADER", "COOKIE", "SSL_CONN_HAS_CERT", "SSL_VERIFY_RESULT", "SSL_DN_FIELD"]
CompareType = Literal["REGEX", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO"]
ClientAuthentication = Literal["NONE", "OPTIONAL", "MANDATORY"]
TlsVersion = Literal["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
HttpMethod = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "OPTIONS", "PATCH", "CONNECT"]
HeaderName = Literal[
    "X-Forwarded-For",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-SSL-Client-Verify",
    "X-SSL-Client-Has-Cert",
    "X-SSL-Client-DN",
    "X-SSL-Client-CN",
    "X-SSL-Issuer",
    "X-SSL-Client-SHA1",
    "X-SSL-Client-Not-Before",
    "X-SSL-Client-Not-After",
]


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What every object of the API has. `id` is "" only before `compiler.load` has given it a stable one."""

    id: UuidOrNone = ""
    name: str = ""
    description: str = ""
    admin_state_up: bool = True
    # Shown by the API, carried along:
    provisioning_status: str | None = None
    operating_status: str | None = None
    project_id: str | None = None
    tenant_id: str | None = None
    created_at: Any = None
    updated_at: Any = None
    tags: tuple[str, ...] = ()


class Member(Node, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A server behind a pool. `weight` 0 drains it; `monitor_address` and `monitor_port` are where it is checked, if elsewhere."""

    # A UUID like every id; but there are so many members that `compiler.load` looks at all their ids at once.
    id: str = ""
    address: str
    protocol_port: Port
    weight: Weight = 1
    backup: bool = False
    monitor_address: str | None = None
    monitor_port: Port | None = None
    subnet_id: str | None = None
    vnic_type: str | None = None
    request_sriov: bool | None = None


class HealthMonitor(Node, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How a pool's members are checked. `delay` and `timeout` in seconds; `max_retries` successes bring a member up,
    `max_retries_down` failures take it down; the http fields are those of HTTP and HTTPS monitors.
    """

    type: MonitorType
    delay: Seconds
    timeout: Seconds
    max_retries: Retries
    max_retries_down: Retries = 3
    http_method: HttpMethod | None = None
    http_version: Literal["1.0", "1.1"] | float | None = None
    url_path: str | None = None
    expected_codes: str | int | None = None
    domain_name: str | None = None
    pools: tuple[Any, ...] = ()


class SessionPersistence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a client keeps its member. `cookie_name` belongs to APP_COOKIE; timeout (s) and granularity (netmask) to UDP and SCTP."""

    type: PersistenceType
    cookie_name: str | None = None
    persistence_timeout: Annotated[int, Meta(ge=1, le=2_678_400)] | None = None
    persistence_granularity: str | None = None


class Pool(Node, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of members. A pool without a protocol is a reference, by id or name, to one described elsewhere in the document.

    `hash` is Hydria's own: "consistent" moves only the clients it must when members change; "address" too, and knows members by address
    and port instead of id, so that one that is made anew keeps its clients; "map" gives the mapping of Octavia's amphora.
    """

    protocol: PoolProtocol | None = None
    lb_algorithm: Algorithm | None = None
    hash: Literal["consistent", "address", "map"] = "consistent"
    session_persistence: SessionPersistence | None = None
    members: tuple[Member, ...] = ()
    healthmonitor: HealthMonitor | None = None
    tls_enabled: bool = False
    tls_container_ref: str | None = None
    ca_tls_container_ref: str | None = None
    crl_container_ref: str | None = None
    tls_ciphers: str | None = None
    tls_versions: tuple[TlsVersion, ...] | None = None
    alpn_protocols: tuple[str, ...] | None = None
    # Shown by the API, carried along:
    healthmonitor_id: str | None = None
    listener_id: str | None = None
    loadbalancer_id: str | None = None
    listeners: tuple[Any, ...] = ()
    loadbalancers: tuple[Any, ...] = ()

    @property
    def is_reference(self) -> bool:
        """Whether this only names a pool that is described elsewhere."""
        return self.protocol is None and self.lb_algorithm is None and not self.members


class L7Rule(Node, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One condition. `key` names the header, cookie or DN field; `invert` turns the answer round."""

    type: RuleType
    compare_type: CompareType
    value: str
    key: str | None = None
    invert: bool = False


class L7Policy(Node, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with a request that meets all `rules`. `position` orders the policies of one kind of action, from 1."""

    action: PolicyAction
    rules: tuple[L7Rule, ...] = ()
    position: Annotated[int, Meta(ge=1, le=2147483647)] | None = None
    redirect_url: str | None = None
    redirect_prefix: str | None = None
    redirect_http_code: Literal[301, 302, 303, 307, 308] | None = None
    redirect_pool: Pool | None = None
    redirect_pool_id: Uuid | None = None
    listener_id: str | None = None


class Listener(Node, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A port of the VIP. Timeouts in milliseconds; `connection_limit` -1 means Hydria's default."""

    protocol: ListenerProtocol
    protocol_port: Port
    connection_limit: Annotated[int, Meta(ge=-1, le=2147483647)] = -1
    default_pool: Pool | None = None
    default_pool_id: Uuid | None = None
    l7policies: tuple[L7Policy, ...] = ()
    timeout_client_data: Milliseconds = 50_000
    timeout_member_connect: Milliseconds = 5_000
    timeout_member_data: Milliseconds = 50_000
    timeout_tcp_inspect: Milliseconds = 0
    insert_headers: dict[str, bool | str] = {}
    default_tls_container_ref: str | None = None
    sni_container_refs: tuple[str, ...] = ()
    client_ca_tls_container_ref: str | None = None
    client_authentication: ClientAuthentication = "NONE"
    client_crl_container_ref: str | None = None
    tls_ciphers: str | None = None
    tls_versions: tuple[TlsVersion, ...] | None = None
    alpn_protocols: tuple[str, ...] | None = None
    hsts_max_age: Annotated[int, Meta(ge=0)] | None = None
    hsts_include_subdomains: bool = False
    hsts_preload: bool = False
    allowed_cidrs: tuple[str, ...] | None = None
    # Shown by the API, carried along:
    pools: tuple[Any, ...] = ()
    load_balancer_id: str | None = None
    loadbalancers: tuple[Any, ...] = ()


class AdditionalVip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further address of the load balancer."""

    ip_address: str
    subnet_id: str | None = None
    port_id: str | None = None
    network_id: str | None = None


class LoadBalancer(Node, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole: a VIP, its listeners, and the pools that they and their policies refer to."""

    vip_address: str
    listeners: tuple[Listener, ...] = ()
    pools: tuple[Pool, ...] = ()
    additional_vips: tuple[AdditionalVip, ...] = ()
    vip_subnet_id: str | None = None
    vip_network_id: str | None = None
    vip_port_id: str | None = None
    vip_qos_policy_id: str | None = None
    vip_vnic_type: str | None = None
    vip_sg_ids: tuple[str, ...] = ()
    # Hydria's own: what old workers may do after a reload (seconds, reloads); the target's where not given.
    hard_stop_after: Seconds | None = None
    mworker_max_reloads: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    # Hydria's own: whether the last attempt to reach a member may go to another; the target's where not given.
    redispatch: bool | None = None
    provider: str | None = None
    flavor_id: str | None = None
    availability_zone: str | None = None


#: Struct → the API's word for such an object.
TYPE_NAMES: dict[type, str] = {
    LoadBalancer: "loadbalancer",
    Listener: "listener",
    L7Policy: "l7policy",
    L7Rule: "l7rule",
    Pool: "pool",
    Member: "member",
    HealthMonitor: "healthmonitor",
}
