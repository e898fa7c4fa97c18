"""What a graph is compiled for on an amphora."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from agent.amphora_target import AmphoraTarget
from agent.errors import GraphRefused
from agent.keepalived import Keepalived
from agent.paths import Paths
from agent.processes import Finished
from agent.settings import LiveSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Versions:
    """A runner of programs that say which version they are."""

    def run(self, arguments: Sequence[str], /, *, timeout: float) -> Finished:
        assert timeout > 0
        return Finished(0, "Keepalived v2.3.3" if arguments[0].endswith("keepalived") else "HAProxy version 3.0.11")

    def start(self, arguments: Sequence[str], /, *, output: Path) -> NoReturn:
        raise AssertionError((arguments, output))


def of(directory: Path, memory: int) -> AmphoraTarget:
    haproxy, settings = directory / "haproxy", directory / "amphora-agent.conf"
    haproxy.write_text("#!/bin/sh\n")
    settings.write_text(f"[haproxy_amphora]\nhaproxy_cmd = {haproxy}\n")
    runner, live = Versions(), LiveSettings(settings)
    return AmphoraTarget(live, Paths.of(live.current), Keepalived(directory / "keepalived", runner), runner, lambda: memory)


@pytest.mark.parametrize(
    ("memory", "connections"), [(384 << 20, 24_576), (1 << 30, 65_536), (4 << 30, 262_144), (16 << 30, 1_000_000), (1 << 40, 1_000_000)]
)
def test_a_small_machine_is_not_told_to_have_room_for_a_million_connections(tmp_path: Path, memory: int, connections: int) -> None:
    target = of(tmp_path, memory).target({})
    assert (target.haproxy, target.memory, target.maxconn) == ((3, 0, 11), memory, connections)


def test_a_controller_s_word_on_connections_counts(tmp_path: Path) -> None:
    assert of(tmp_path, 1 << 30).target({"maxconn": 700_000}).maxconn == 700_000


def test_what_is_the_machine_s_own_cannot_be_given(tmp_path: Path) -> None:
    with pytest.raises(GraphRefused):
        of(tmp_path, 1 << 30).target({"haproxy": "2.6"})
