"""Listener → frontend: binds, TLS, allowed CIDRs, L7 policies in their order."""

from __future__ import annotations

import msgspec

from compiler import ir, quoting
from compiler.graph import L7Policy, L7Rule, Listener
from compiler.index import Index
from compiler.lower.files import Files
from compiler.quoting import Word
from compiler.target import DEFAULT_CONNECTION_LIMIT, Target

#: The order of the kinds of action: every REJECT, then the redirects, then the choices of a pool.
_KINDS = {"REJECT": 0, "REDIRECT_TO_URL": 1, "REDIRECT_PREFIX": 1, "REDIRECT_TO_POOL": 2}
_LAST_POSITION = 2**31
_VERIFY = {"NONE": "none", "OPTIONAL": "optional", "MANDATORY": "required"}
_MATCH = {"REGEX": "reg", "STARTS_WITH": "beg", "ENDS_WITH": "end", "CONTAINS": "sub", "EQUAL_TO": "str"}


def lower_frontend(index: Index, listener: Listener, target: Target, files: Files) -> ir.Frontend:
    """The frontend of a listener that HAProxy serves."""
    default = index.default_pool(listener)
    http = listener.protocol in ("HTTP", "TERMINATED_HTTPS", "PROMETHEUS")
    policies = [policy for policy in in_order(listener) if policy.admin_state_up and any(rule.admin_state_up for rule in policy.rules)]
    return ir.Frontend(
        node=listener,
        name=quoting.keyword(listener.id),
        mode=quoting.keyword("http" if http else "tcp"),
        maxconn=DEFAULT_CONNECTION_LIMIT if listener.connection_limit == -1 else listener.connection_limit,
        endpoints=_endpoints(index, listener, target),
        tls=_tls(listener, files),
        allowed=files.allowed(listener),
        log_format=None if target.log is None else quoting.keyword("httplog" if http else "tcplog"),
        hsts=_hsts(listener),
        exporter=listener.protocol == "PROMETHEUS",
        requests=_requests(policies, files),
        use_backends=_use_backends(index, listener, policies, files),
        default_backend=backend_name(default.id, listener) if default is not None and default.admin_state_up else None,
        timeout_client=listener.timeout_client_data,
        inspect_delay=listener.timeout_tcp_inspect,
    )


def in_order(listener: Listener) -> list[L7Policy]:
    """The listener's policies in the order in which they act: by kind of action, then by position, then as they stand."""
    return sorted(listener.l7policies, key=lambda policy: (_KINDS[policy.action], policy.position or _LAST_POSITION))


def backend_name(pool_id: str, listener: Listener) -> Word:
    """`<pool id>:<listener id>`: Octavia's controller, statistics and operators know a pool by this name."""
    return quoting.keyword(f"{pool_id}:{listener.id}")


def _endpoints(index: Index, listener: Listener, target: Target) -> tuple[Word, ...]:
    graph = index.graph
    addresses = [graph.vip_address, *(vip.ip_address for vip in graph.additional_vips)]
    if target.bind_address is not None:
        addresses = [target.bind_address]
    return tuple(quoting.endpoint(address, listener.protocol_port + target.port_offset) for address in addresses)


def _tls(listener: Listener, files: Files) -> ir.Tls | None:
    if listener.protocol != "TERMINATED_HTTPS":
        return None
    return files.tls(listener, files.crt_list(listener), _VERIFY[listener.client_authentication])


def _hsts(listener: Listener) -> Word | None:
    """Strict-Transport-Security (RFC 6797 6.1)."""
    if listener.hsts_max_age is None or listener.protocol != "TERMINATED_HTTPS":
        return None
    parts = [f"max-age={listener.hsts_max_age}"]
    parts += ["includeSubDomains"] if listener.hsts_include_subdomains else []
    parts += ["preload"] if listener.hsts_preload else []
    return quoting.log_format("; ".join(parts))


