"""What each field of the graph means, in a sentence: the one source for the graph reference (docs/graph.md) and the JSON Schema.

Types, ranges and defaults are said by the structs of `compiler.graph` alone. A test sees to it that no field is without a meaning.
The texts are Markdown of the plainest kind: only `code`.
"""

from __future__ import annotations

import msgspec

from compiler.graph import (
    AdditionalVip,
    HealthMonitor,
    L7Policy,
    L7Rule,
    Listener,
    LoadBalancer,
    Member,
    Node,
    Pool,
    SessionPersistence,
)

#: Struct → what such an object is, in the order in which a reader meets them.
OBJECTS: dict[type[msgspec.Struct], str] = {
    LoadBalancer: "The whole: a virtual IP address (VIP), its listeners, and the pools that they and their policies use.",
    AdditionalVip: "A further address of the load balancer, in `additional_vips`. Every listener is bound to every address.",
    Listener: "A port of the VIPs and what is done with the connections that arrive there.",
    L7Policy: "What to do with an HTTP request that meets all `rules`, in `l7policies` of an HTTP or TERMINATED_HTTPS listener.",
    L7Rule: "One condition of an L7 policy, in `rules`.",
    Pool: "A group of members and how connections are shared out among them. With neither `protocol` nor `lb_algorithm` nor `members` "
    "it is a reference, by `id` or `name`, to a pool that is described elsewhere in the document.",
    SessionPersistence: "How a client keeps its member, in `session_persistence` of a pool.",
    Member: "A server behind a pool, in `members`.",
    HealthMonitor: "How the members of a pool are checked, in `healthmonitor`.",
}

#: Fields that every object of the API has.
COMMON: dict[str, str] = {
    "id": "The object's UUID. Without one it gets a UUIDv5 of its place and name, the same at each build.",
    "name": "For people, and for references to pools. It appears in problems.",
    "description": "For people. Not used.",
    "admin_state_up": "Whether the object takes part. What that means is told with each object.",
    "provisioning_status": "Shown by the API, carried along.",
    "operating_status": "Shown by the API, carried along.",
    "project_id": "Shown by the API, carried along.",
    "tenant_id": "The older name of `project_id`. Carried along.",
    "created_at": "Shown by the API, carried along.",
    "updated_at": "Shown by the API, carried along.",
    "tags": "For people. Carried along.",
}

_TLS_VERSIONS = "TLS versions that are spoken, a range without gaps. Without it, TLSv1.2 and TLSv1.3."
_TLS_CIPHERS = (
    "OpenSSL names of ciphers with `:` between them. Names that begin with `TLS_` are for TLS 1.3, all others for older versions."
)

