"""Parts of a graph as plain dicts, in the API's words and with few of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hydria.lab.backends import Backend

Part = dict[str, Any]


def member(backend: Backend, **fields: Any) -> Part:
    """The member that stands for a running backend."""
    return {"name": backend.name, "address": backend.address, "protocol_port": backend.port, **fields}


def pool(name: str, *members: Backend | Part, **fields: Any) -> Part:
    """A pool of backends, HTTP and ROUND_ROBIN unless something else is said."""
    return {
        "name": name,
        "protocol": "HTTP",
        "lb_algorithm": "ROUND_ROBIN",
        "members": [part if isinstance(part, dict) else member(part) for part in members],
        **fields,
    }


def listener(name: str, default_pool: str | None = None, *policies: Part, **fields: Any) -> Part:
    """A listener (HTTP unless something else is said) that leads to a pool of this name. Its port is given by `serving.serve`."""
    part: Part = {"name": name, "protocol": "HTTP", "l7policies": list(policies), **fields}
    return part if default_pool is None else {**part, "default_pool": {"name": default_pool}}


def policy(action: str, *rules: Part, **fields: Any) -> Part:
    """An L7 policy. `redirect_pool` may be a pool's name."""
    if isinstance(fields.get("redirect_pool"), str):
        fields["redirect_pool"] = {"name": fields["redirect_pool"]}
    return {"action": action, "rules": list(rules), **fields}


def rule(rule_type: str, compare_type: str, value: str, **fields: Any) -> Part:
    """An L7 rule."""
    return {"type": rule_type, "compare_type": compare_type, "value": value, **fields}


def path_is(path: str, **fields: Any) -> Part:
    """The rule that the path is exactly this."""
    return rule("PATH", "EQUAL_TO", path, **fields)
