"""The short form of `test_lvs_by_agent.py`: UDP and SCTP, by both contracts and both families, until a member that fails is taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lvs_by_agent import CONTRACTS, seen

if TYPE_CHECKING:
    from pathlib import Path

    from octavia_process import Controller

pytest_plugins = ["octavia_fixtures"]


def test_udp_and_sctp(controller: Controller, tmp_path: Path) -> None:
    told = seen(controller, tmp_path, ("udp", "sctp"), thorough=False)
    names = [f"{contract} {kind}" for contract in CONTRACTS for kind in ("udp", "sctp")]
    everywhere = [f"{name} IPv{version}" for name in names for version in (4, 6)]
    assert told["both"] == {key: {"m1": 6, "m2": 2} for key in everywhere}
    assert told["members"] == {key: {"m1": ["UP", "UP"], "m2": ["UP", "UP"]} for key in names}
    assert told["without m2"] == {key: {"m1": 4} for key in everywhere}
    assert told["members without m2"] == {key: {"m1": ["UP", "UP"], "m2": ["DOWN", "DOWN"]} for key in names}
    assert all(counted["totconns"] >= 16 for counted in told["counted"].values())