def _requests(policies: list[L7Policy], files: Files) -> tuple[tuple[str, ir.Rule], ...]:
    """What answers or redirects a request, in the policies' order."""
    found: list[tuple[str, ir.Rule]] = []
    for policy in policies:
        if policy.action == "REJECT":
            found.append(("deny", _rule(policy, files)))
        elif policy.action == "REDIRECT_TO_URL":
            found.append(("location", _rule(policy, files, policy.redirect_url)))
        elif policy.action == "REDIRECT_PREFIX":
            found.append(("prefix", _rule(policy, files, policy.redirect_prefix)))
    return tuple(found)


def _use_backends(index: Index, listener: Listener, policies: list[L7Policy], files: Files) -> tuple[ir.Rule, ...]:
    found = []
    for policy in policies:
        pool = index.redirect_pool(policy)
        if policy.action == "REDIRECT_TO_POOL" and pool is not None and pool.admin_state_up:
            acls, condition = _condition(policy, files)
            found.append(ir.Rule(node=policy, acls=acls, condition=condition, target=backend_name(pool.id, listener)))
    return tuple(found)


def _rule(policy: L7Policy, files: Files, redirect: str | None = None) -> ir.Rule:
    acls, condition = _condition(policy, files)
    if redirect is None:
        return ir.Rule(node=policy, acls=acls, condition=condition)
    code = policy.redirect_http_code or 302
    return ir.Rule(node=policy, acls=acls, condition=condition, code=code, target=quoting.log_format(redirect))


def _condition(policy: L7Policy, files: Files) -> tuple[tuple[ir.Acl, ...], Word]:
    rules = [rule for rule in policy.rules if rule.admin_state_up]
    words = [quoting.negated(rule.id) if rule.invert else quoting.keyword(rule.id) for rule in rules]
    return tuple(acl for rule in rules for acl in _acls(rule, files)), quoting.line(*words)


def _acls(rule: L7Rule, files: Files) -> list[ir.Acl]:
    """One rule as a named ACL; a header's twice, under one name, which means either (7.2): each value of a list, as Octavia has it
    (7.3.6 req.hdr), and the header as a whole, without which a value with a comma in it would match nothing (req.fhdr).
    """
    acl = _acl(rule, files)
    if rule.type != "HEADER":
        return [acl]
    return [acl, msgspec.structs.replace(acl, fetch=quoting.fetch("req.fhdr", rule.key or ""))]


def _acl(rule: L7Rule, files: Files) -> ir.Acl:
    """One rule as an ACL. Patterns that no list can hold stand behind `--` in the template: what begins with `-` is no flag there (7.1)."""
    fetch = {
        # The name without port, as RFC 9110 7.2 has it before the colon; compared without case (4.2.3).
        "HOST_NAME": lambda: quoting.own("req.hdr(host),host_only"),
        "PATH": lambda: quoting.keyword("path"),
        "FILE_TYPE": lambda: quoting.keyword("path"),
        "HEADER": lambda: quoting.fetch("req.hdr", rule.key or ""),
        "COOKIE": lambda: quoting.fetch("req.cook", rule.key or ""),
        "SSL_CONN_HAS_CERT": lambda: quoting.keyword("ssl_c_used"),
        "SSL_VERIFY_RESULT": lambda: quoting.keyword("ssl_c_verify"),
        "SSL_DN_FIELD": lambda: quoting.fetch("ssl_c_s_dn", rule.key or ""),
    }[rule.type]()
    match: Word | None = quoting.keyword(_MATCH[rule.compare_type])
    value: str | None = rule.value
    if rule.type == "SSL_CONN_HAS_CERT":
        match = value = None
    elif rule.type == "SSL_VERIFY_RESULT":
        match = quoting.keyword("int")
    elif rule.type == "FILE_TYPE" and rule.compare_type == "EQUAL_TO":
        match, value = quoting.keyword("end"), f".{rule.value.removeprefix('.')}"
    file = None if value is None else files.value(rule, value)
    return ir.Acl(
        node=rule,
        name=quoting.keyword(rule.id),
        fetch=fetch,
        ignore_case=rule.type == "HOST_NAME",
        match=match,
        file=file,
        pattern=None if value is None or file is not None else quoting.word(value),
    )
