"""L7 policies and rules: what each action needs, what each type of rule can be compared with."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from compiler import quoting
from compiler.check.report import Report, shown
from compiler.graph import L7Policy, L7Rule, Listener

#: Of cookies named `$…`, which RFC 2965 3.3.4 keeps for the protocol (`$Version`, `$Path`).
RESERVED_COOKIE = "HAProxy passes over cookies whose name begins with $"

_TEXT = ("REGEX", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO")
#: What each type of rule can be compared by.
COMPARE_TYPES: dict[str, tuple[str, ...]] = {
    "HOST_NAME": _TEXT,
    "PATH": _TEXT,
    "HEADER": _TEXT,
    "COOKIE": _TEXT,
    "FILE_TYPE": ("EQUAL_TO", "REGEX"),
    "SSL_CONN_HAS_CERT": ("EQUAL_TO",),
    "SSL_VERIFY_RESULT": ("EQUAL_TO",),
    "SSL_DN_FIELD": _TEXT,
}
_KEYED = {"HEADER": "the header's name", "COOKIE": "the cookie's name", "SSL_DN_FIELD": "the field's name, such as CN or O"}

#: HAProxy takes 64 words a line (configuration manual 2.1); "http-request redirect code 302 location <url> if" leaves this many rules.
MOST_RULES = 56


def check(report: Report, listener: Listener) -> None:
    """The listener's policies and their rules."""
    if listener.l7policies and listener.protocol not in ("HTTP", "TERMINATED_HTTPS"):
        message = f"a {listener.protocol} listener does not look into requests; HTTP and TERMINATED_HTTPS listeners have policies"
        report.error(listener, "l7policies", "incompatible-policy", message)
    for policy in listener.l7policies:
        _policy(report, policy)
        for rule in policy.rules:
            _rule(report, listener, rule)


def _policy(report: Report, policy: L7Policy) -> None:
    needed = {
        "REDIRECT_TO_URL": ("redirect_url", policy.redirect_url),
        "REDIRECT_PREFIX": ("redirect_prefix", policy.redirect_prefix),
        "REDIRECT_TO_POOL": ("redirect_pool", policy.redirect_pool or policy.redirect_pool_id),
    }
    own, value = needed.get(policy.action, ("", ""))
    if own and value is None:
        report.error(policy, own, "missing-field", f"{own} is needed with {policy.action}")
    for field in ("redirect_url", "redirect_prefix", "redirect_pool", "redirect_pool_id"):
        if getattr(policy, field) is not None and field.removesuffix("_id") != own:
            report.warning(policy, field, "not-applicable", f"{policy.action} does not use {field}")
    if policy.redirect_http_code is not None and policy.action not in ("REDIRECT_TO_URL", "REDIRECT_PREFIX"):
        report.warning(policy, "redirect_http_code", "not-applicable", f"{policy.action} does not use redirect_http_code")
    if own in ("redirect_url", "redirect_prefix") and isinstance(value, str) and report.word(policy, own, value):
        _url(report, policy, own, value)
    if not any(rule.admin_state_up for rule in policy.rules) and policy.admin_state_up:
        report.warning(policy, "rules", "not-applicable", "without an enabled rule the policy never matches")
    enabled = sum(rule.admin_state_up for rule in policy.rules)
    if enabled > MOST_RULES:
        report.error(policy, "rules", "too-many", f"{enabled} enabled rules given; HAProxy takes {MOST_RULES} in one condition")


def _url(report: Report, policy: L7Policy, field: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        usable = parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        report.error(policy, field, "invalid-value", f"{shown(value)} given; an http:// or https:// URL with a host is needed")
    elif " " in value:
        report.error(policy, field, "invalid-value", f"{shown(value)} given; a URL holds no spaces (write %20)")


def _rule(report: Report, listener: Listener, rule: L7Rule) -> None:
    allowed = COMPARE_TYPES[rule.type]
    if rule.compare_type not in allowed:
        message = f"{rule.compare_type} given; {rule.type} can be compared by {', '.join(allowed)}"
        report.error(rule, "compare_type", "incompatible-policy", message)
    if rule.type.startswith("SSL_") and listener.protocol != "TERMINATED_HTTPS":
        message = f"{rule.type} needs a TERMINATED_HTTPS listener; this one is {listener.protocol}"
        report.error(rule, "type", "incompatible-policy", message)
    _key(report, rule)
    if rule.type == "SSL_CONN_HAS_CERT":
        if rule.value.lower() != "true":
            report.error(rule, "value", "invalid-value", f"{shown(rule.value)} given; true is needed", "invert: true asks for none")
    elif rule.type == "SSL_VERIFY_RESULT":
        if not re.fullmatch(r"\d{1,5}", rule.value, re.ASCII):
            report.error(rule, "value", "invalid-value", f"{shown(rule.value)} given; OpenSSL's number, from 0 (fine), is needed")
    elif report.word(rule, "value", rule.value) and rule.compare_type != "REGEX":
        if rule.type == "HOST_NAME" and re.search(r":\d+$", rule.value):
            message = f"{shown(rule.value)} given: names are compared without their port, so that this never matches"
            report.warning(rule, "value", "not-applicable", message)
        elif rule.type in ("PATH", "FILE_TYPE") and "?" in rule.value:
            message = f"{shown(rule.value)} given: a path ends before the ?, so that this never matches"
            report.warning(rule, "value", "not-applicable", message)


def _key(report: Report, rule: L7Rule) -> None:
    if rule.type not in _KEYED:
        if rule.key:
            report.warning(rule, "key", "not-applicable", f"{rule.type} does not use a key")
    elif not rule.key:
        report.error(rule, "key", "missing-field", f"{rule.type} needs a key: {_KEYED[rule.type]}")
    elif not quoting.is_http_token(rule.key):
        message = f"{shown(rule.key)} given; letters, digits and !#$%&'*+-.^_`|~ are allowed in {_KEYED[rule.type]}"
        report.error(rule, "key", "inexpressible", message)
    elif rule.type == "COOKIE" and rule.key.startswith("$"):
        report.warning(rule, "key", "not-applicable", f"{shown(rule.key)} given: {RESERVED_COOKIE}, so that this never matches")
