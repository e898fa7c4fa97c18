"""What tests of Hydria's driver look at: agents by the 2.0 contract, and agents that do not have it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from octavia_site import Site
    from support.agents import AgentMachine

AGENT_OF_1_0 = [sys.executable, str(Path(__file__).parents[1] / "support" / "agent_of_1_0.py")]


def of(machine: AgentMachine) -> dict[str, Any]:
    return {"model": "amphora", "of": machine.id}


def asked(machine: AgentMachine, path: str) -> Any:
    status, body = machine.get(path)
    return json.loads(body) if status == 200 else status


def generations(site: Site, machine: AgentMachine | None = None) -> list[dict[str, Any]]:
    """Those that are kept, the latest first."""
    found = asked(machine or site.machine, f"/2.0/loadbalancers/{site.graph.id}/generations")
    assert isinstance(found, list), found
    return found


def ways(site: Site) -> list[tuple[str, str]]:
    return [(each["contract"], (each["outcome"] or {}).get("way", "")) for each in generations(site)]


def become(machine: AgentMachine, program: list[str]) -> None:
    """Has this program be the machine's agent from now on. What it has started goes on."""
    machine.stop()
    machine.program = program
    machine.start()
