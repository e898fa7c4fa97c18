"""What an amphora cannot know of itself, as the `target` that comes with a graph: who its peer is."""

from __future__ import annotations

from typing import Any

_ALLOCATED = "ALLOCATED"


def target_of(load_balancer: Any, amphora: Any) -> dict[str, Any]:
    """The target for one of the load balancer's amphorae.

    While one of a pair is being replaced, the other is alone for a moment; and a third that has not gone yet is not the peer. VRRP is left to
    Octavia's own calls, which tell both kinds of amphorae the same, password and all: so a pair may be one of each kind.
    """
    if load_balancer.topology != "ACTIVE_STANDBY" or not amphora.vrrp_ip:
        return {"topology": "SINGLE"}
    others = [
        each for each in load_balancer.amphorae if each.id != amphora.id and each.status == _ALLOCATED and each.vrrp_ip not in (None, "")
    ]
    if not others:
        return {"topology": "SINGLE"}
    other = next((each for each in reversed(others) if each.role != amphora.role), others[-1])
    # In one order on both sides.
    pair = sorted((amphora, other), key=lambda each: str(each.id))
    return {
        "topology": "ACTIVE_STANDBY",
        "amphora": amphora.id,
        "amphorae": [
            {"id": each.id, "address": each.vrrp_ip, **({"priority": each.vrrp_priority} if each.vrrp_priority else {})} for each in pair
        ],
        "vrrp": {
            "elsewhere": True,
            **({"interface": amphora.vrrp_interface} if amphora.vrrp_interface else {}),
            **({"router_id": amphora.vrrp_id} if amphora.vrrp_id else {}),
        },
    }
