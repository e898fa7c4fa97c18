"""How keepalived is run, by what it tells of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from agent.keepalived import Keepalived
from agent.processes import Finished

if TYPE_CHECKING:
    from collections.abc import Sequence


class Told:
    """A runner of a keepalived that was built with these."""

    def __init__(self, built_with: str) -> None:
        self._built_with = built_with

    def run(self, arguments: Sequence[str], /, *, timeout: float) -> Finished:
        assert (arguments[1:], timeout > 0) == (["--version"], True)
        return Finished(0, f"Keepalived v2.3.3 (03/30,2025)\n\nConfig options:  {self._built_with}\n\nSystem options:  VSYSLOG BFD\n")

    def start(self, arguments: Sequence[str], /, *, output: Path) -> NoReturn:
        raise AssertionError((arguments, output))


@pytest.mark.parametrize(
    ("built_with", "wanted"),
    [
        ("NFTABLES LVS VRRP JSON BFD OLD_CHKSUM_COMPAT", ["-B", "-C", "-s", "amphora-haproxy", "-f", "/etc/one.conf"]),
        ("NFTABLES LVS VRRP NOBFD BFDLESS", ["-C", "-s", "amphora-haproxy", "-f", "/etc/one.conf"]),
    ],
)
def test_bfd_is_left_out_where_keepalived_has_it(built_with: str, wanted: list[str]) -> None:
    command = Keepalived(Path("/usr/sbin/keepalived"), Told(built_with)).command(["-C"], Path("/etc/one.conf"), "amphora-haproxy")
    assert list(command[command.index("-G") + 1 :]) == wanted
