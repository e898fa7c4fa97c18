"""The wall clock jumps. The agent measures time with a clock that does not, so only what a date is about notices: certificates.

The agent's own time is a collaborator (`agent.clock`), and tests of its parts give it what they like. This is about the parts that ask the
system by themselves, OpenSSL above all; so the whole agent is run with a library that changes what the system's calls say.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.attacked import Attacked
from support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

MINUTE, DAY = 60, 86_400


class Dated(Attacked):
    """A machine whose agent has another wall clock than everybody else."""

    def __init__(self, directory: Path, library: Path) -> None:
        super().__init__(directory)
        self._library = library
        self._ahead = directory / "ahead"
        self.jump(0)

    def jump(self, seconds: float) -> None:
        """To so many seconds from the real time."""
        new = self._ahead.with_suffix(".new")
        new.write_text(f"{seconds:.0f}")
        new.replace(self._ahead)

    def command(self, verb: str, *arguments: str) -> list[str]:
        return ["env", f"LD_PRELOAD={self._library}", f"WALL_CLOCK={self._ahead}", *super().command(verb, *arguments)]

    def dates(self) -> list[str]:
        """When things happened, as the agent tells it."""
        return [json.loads(line)["timestamp"] for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("clock") / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o", made, source], check=True)
    return made


@pytest.fixture
def dated(library: Path) -> Iterator[Dated]:
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, Dated(Path(directory, "m"), library) as machine:
        yield machine


def test_some_minutes_here_and_there_are_nothing(dated: Dated) -> None:
    dated.set_up()
    for minutes in (30, -30, 50, -50, 0):
        dated.jump(minutes * MINUTE)
        dated.unharmed()
        assert dated.ask("PUT", f"/1.0/loadbalancer/{dated.id}/{dated.victim}/haproxy", dated.text(dated.victim, 81)).status == 202
        for action in ("start", "reload", "stop"):
            assert dated.ask("PUT", f"/1.0/loadbalancer/{dated.victim}/{action}").status == 202
        assert {found["status"] for found in dated.ask("GET", "/1.0/listeners").json} == {"ACTIVE", "OFFLINE"}
    assert dated.dates() != sorted(dated.dates()), "the clock has not jumped at all"


@pytest.mark.parametrize("days", [60, 20_000, -2, -20_000])
def test_nobody_has_a_certificate_for_that_day(dated: Dated, days: int) -> None:
    dated.set_up()
    # Not before 1970, which no clock knows.
    dated.jump(max(days * DAY, MINUTE - time.time()))
    for _ in range(3):
        with pytest.raises(ssl.SSLError, match="alert"):
            dated.ask("GET", "/")
    assert dated.serves()
    dated.jump(0)
    dated.unharmed()


def test_an_agent_that_starts_before_its_clock_is_set(dated: Dated) -> None:
    dated.set_up()
    dated.stop()
    dated.jump(MINUTE - time.time())
    dated.begin()
    eventually(lambda: sum('"serving"' in line for line in dated.log.read_text().splitlines()) == 2, "the start")
    assert dated.dates()[-1].startswith("1970-")
    with pytest.raises(ssl.SSLError, match="alert"):
        dated.ask("GET", "/")
    dated.jump(0)
    dated.unharmed()
