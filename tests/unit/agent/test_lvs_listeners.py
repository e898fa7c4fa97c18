"""What UDP and SCTP listeners are told of: by what is on the disk, with nothing that runs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.check_scripts import CheckScripts
from agent.keepalived import Keepalived
from agent.keepaliveds import Lvs
from agent.machine import KEEPALIVED
from agent.paths import Paths
from agent.services.supervised import SupervisedServices

LISTENER = "7a7b8c9d-0e1f-4a2b-8c3d-4e5f6a7b8c9d"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "octavia", tmp_path / "octavia" / "certs", tmp_path / "interfaces", tmp_path / "run", tmp_path / "state")


@pytest.fixture
def lvs(paths: Paths) -> Lvs:
    services = SupervisedServices(paths.programs_run, paths.programs_state)
    paths.lvs_conf(LISTENER).parent.mkdir(parents=True)
    return Lvs(paths, services, Keepalived(KEEPALIVED), CheckScripts(paths, services), namespace=None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (b"virtual_server group x {\n    protocol SCTP\n}\n", "SCTP"),
        (b"virtual_server group x {\n\tprotocol\tUDP\n}\n", "UDP"),
        (b"# protocol SCTP\n", "UDP"),
        (b"", "UDP"),
    ],
)
def test_their_type(paths: Paths, lvs: Lvs, text: bytes, kind: str) -> None:
    paths.lvs_conf(LISTENER).write_bytes(text)
    assert [(listener.uuid, listener.type, listener.status) for listener in lvs.listeners()] == [(LISTENER, kind, "OFFLINE")]


@pytest.mark.parametrize("nothing", [b"\n", b" ", b"\t\n"])
def test_much_that_says_nothing_is_read_at_once(paths: Paths, lvs: Lvs, nothing: bytes) -> None:
    """While it is read nothing else is done: Python's interpreter is one."""
    paths.lvs_conf(LISTENER).write_bytes(nothing * 100_000)
    begin = time.thread_time()
    assert len(lvs.listeners()) == 1
    assert time.thread_time() - begin < 1