#: Struct → field → what it means, for the fields that are the struct's own (or that mean something of their own there).
FIELDS: dict[type[msgspec.Struct], dict[str, str]] = {
    LoadBalancer: {
        "admin_state_up": "`false`: no listener is bound.",
        "vip_address": "The IPv4 or IPv6 address that clients connect to.",
        "listeners": "The ports.",
        "pools": "Pools, to which listeners and policies refer by id or name. They may as well be described where they are used.",
        "additional_vips": "Further addresses, of either family.",
        "vip_subnet_id": "Of the network service. Carried along.",
        "vip_network_id": "Of the network service. Carried along.",
        "vip_port_id": "Of the network service. Carried along.",
        "vip_qos_policy_id": "Of the network service. Carried along.",
        "vip_vnic_type": "Of the network service. Carried along.",
        "vip_sg_ids": "Security groups of the network service. Carried along.",
        "hard_stop_after": "Hydria's own. Seconds that an old HAProxy worker may go on with its connections after a reload. "
        "Without it, the target's (3600).",
        "mworker_max_reloads": "Hydria's own. Reloads that an old worker may see before it is ended. Without it, the target's (50).",
        "redispatch": "Hydria's own. Whether a connection that a member does not take goes to another member at the last attempt, "
        "persistence or not. Without it, the target's (true).",
        "provider": "Which driver serves the load balancer. Carried along.",
        "flavor_id": "Carried along.",
        "availability_zone": "Carried along.",
    },
    AdditionalVip: {
        "ip_address": "The IPv4 or IPv6 address.",
        "subnet_id": "Of the network service. Carried along.",
        "port_id": "Of the network service. Carried along.",
        "network_id": "Of the network service. Carried along.",
    },
    Listener: {
        "admin_state_up": "`false`: the port is not bound.",
        "protocol": "What is spoken. HTTP: requests are understood. TERMINATED_HTTPS: TLS ends here, HTTP inside. HTTPS: TLS is passed through "
        "unopened. TCP: bytes. UDP, SCTP: by LVS. PROMETHEUS: statistics.",
        "protocol_port": "The port. TCP, UDP and SCTP have ports of their own.",
        "connection_limit": "Connections at one time, from 1. `-1`: 50 000. For UDP and SCTP it is the limit of each member, and `-1` is none.",
        "default_pool": "Where connections go that no policy takes. A pool, or a reference to one.",
        "default_pool_id": "The same by id.",
        "l7policies": "Policies; HTTP and TERMINATED_HTTPS only. In order: all REJECT, then both kinds of redirect, then REDIRECT_TO_POOL.",
        "timeout_client_data": "Milliseconds that a client may be silent. At most 2147483647 (24.8 days) can be expressed.",
        "timeout_member_connect": "Milliseconds to connect to a member. At most 2147483647.",
        "timeout_member_data": "Milliseconds that a member may be silent. At most 2147483647.",
        "timeout_tcp_inspect": "Milliseconds to wait for data before content is inspected. At most 2147483647. `0`: no wait.",
        "insert_headers": 'Header → `"true"` or `"false"`: headers that members are given. X-Forwarded-For, -Port, -Proto; and for '
        "TERMINATED_HTTPS X-SSL-Client-Verify, -Has-Cert, -DN, -CN, -SHA1, -Not-Before, -Not-After and X-SSL-Issuer.",
        "default_tls_container_ref": "The certificate with its key for clients that ask for no name, or for an unknown one.",
        "sni_container_refs": "Further certificates. Each answers to the names in it.",
        "client_ca_tls_container_ref": "The certificates of those whose clients are trusted.",
        "client_authentication": "Whether a client must show a certificate.",
        "client_crl_container_ref": "Revoked client certificates. Needs `client_ca_tls_container_ref`.",
        "tls_ciphers": _TLS_CIPHERS,
        "tls_versions": _TLS_VERSIONS,
        "alpn_protocols": "What is offered of h2, http/1.1 and http/1.0. Without it, all three; an empty list offers nothing.",
        "hsts_max_age": "Seconds that browsers are told to use https only. Without it they are told nothing.",
        "hsts_include_subdomains": "The same for all names below. Needs `hsts_max_age`.",
        "hsts_preload": "Consent to the browsers' built-in lists. Needs `hsts_max_age`.",
        "allowed_cidrs": "Networks that clients may come from. Without it, or empty: any.",
        "pools": "Shown by the API, carried along.",
        "load_balancer_id": "Shown by the API, carried along.",
        "loadbalancers": "Shown by the API, carried along.",
    },
    L7Policy: {
        "admin_state_up": "`false`: as if the policy were not there.",
        "action": "REJECT answers 403. REDIRECT_TO_URL and REDIRECT_PREFIX answer with a redirect; the latter puts the path behind the prefix. "
        "REDIRECT_TO_POOL chooses a pool.",
        "rules": "Conditions, all of which must hold. Without an enabled rule the policy never matches.",
        "position": "The order among policies of one kind of action, smallest first. Those without come last, as they are written.",
        "redirect_url": "Where REDIRECT_TO_URL leads.",
        "redirect_prefix": "What REDIRECT_PREFIX puts before the request's path and query.",
        "redirect_http_code": "The status of a redirect. Without it, 302.",
        "redirect_pool": "Where REDIRECT_TO_POOL leads. A pool, or a reference to one.",
        "redirect_pool_id": "The same by id.",
        "listener_id": "Shown by the API, carried along.",
    },
    L7Rule: {
        "admin_state_up": "`false`: as if the rule were not there.",
        "type": "What is looked at. HOST_NAME: the Host header, without its port and whatever its case. PATH: the path without the query. "
        "FILE_TYPE: the end of the path. HEADER, COOKIE, SSL_DN_FIELD: what `key` names. SSL_CONN_HAS_CERT: whether the client showed a "
        "certificate. SSL_VERIFY_RESULT: OpenSSL's verdict on it.",
        "compare_type": "How it is compared with `value`. REGEX is a regular expression of the HAProxy that runs (PCRE2 in Debian's), found anywhere.",
        "value": "What it is compared with. SSL_CONN_HAS_CERT: `true`. SSL_VERIFY_RESULT: a number, 0 for fine.",
        "key": "The name of the header, the cookie or the field of the certificate's subject (CN, O …).",
        "invert": "Turns the answer round.",
    },
    Pool: {
        "admin_state_up": "`false`: as if nobody referred to it. A listener without a default pool answers 503, or closes the connection.",
        "protocol": "Needed, except in a reference. What members speak. PROXY and PROXYV2 put a PROXY protocol header, version 1 or 2, before what the listener speaks.",
        "lb_algorithm": "Needed, except in a reference. ROUND_ROBIN by weight. LEAST_CONNECTIONS. SOURCE_IP: each client's address has its member. "
        "SOURCE_IP_PORT: each address and port has its member.",
        "hash": "Hydria's own, for SOURCE_IP and SOURCE_IP_PORT. `consistent`: a change of members moves few clients. `address`: the same, "
        "with members known by address and port instead of id, so that one made anew keeps its clients; from HAProxy 3.0. `map`: the mapping "
        "of Octavia's amphora, which moves most.",
        "session_persistence": "How a client keeps its member. Without it, it need not.",
        "members": "The servers.",
        "healthmonitor": "How they are checked. Without it they count as healthy.",
        "tls_enabled": "Whether connections to members are encrypted.",
        "tls_container_ref": "The certificate with its key that members are shown.",
        "ca_tls_container_ref": "Whom members' certificates must come from. Without it they are not verified.",
        "crl_container_ref": "Revoked certificates of members. Needs `ca_tls_container_ref`.",
        "tls_ciphers": _TLS_CIPHERS,
        "tls_versions": _TLS_VERSIONS,
        "alpn_protocols": "What members are offered of h2, http/1.1 and http/1.0. Without it, or empty: nothing, which means http/1.1.",
        "healthmonitor_id": "Shown by the API, carried along.",
        "listener_id": "Shown by the API, carried along.",
        "loadbalancer_id": "Shown by the API, carried along.",
        "listeners": "Shown by the API, carried along.",
        "loadbalancers": "Shown by the API, carried along.",
    },
    SessionPersistence: {
        "type": "SOURCE_IP: by the client's address. HTTP_COOKIE: by a cookie SRV that is added to answers. APP_COOKIE: by a cookie that the "
        "members set. UDP and SCTP pools: SOURCE_IP only.",
        "cookie_name": "The name of the members' cookie. APP_COOKIE needs it.",
        "persistence_timeout": "Seconds that a silent client is remembered; UDP and SCTP only. Without it, 360.",
        "persistence_granularity": "The clients that count as one; UDP and SCTP only. An IPv4 netmask or an IPv6 prefix length. "
        "Without it, each address is one.",
    },
    Member: {
        "admin_state_up": "`false`: it gets nothing, but is kept with its id and statistics (HAProxy), or left out (UDP, SCTP).",
        "address": "Its IPv4 or IPv6 address.",
        "protocol_port": "Its port.",
        "weight": "Its share, in proportion to the others'. `0` drains it: clients that it has stay, new ones go elsewhere.",
        "backup": "Gets connections only when no other member is up; HAProxy only.",
        "monitor_address": "Where it is checked, if not at `address`.",
        "monitor_port": "The port where it is checked, if not at `protocol_port`.",
        "subnet_id": "Of the network service. Carried along.",
        "vnic_type": "Of the network service. Carried along.",
        "request_sriov": "Of the network service. Carried along.",
    },
    HealthMonitor: {
        "admin_state_up": "`false`: members are not checked and count as healthy.",
        "type": "TCP: a connection. HTTP, HTTPS: a request, the latter over TLS without verification. TLS-HELLO: a handshake. PING: an echo. "
        "UDP-CONNECT: no refusal. SCTP: an association.",
        "delay": "Seconds from one check to the next.",
        "timeout": "Seconds for one check; less than `delay`.",
        "max_retries": "Checks that must succeed before a member is up. Members of UDP and SCTP pools are up after one.",
        "max_retries_down": "Checks that must fail before a member is down.",
        "http_method": "HTTP, HTTPS. Without it, GET; the only one for UDP and SCTP pools.",
        "http_version": "HTTP, HTTPS. 1.0 or 1.1; without it, 1.0.",
        "url_path": "HTTP, HTTPS. What is asked for; without it, `/`.",
        "expected_codes": "HTTP, HTTPS. Statuses and ranges, `200,202-204`. Without it, 200.",
        "domain_name": "HTTP, HTTPS. The Host header; needs `http_version` 1.1.",
        "pools": "Shown by the API, carried along.",
    },
}


def meaning(struct: type[msgspec.Struct], field: str) -> str:
    """What the field means in this struct. Raises KeyError where nobody has said so."""
    found = FIELDS[struct].get(field)
    if found is None and issubclass(struct, Node):
        found = COMMON.get(field)
    if found is None:
        raise KeyError(f"compiler.graph_docs says nothing of {struct.__name__}.{field}")
    return found
