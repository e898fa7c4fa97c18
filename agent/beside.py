"""`BundleBeside`: what a generation of the 2.0 contract has beside HAProxy: keepalived's configurations and the packet filter.

Each is left alone where it is as it should be: a keepalived is reloaded only for another text, so a change of a UDP listener does not touch
VRRP, and a change of HAProxy touches neither.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent.configuration import directory
from agent.errors import NotFoundError, RejectedByKeepalived, SystemFault
from agent.files import remove_file, replace_file
from agent.named_contents import put_back
from agent.network.namespaces import command
from compiler.bundle import FILTER_NFT, VRRP_CONF

if TYPE_CHECKING:
    from pathlib import Path

    from agent.generations import Generation
    from agent.keepalived import Keepalived
    from agent.keepaliveds import Lvs, Vrrp
    from agent.paths import Paths
    from agent.processes import Runner

_LVS = re.compile(r"keepalived/([0-9a-f-]{36})\.conf")
_TABLE = re.compile(rb"^delete table inet (\w+)$", re.MULTILINE)
#: Seconds for nft.
_PATIENCE = 30.0


class BundleBeside:
    """Of the load balancer `lb`; `namespace` is where its packets are filtered."""

    def __init__(
        self, lb: str, paths: Paths, lvs: Lvs, vrrp: Vrrp, keepalived: Keepalived, *, namespace: str | None, runner: Runner
    ) -> None:
        self._lb = lb
        self._paths = paths
        self._lvs = lvs
        self._vrrp = vrrp
        self._keepalived = keepalived
        self._namespace = namespace
        self._runner = runner

    def check(self, generation: Generation) -> None:
        """Has keepalived and nft look at what is theirs. Raises RejectedByKeepalived."""
        for path in (*_listeners(generation).values(), *([VRRP_CONF] if generation.has(VRRP_CONF) else [])):
            self._keepalived.check(generation.path / path, self._namespace)
        if generation.has(FILTER_NFT):
            self._nft(generation.path / FILTER_NFT, check=True)

    def differences(self, generation: Generation) -> list[str]:
        """See `agent.apply.Beside`."""
        found = []
        for listener, path in _listeners(generation).items():
            if not self._lvs.running(listener):
                found.append(f"keepalived of listener {listener} would be started")
            elif self._lvs.config(listener) != generation.read(path):
                found.append(f"keepalived of listener {listener} would be reloaded")
        if generation.has(VRRP_CONF):
            if not self._vrrp.running():
                found.append("keepalived of VRRP would be started")
            elif self._vrrp_text() != generation.read(VRRP_CONF):
                found.append("keepalived of VRRP would be reloaded")
        return found

    def follow(self, generation: Generation, before: Generation | None) -> list[str]:
        """See `agent.apply.Beside`."""
        done = []
        wanted = _listeners(generation)
        if generation.has(FILTER_NFT):
            done += self._filter(generation.read(FILTER_NFT))
        for listener, path in wanted.items():
            text = generation.read(path)
            if not self._is(listener, text):
                self._lvs.upload(listener, text)
                done.append(self._lvs.start(listener))
        if before is not None:
            for listener in _listeners(before).keys() - wanted.keys():
                self._lvs.delete(listener)
                done.append(f"keepalived for listener {listener} ended")
        if not generation.has(FILTER_NFT):
            done += self._no_filter()
        done += self._follow_vrrp(generation, before)
        return done

    def end(self, generation: Generation | None) -> None:
        """Nothing of what `follow` has made remains. Raises AgentError, OSError."""
        if generation is not None:
            for listener in _listeners(generation):
                self._lvs.delete(listener)
            if generation.has(VRRP_CONF):
                self._vrrp.stop()
        self._no_filter()

    def put_back(self, generation: Generation) -> None:
        """See `agent.apply.Beside`."""
        put_back(generation, self._paths.certificates / self._lb)

    def _is(self, listener: str, text: bytes) -> bool:
        try:
            return self._lvs.running(listener) and self._lvs.config(listener) == text
        except NotFoundError:
            return False

    def _follow_vrrp(self, generation: Generation, before: Generation | None) -> list[str]:
        if generation.has(VRRP_CONF):
            text = generation.read(VRRP_CONF)
            if self._vrrp.running() and self._vrrp_text() == text:
                return []
            self._vrrp.upload(text)
            return [self._vrrp.start()]
        if before is not None and before.has(VRRP_CONF):
            self._vrrp.stop()
            return ["keepalived of VRRP ended"]
        return []

    def _vrrp_text(self) -> bytes | None:
        try:
            return self._vrrp.config()
        except NotFoundError:
            return None

    def _filter(self, text: bytes) -> list[str]:
        """The kernel forgets its tables at a reboot and with its namespace, and nobody else does; loading one again changes nothing."""
        place = self._paths.packet_filter(self._lb)
        fresh = not (place.is_file() and place.read_bytes() == text)
        if fresh:
            directory(place.parent)
        if fresh or not self._table_is_there(text):
            replace_file(place, text)
            self._nft(place)
        return ["packet filter replaced"] if fresh else []

    def _no_filter(self) -> list[str]:
        place = self._paths.packet_filter(self._lb)
        if not place.is_file():
            return []
        if table := _TABLE.search(place.read_bytes()):
            replace_file(place, b"table inet %b {}\ndelete table inet %b\n" % (table[1], table[1]))
            self._nft(place)
        remove_file(place)
        return ["packet filter removed"]

    def _table_is_there(self, text: bytes) -> bool:
        table = _TABLE.search(text)
        listed = self._runner.run(self._inside(["nft", "list", "table", "inet", table[1].decode()]), timeout=_PATIENCE) if table else None
        return listed is not None and listed.code == 0

    def _nft(self, file: Path, *, check: bool = False) -> None:
        done = self._runner.run(self._inside(["nft", *(["-c"] if check else []), "-f", str(file)]), timeout=_PATIENCE)
        if done.code != 0:
            if check:
                raise RejectedByKeepalived("nft does not take this packet filter", done.output)
            raise SystemFault(f"nft did not take {file}:\n{done.output.rstrip()}")

    def _inside(self, arguments: list[str]) -> list[str]:
        return list(command(self._namespace, arguments)) if self._namespace else arguments


def _listeners(generation: Generation) -> dict[str, str]:
    """Listener → the path of its keepalived's configuration."""
    found = {}
    for path in sorted((generation.path / "keepalived").glob("*.conf")) if generation.about.contract == "2.0" else []:
        if match := _LVS.fullmatch(f"keepalived/{path.name}"):
            found[match[1]] = f"keepalived/{path.name}"
    return found
