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
    """Whom the message is about; the surest sign first."""
    named = [match[0] for match in _UUID.finditer(message)]
    return (
        _by_file(message, bundle)
        or _by_field(message, named, bundle)
        or _by_line(message, bundle)
        or next(filter(None, map(bundle.source_map.object_with_id, reversed(named))), None)  # the last id is the most exact
    )


def _by_file(message: str, bundle: Bundle) -> Origin | None:
    """A certificate or a list that the message names."""
    return next((bundle.source_map.at(path, 1) for path in bundle.files if path != HAPROXY_CFG and path in message), None)


def _by_field(message: str, named: list[str], bundle: Bundle) -> Origin | None:
    """Of the objects in "server <pool>:<listener>/<member>", the one that has the field which is complained about."""
    field = _told(message)
    if field is None:
        return None
    origins = (origin for object_id in named for _, _, origin in bundle.source_map.lines_of(object_id))
    return next((origin for origin in origins if field in origin.fields), None)


def _by_line(message: str, bundle: Bundle) -> Origin | None:
    """The line of a file of the bundle that the message names."""
    for match in _PLACE.finditer(message):
        path = next((path for path in bundle.files if match["file"] == path or match["file"].endswith(f"/{path}")), None)
        found = None if path is None else bundle.source_map.at(path, int(match["line"]))
        if found is not None:
            return found
    return None


# HAProxy's words in a complaint → the field that they are about, where the field's own name is not in them.
_TOLD = {
    "cipher": "tls_ciphers",
    "alpn": "alpn_protocols",
    "regex": "value",
    "binding": "protocol_port",
    "bind socket": "protocol_port",
}


def _told(message: str) -> str | None:
    return next((field for word, field in _TOLD.items() if word in message), None)


def _path(origin: Origin | None, message: str) -> str:
    if origin is None:
        return ""
    if not origin.fields:
        return origin.path
    named = next((field for field in origin.fields if field in message), None)
    told = _told(message)
    return f"{origin.path}.{named or (told if told in origin.fields else origin.fields[0])}"
