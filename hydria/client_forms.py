"""The forms in which the Octavia API's client prints an object's fields, and back to the API's own.

With `-f json`, most of its releases print lists as lines of text, mappings as lines of `key=value`, "" or None for nothing, and some
numbers as text; others print what the API said.
"""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from compiler.graph import TYPE_NAMES, SessionPersistence

Thing = dict[str, Any]

#: The API's word for a type of object → its struct.
STRUCTS: dict[str, type[msgspec.Struct]] = {name: struct for struct, name in TYPE_NAMES.items()}

#: What a graph says by its shape, or does not need.
_LEFT_OUT = {
    "provisioning_status",
    "operating_status",
    "project_id",
    "tenant_id",
    "created_at",
    "updated_at",
    "loadbalancers",
    "load_balancer_id",
    "loadbalancer_id",
    "listener_id",
    "healthmonitor_id",
}


def words(text: str) -> list[str]:
    """The lines of a list in text."""
    return [word.strip() for word in text.splitlines() if word.strip()]


def ids(value: Any) -> list[str]:
    """A reference in any of its forms: an id, ids as lines, a list of ids, a list of `{"id": …}`."""
    if isinstance(value, str):
        return words(value)
    if isinstance(value, list):
        return [str(item.get("id")) if isinstance(item, dict) else str(item) for item in value]
    return []


def api_form(kind: str, thing: Thing) -> Thing:
    """The object's fields in the API's form and the struct's order, without those that say nothing."""
    struct = STRUCTS[kind]
    hints = get_type_hints(struct)
    named = {"flavor_id" if key == "flavor" else key: value for key, value in thing.items()}
    known = [field.name for field in msgspec.structs.fields(struct) if field.name in named]
    found: Thing = {}
    for key in [*known, *(key for key in named if key not in hints)]:
        if key in _LEFT_OUT or (key == "pools" and kind != "loadbalancer") or (key == "listeners" and kind == "pool"):
            continue
        value = _value(hints.get(key), key, named[key])
        if value not in (None, "", [], {}) or (kind == "l7rule" and key == "value"):
            found[key] = value
    return found


def _value(hint: Any, key: str, value: Any) -> Any:
    if key in ("insert_headers", "session_persistence") and isinstance(value, str):
        value = {name: None if text == "None" else text for name, _, text in (line.partition("=") for line in words(value))}
    if key == "session_persistence" and isinstance(value, dict):
        hints = get_type_hints(SessionPersistence)
        return {name: made for name, item in value.items() if (made := _value(hints.get(name), name, item)) not in (None, "")}
    if key == "additional_vips":
        return [_vip(item) for item in (words(value) if isinstance(value, str) else value or [])]
    if not isinstance(value, str):
        return value
    return _from_text(hint, value)


def _vip(item: Any) -> Any:
    if isinstance(item, str):
        item = dict(part.strip().partition("=")[::2] for part in item.split(","))
    return {key: value for key, value in item.items() if value not in (None, "", "None")} if isinstance(item, dict) else item


def _from_text(hint: Any, text: str) -> Any:
    """Text for a field of another type, as that type; what does not fit stays as it is, for `compiler.load` to say so."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds = tuple(get_args(kind)[0] if hasattr(kind, "__metadata__") else kind for kind in kinds)
    if str in kinds:
        return text
    if any(get_origin(kind) is tuple for kind in kinds):
        return words(text)
    if bool in kinds and text in ("True", "False", "true", "false"):
        return text.lower() == "true"
    number = int in kinds or any(get_origin(kind) is Literal and isinstance(get_args(kind)[0], int) for kind in kinds)
    if number and text.lstrip("-").isascii() and text.lstrip("-").isdecimal():
        return int(text)
    return text
