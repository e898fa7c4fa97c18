"""IPVS as the heartbeat sees it: services, real servers and counters of a kernel that has it (user-mode Linux)."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from support.uml import boot

pytestmark = pytest.mark.slow

GUEST = Path(__file__).with_name("ipvs_counters_guest.py")
ROOT = Path(__file__).parents[2]
V6 = "20010db80000000000000000000000"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was seen in the guest."""
    answer = boot(tmp_path_factory.mktemp("ipvs"), {"root": str(ROOT), "python": sys.executable}, GUEST)
    assert "error" not in answer, answer["error"]
    assert answer["code"] == 0, answer["complained"]
    return {**answer, **json.loads(answer["said"])}


def test_real_servers_have_their_weights_and_connections(told: dict[str, Any]) -> None:
    assert told["table"] == {
        "UDP c6336401 5000": {"c6336407 9000": [3, 0], "c6336407 9001": [0, 0]},
        "UDP c6336402 53": {},
        f"UDP {V6}01 5000": {f"{V6}07 9000": [3, 0], f"{V6}07 9001": [0, 0]},
    }


def test_counters_are_those_that_ipvsadm_shows(told: dict[str, Any]) -> None:
    # 3 datagrams with headers of 28 bytes each way.
    assert told["counters"] == {"UDP c6336401 5000": [684, 114, 1], "UDP c6336402 53": [0, 0, 0], f"UDP {V6}01 5000": [0, 0, 0]}
    assert re.search(r"198\.51\.100\.1:5000 +1 +3 +3 +684 +114\n", told["shown"])
