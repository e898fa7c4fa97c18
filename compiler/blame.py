"""Complaints of `haproxy -c` → problems that name the object and field behind the line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from compiler.bundle import HAPROXY_CFG, Bundle, Origin
from compiler.problems import Problem, Severity

_HEAD = re.compile(r"^\[(ALERT|WARNING|NOTICE|DIAG)\]\s*(?:\d+/\d+\s*)?\(\d+\)\s*:\s*(.*)$")
_PLACE = re.compile(r"\[?(?P<file>[^\s\[\]:]+):(?P<line>\d+)\]?")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_SUMMARY = re.compile(r"^(config : )?(Fatal errors found in configuration|Error\(s\) found in configuration file)", re.IGNORECASE)
_LEAD = re.compile(r"^(?:config : )?(?:parsing )?(?:\[[^\]]*\] : )?")


def blame(output: str, bundle: Bundle) -> list[Problem]:
    """What `haproxy -c` printed, as problems: alerts are errors, warnings are warnings.

    The object is that of the rendered line which HAProxy names, else the one whose id is in the message, else the owner of a file of
    the bundle that is; a complaint about nobody is kept, without object. Of the fields behind the line, the one whose value or keyword
    the message quotes comes first.
    """
    problems = []
    for level, message in _complaints(output):
        if _SUMMARY.match(message):
            continue
        origin = _origin(message, bundle)
        problems.append(
            Problem(
                severity=Severity.ERROR if level == "ALERT" else Severity.WARNING,
                object=origin.object if origin else None,
                path=_path(origin, message),
                code="rejected-by-haproxy" if level == "ALERT" else "haproxy-warning",
                message=_LEAD.sub("", message),
            )
        )
    return problems


def _complaints(output: str) -> Iterator[tuple[str, str]]:
    """(level, message) of each alert and warning, continued lines joined."""
    level, message = "", ""
    for line in output.splitlines():
        match = _HEAD.match(line)
        if match:
            if message and level in ("ALERT", "WARNING"):
                yield level, message
            level, message = match[1], match[2].strip()
        elif message and line.strip():
            message += " " + line.strip().removeprefix("|").strip()
    if message and level in ("ALERT", "WARNING"):
        yield level, message


def _origin(message: str, bundle: Bundle) -> Origin | None:
    for match in _PLACE.finditer(message):
        name = match["file"]
        path = next((path for path in bundle.files if name == path or name.endswith(f"/{path}")), None)
        if path is not None:
            found = bundle.source_map.at(path, int(match["line"]))
            if found is not None:
                return found
    for path in bundle.files:
        if path != HAPROXY_CFG and path in message:
            return bundle.source_map.at(path, 1)
    for match in reversed(list(_UUID.finditer(message))):  # "server <pool>:<listener>/<member>": the last is the most exact
        found = bundle.source_map.object_with_id(match[0])
        if found is not None:
            return found
    return None


# HAProxy's word in a complaint → the field it was rendered from, where the field's own name is not in it.
_KEYWORDS = {
    "crt-list": "default_tls_container_ref",
    "ciphers": "tls_ciphers",
    "ciphersuites": "tls_ciphers",
    "ca-file": "client_ca_tls_container_ref",
    "crl-file": "client_crl_container_ref",
    "regex": "value",
    "alpn": "alpn_protocols",
    "binding": "protocol_port",
    "bind socket": "protocol_port",
}


def _path(origin: Origin | None, message: str) -> str:
    if origin is None:
        return ""
    if not origin.fields:
        return origin.path
    named = (field for field in origin.fields if field in message)
    told = (field for word, field in _KEYWORDS.items() if word in message and field in origin.fields)
    return f"{origin.path}.{next(named, None) or next(told, None) or origin.fields[0]}"
