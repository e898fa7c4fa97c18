"""The sockets at which a lab's machines are asked."""

from __future__ import annotations

import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hydria.lab.calls import listen

if TYPE_CHECKING:
    from pathlib import Path


def test_a_socket_that_is_seen_takes_calls(tmp_path: Path) -> None:
    """Each is looked for by one that takes a refusal for the end; without care, some of a hundred are seen before they take calls."""
    with ThreadPoolExecutor(1) as others:
        for number in range(200):
            path = tmp_path / f"{number}.sock"
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
                made = others.submit(listen, path)
                while True:
                    try:
                        asking.connect(str(path))
                        break
                    except FileNotFoundError:
                        continue
            made.result().close()


def test_it_takes_the_place_of_one_that_is_gone_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    listen(path).close()
    with listen(path), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.connect(str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["a.sock"]
