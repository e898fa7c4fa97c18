"""The JSON Schema (2020-12) of the input, made from the graph's structs: for editors, and for whoever writes graphs by program.

It says what `load` says, neither more nor less: what is between fields is `check`'s. What fields mean is from `graph_docs`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from compiler.graph import LoadBalancer
from compiler.graph_docs import OBJECTS, meaning

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_NULL = {"type": "null"}


def schema() -> dict[str, Any]:
    """The schema, as plain data."""
    [_], definitions = msgspec.json.schema_components([LoadBalancer], ref_template="#/$defs/{name}")
    for struct, what in OBJECTS.items():
        definition = definitions[struct.__name__]
        definition["description"] = what
        required = definition.get("required", [])
        definition["properties"] = {
            name: {"description": meaning(struct, name), **(field if name in required else _or_null(field))}
            for name, field in definition["properties"].items()
        }
    whole = {"type": "object", "properties": {"loadbalancer": _ref("LoadBalancer")}, "additionalProperties": False}
    made: dict[str, Any] = {
        "$schema": DIALECT,
        "title": "Hydria's load-balancer graph",
        "description": "A load balancer as the Octavia v2 API creates or shows it: `loadbalancer: {…}`, or its inside alone.",
        "if": {"required": ["loadbalancer"]},
        "then": whole,
        "else": _ref("LoadBalancer"),
        "$defs": dict(sorted(definitions.items())),
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(made))
    return plain


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    """`load` takes null for a field that has a default: as if it were not given."""
    kinds = field.get("anyOf") or [{key: value for key, value in field.items() if key != "default"}]
    if kinds == [{}] or _NULL in kinds or any(None in kind.get("enum", ()) for kind in kinds):
        return field
    return {"anyOf": [*kinds, _NULL], "default": field["default"]}
