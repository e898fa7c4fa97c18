"""The numbers of the operator notes are those of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.check import listeners, memory
from compiler.lower import PEER_PORT
from compiler.target import DEFAULT_CONNECTION_LIMIT, Target
from compiler.weights import ring_points

NOTES = " ".join((Path(__file__).parents[3] / "docs" / "operator-notes.md").read_text(encoding="utf-8").split())


def grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


@pytest.mark.parametrize(
    "said",
    [
        f"{memory.PROCESS // 1024**2} MiB for the process",
        f"{memory.CONNECTION // 1024} KiB for each connection that the listeners allow ({grouped(DEFAULT_CONNECTION_LIMIT)} where",
        f"and {memory.TLS // 1024} KiB more for TLS",
        f"{memory.SERVER // 1024} KiB for each member",
        f"{memory.POINT} bytes for each point of a consistently hashed pool, {ring_points([1])} of them",
        f"{memory.STICK_TABLE // 102_400} bytes for each of the {grouped(102_400)} entries",
        f"always {grouped(Target().maxconn)}, settable",
        f"{Target().hard_stop_after} s, or `hard_stop_after`",
        f"{Target().max_reloads}, or `mworker_max_reloads`",
        f"above {grouped(listeners.LONGEST_TIMEOUT)} ms",
        f"the peers' port ({PEER_PORT})",
    ],
)
def test_a_number_is_that_of_the_code(said: str) -> None:
    assert said in NOTES
