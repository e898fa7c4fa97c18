"""The heart before controllers that cannot be reached, disks that cannot be written, settings that lack something; without HAProxy."""

from __future__ import annotations

import json
import socket
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from agent.errors import SystemFault
from agent.heartbeat.counters import Counts, Ledger
from agent.heartbeat.haproxy_look import Seen
from agent.heartbeat.heart import Heart
from agent.heartbeat.message import ListenerState
from agent.paths import Paths
from agent.settings import LiveSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Nobody may send there without being allowed to broadcast.
FORBIDDEN = "255.255.255.255:9"


class Listener:
    """One that has moved `counts` since its beginning; `fault` is why it cannot be seen."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.fault = ""
        self.looked_at = threading.Event()
        self.answers = threading.Event()
        self.answers.set()

    def look(self, ledger: Ledger) -> Seen:
        self.looked_at.set()
        assert self.answers.wait(60)
        if self.fault:
            raise SystemFault(self.fault)
        ledger.see("ipvs", {"l": self.counts})
        return Seen({"l": ListenerState("OPEN", 1)}, {})


class Body:
    """A heart with a controller on loopback."""

    def __init__(self, directory: Path, controller: socket.socket) -> None:
        self.directory, self.controller = directory, controller
        self.address = f"127.0.0.1:{controller.getsockname()[1]}"
        self.listener = Listener()
        conf = directory / "agent.conf"
        conf.write_bytes(self.conf(self.address))
        self.settings = LiveSettings(conf)
        self.heart = self.another()

    def another(self) -> Heart:
        paths = Paths(self.directory, self.directory, self.directory, self.directory, self.directory / "state")
        return Heart(self.settings, paths, list, lambda: False, lvs=self.listener)

    @staticmethod
    def conf(*controllers: str, more: str = "[amphora_agent]\namphora_id = a\n") -> bytes:
        return f"[health_manager]\ncontroller_ip_port_list = {','.join(controllers)}\nheartbeat_key = k\n{more}".encode()

    def received(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(zlib.decompress(self.controller.recv(65536)[:-64]))
        return message


@pytest.fixture
def body(tmp_path: Path) -> Iterator[Body]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as controller:
        controller.bind(("127.0.0.1", 0))
        controller.settimeout(10)
        made = Body(tmp_path, controller)
        yield made
        made.heart.stop()


def test_what_could_not_be_sent_is_owed_told_once_and_logged_once(body: Body) -> None:
    body.settings.replace(body.conf(FORBIDDEN))
    with structlog.testing.capture_logs() as logs:
        for number in range(1, 4):
            body.listener.counts = Counts(10 * number, number, number)
            assert not body.heart.beat()
    assert [each["event"] for each in logs] == ["heartbeat not sent", "no heartbeat"]
    status = body.heart.status()
    [destination] = status.destinations
    assert (status.beats, destination.sent, destination.failed) == (0, 0, 3)
    assert "Permission denied" in str(status.silent)
    # Another heart, after a restart, knows what is owed.
    body.heart.stop()
    body.heart = body.another()
    body.settings.replace(body.conf(body.address))
    with structlog.testing.capture_logs() as logs:
        assert body.heart.beat()
    assert [each["event"] for each in logs] == ["heartbeats are sent"]
    assert body.received()["listeners"]["l"]["stats"] == {"rx": 30, "tx": 3, "conns": 1, "totconns": 3, "ereq": 0}
    assert body.heart.beat()
    assert body.received()["listeners"]["l"]["stats"] == {"rx": 0, "tx": 0, "conns": 1, "totconns": 0, "ereq": 0}


def test_a_beat_goes_to_the_next_controller_where_it_cannot_go_to_one(body: Body) -> None:
    body.settings.replace(body.conf(FORBIDDEN, body.address))
    body.listener.counts = Counts(1)
    assert body.heart.beat()
    assert body.received()["listeners"]["l"]["stats"]["rx"] == 1


def test_sequence_numbers_rise(body: Body) -> None:
    for _ in range(3):
        body.heart.beat()
    assert [body.received()["seq"] for _ in range(3)] == [0, 1, 2]


def test_counters_that_cannot_be_kept_are_told_all_the_same(body: Body) -> None:
    (body.directory / "state").write_text("not a directory")
    body.heart = body.another()
    body.listener.counts = Counts(5)
    with structlog.testing.capture_logs() as logs:
        assert body.heart.beat()
        body.listener.counts = Counts(7)
        assert body.heart.beat()
    assert [each["event"] for each in logs].count("counters cannot be saved") == 1
    assert [body.received()["listeners"]["l"]["stats"]["rx"] for _ in range(2)] == [5, 2]
    assert body.heart.status().unsaved


def test_what_was_kept_and_is_damaged_is_said(body: Body) -> None:
    (body.directory / "state").mkdir(exist_ok=True)
    (body.directory / "state" / "counters.json").write_text("{")
    with structlog.testing.capture_logs() as logs:
        body.another()
    assert [each["event"] for each in logs] == ["what was told before is forgotten"]


def test_no_beat_is_better_than_a_wrong_one(body: Body) -> None:
    body.listener.fault = "the kernel says nothing"
    assert not body.heart.beat()
    body.listener.fault = ""
    body.settings.replace(body.conf(body.address, more=""))
    assert not body.heart.beat()
    body.settings.replace(body.conf())
    assert not body.heart.beat()
    assert body.heart.status().silences == {
        "the kernel says nothing": 1,
        "the settings have no amphora_id or no heartbeat_key": 1,
        "the settings name no controller": 1,
    }


def test_how_it_fares_is_told_while_a_beat_waits(body: Body) -> None:
    assert body.heart.beat()
    body.listener.answers.clear()
    body.listener.looked_at.clear()
    with ThreadPoolExecutor(2) as pool:
        beat = pool.submit(body.heart.beat)
        try:
            assert body.listener.looked_at.wait(10)
            assert pool.submit(body.heart.status).result(10).beats == 1
        finally:
            body.listener.answers.set()
        assert beat.result(10)
    assert body.heart.status().beats == 2


def test_it_goes_on_after_whatever_happens(body: Body) -> None:
    calls: list[None] = []

    def loadbalancers() -> list[str]:
        calls.append(None)
        if len(calls) == 1:
            raise RuntimeError("never seen before")
        return []

    paths = Paths(body.directory, body.directory, body.directory, body.directory, body.directory / "state")
    body.settings.replace(body.conf(body.address, more="heartbeat_interval = 1\n[amphora_agent]\namphora_id = a\n"))
    heart = Heart(body.settings, paths, loadbalancers, lambda: False)
    heart.start()
    assert body.received()["id"] == "a"
    heart.stop()
    assert heart.status().silences["failed"] == 1
