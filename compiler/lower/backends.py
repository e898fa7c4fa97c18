"""Pool, as one listener uses it → backend: algorithm, persistence, inserted headers, health checks, servers."""

from __future__ import annotations

from collections.abc import Mapping

from compiler import ir, quoting
from compiler.check.pools import expected_codes
from compiler.graph import HealthMonitor, Listener, Member, Pool
from compiler.identity import server_ids
from compiler.index import Index
from compiler.lower.files import Files
from compiler.lower.frontends import backend_name
from compiler.quoting import Word
from compiler.ring_ids import written
from compiler.target import Target
from compiler.weights import ring_factor

#: Servers that `balance roundrobin` takes in turn (4.2); `static-rr` has no limit, but weights that only a reload changes.
_MOST_IN_TURN = 4095
_BALANCE = {
    "ROUND_ROBIN": "roundrobin",
    "LEAST_CONNECTIONS": "leastconn",
    "SOURCE_IP": "source",
}
#: Header → what it is set to, as a log-format string of HAProxy's (8.2.6). X-Forwarded-For is added by `option forwardfor`.
_HEADERS = {
    "X-Forwarded-Port": "%[dst_port]",
    "X-SSL-Client-Verify": "%[ssl_c_verify]",
    "X-SSL-Client-Has-Cert": "%[ssl_c_used]",
    "X-SSL-Client-DN": "%{+Q}[ssl_c_s_dn]",
    "X-SSL-Client-CN": "%{+Q}[ssl_c_s_dn(cn)]",
    "X-SSL-Issuer": "%{+Q}[ssl_c_i_dn]",
    "X-SSL-Client-SHA1": "%{+Q}[ssl_c_sha1,hex]",
    "X-SSL-Client-Not-Before": "%{+Q}[ssl_c_notbefore]",
    "X-SSL-Client-Not-After": "%{+Q}[ssl_c_notafter]",
}


def lower_backend(
    index: Index, pool: Pool, listener: Listener, target: Target, files: Files, *, peers: Word, previous: Mapping[str, int] | None
) -> ir.Backend:
    """The backend through which this listener reaches the pool."""
    http = listener.protocol in ("HTTP", "TERMINATED_HTTPS") or pool.protocol == "HTTP"
    cookie = pool.session_persistence is not None and pool.session_persistence.type == "HTTP_COOKIE"
    hashed = pool.lb_algorithm in ("SOURCE_IP", "SOURCE_IP_PORT")
    forward_for, headers = _headers(listener)
    servers = _servers(index, pool, target, previous)
    return ir.Backend(
        node=pool,
        listener=listener,
        name=backend_name(pool.id, listener),
        mode=quoting.keyword("http" if http else "tcp"),
        balance=_balance(pool),
        hash_type=quoting.keyword("map-based" if pool.hash == "map" else "consistent") if hashed else None,
        hash_port=pool.lb_algorithm == "SOURCE_IP_PORT",
        hash_key=quoting.keyword("addr-port") if hashed and pool.hash == "address" else None,
        stickiness=_stickiness(pool, peers),
        cookie_key=quoting.keyword(pool.id) if cookie else None,
        forward_for=forward_for,
        headers=headers,
        check=_check(pool.healthmonitor, pool, target, index.graph.vip_address)
        if pool.healthmonitor is not None and pool.healthmonitor.admin_state_up
        else None,
        proxy_protocol=_proxy_protocol(pool, listener),
        tls=_tls(pool, files),
        all_backups=any(more.backup for more in servers.unusual.values()),
        timeout_connect=listener.timeout_member_connect,
        timeout_server=listener.timeout_member_data,
        servers=servers,
    )


def _balance(pool: Pool) -> Word:
    if pool.lb_algorithm == "SOURCE_IP_PORT":
        return quoting.own("hash src,concat(-,txn.hydria_src_port)")
    if pool.lb_algorithm == "ROUND_ROBIN" and len(pool.members) > _MOST_IN_TURN:
        return quoting.keyword("static-rr")
    return quoting.keyword(_BALANCE[pool.lb_algorithm or "ROUND_ROBIN"])


def _stickiness(pool: Pool, peers: Word) -> ir.Stickiness | None:
    persistence = pool.session_persistence
    if persistence is None or persistence.type == "HTTP_COOKIE":
        return None
    if persistence.type == "SOURCE_IP":
        return ir.Stickiness(type=quoting.own("type ipv6"), peers=peers, store=None, match=None)
    name = persistence.cookie_name or ""
    return ir.Stickiness(
        type=quoting.own("type string len 64"),
        peers=peers,
        store=quoting.fetch("res.cook", name),
        match=quoting.fetch("req.cook", name),
    )


def _headers(listener: Listener) -> tuple[bool, tuple[tuple[Word, Word], ...]]:
    wanted = [name for name, value in listener.insert_headers.items() if str(value).lower() == "true"]
    values = _HEADERS | {"X-Forwarded-Proto": "https" if listener.protocol == "TERMINATED_HTTPS" else "http"}
    pairs = tuple((quoting.keyword(name), quoting.own(values[name])) for name in sorted(wanted) if name in values)
    return "X-Forwarded-For" in wanted, pairs


def _check(monitor: HealthMonitor, pool: Pool, target: Target, vip: str) -> ir.Check:
    return ir.Check(
        node=monitor,
        interval=monitor.delay,
        timeout=monitor.timeout,
        rise=monitor.max_retries,
        fall=monitor.max_retries_down,
        tls=monitor.type in ("HTTPS", "TLS-HELLO"),
        # A pool that encrypts is checked with its own verification: HAProxy has one for each server.
        unverified=not pool.tls_enabled,
        http=_http_check(monitor, vip) if monitor.type in ("HTTP", "HTTPS") else None,
        command=quoting.word(target.check_command) if monitor.type == "PING" else None,
    )


def _http_check(monitor: HealthMonitor, vip: str) -> ir.HttpCheck:
    """The request. HTTP/1.1 has a Host whether a name is given or not (RFC 9112 3.2): without one, the VIP, as a client without a name has it."""
    version = str(monitor.http_version or "1.0")
    host = monitor.domain_name or (quoting.host(vip) if version == "1.1" else None)
    codes = expected_codes(str(monitor.expected_codes if monitor.expected_codes is not None else 200)) or []
    return ir.HttpCheck(
        method=quoting.keyword(monitor.http_method or "GET"),
        uri=quoting.word(monitor.url_path or "/"),
        version=quoting.word(f"HTTP/{version}"),
        host=quoting.log_format(host) if host else None,
        expected=quoting.word(",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in codes)),
    )


def _proxy_protocol(pool: Pool, listener: Listener) -> Word | None:
    if pool.protocol == "PROXY":
        return quoting.keyword("send-proxy")
    if pool.protocol == "PROXYV2":
        return quoting.keyword("send-proxy-v2-ssl-cn" if listener.protocol == "TERMINATED_HTTPS" else "send-proxy-v2")
    return None


def _tls(pool: Pool, files: Files) -> ir.Tls | None:
    if not pool.tls_enabled:
        return None
    mine = files.identity(pool, "tls_container_ref", pool.tls_container_ref) if pool.tls_container_ref else None
    verify = "required" if pool.ca_tls_container_ref else "none"
    return files.tls(pool, mine, verify)


def _servers(index: Index, pool: Pool, target: Target, previous: Mapping[str, int] | None) -> ir.Servers:
    """The pool's members as HAProxy's servers, in their order."""
    members = pool.members
    names = [member.id for member in members]
    return ir.Servers(
        nodes=members,
        names=quoting.keywords(names),
        endpoints=index.endpoints(pool),
        ids=list(written(server_ids(names, previous), target.haproxy).values()),
        weights=server_weights(pool),
        unusual={
            place: _unusual(member)
            for place, member in enumerate(members)
            if member.backup or not member.admin_state_up or member.monitor_address is not None or member.monitor_port is not None
        },
    )


def server_weights(pool: Pool) -> list[int]:
    """The members' weights as HAProxy has them."""
    weights = [member.weight for member in pool.members]
    if pool.lb_algorithm in ("SOURCE_IP", "SOURCE_IP_PORT") and pool.hash != "map":
        factor = ring_factor(weights)
        return [weight * factor for weight in weights]
    return weights


def _unusual(member: Member) -> ir.Unusual:
    return ir.Unusual(
        backup=member.backup,
        disabled=not member.admin_state_up,
        check_address=None if member.monitor_address is None else quoting.host(member.monitor_address),
        check_port=member.monitor_port,
    )
