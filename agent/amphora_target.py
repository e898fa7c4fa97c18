"""The machine that the agent is on, as the compiler's target: what is installed, how much there is, where things are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from agent.amphora_additions import nobodys_group
from agent.errors import GraphRefused
from agent.haproxy import Haproxy
from compiler.errors import ProblemError
from compiler.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.keepalived import Keepalived
    from agent.paths import Paths
    from agent.processes import Runner
    from agent.settings import LiveSettings
    from compiler.target import Version

#: What nobody but the machine itself can say.
_OURS = frozenset({"haproxy", "keepalived", "run_directory", "check_command"})
_MOST_CPUS = 64
#: Bytes of the machine's memory for each connection that HAProxy is told of: one whose buffers are empty takes about as much, with the
#: kernel's for its two sockets. HAProxy takes some 130 bytes for each of them when it starts (128 MiB for a million), and again when it reloads.
_OF_A_CONNECTION = 16 * 1024
_MOST_CONNECTIONS = Target().maxconn


class AmphoraTarget:
    """`memory()` gives the machine's, in bytes."""

    def __init__(self, settings: LiveSettings, paths: Paths, keepalived: Keepalived, runner: Runner, memory: Callable[[], int]) -> None:
        self._settings = settings
        self._paths = paths
        self._keepalived = keepalived
        self._runner = runner
        self._memory = memory
        self._known: tuple[int, Version] | None = None

    def target(self, hints: Mapping[str, Any]) -> Target:
        """The target, with what a caller says of it. Raises GraphRefused; ProgramMissing, SystemFault."""
        settings = self._settings.current
        memory = self._memory()
        own: dict[str, Any] = {
            "haproxy": ".".join(map(str, self._haproxy())),
            "keepalived": self._keepalived.version,
            "cpus": min(os.cpu_count() or 1, _MOST_CPUS),
            "memory": memory,
            "maxconn": max(1, min(_MOST_CONNECTIONS, memory // _OF_A_CONNECTION)),
            "run_directory": str(self._paths.run),
            "user": "nobody",
            "group": nobodys_group(),
            "check_command": str(self._paths.ping_script),
            "topology": settings.loadbalancer_topology,
            "amphora": settings.amphora_id,
        }
        if foreign := _OURS & hints.keys():
            raise GraphRefused(
                "the target cannot be used", [_problem(name, "is the machine's own and cannot be given") for name in foreign]
            )
        try:
            return Target.read(msgspec.json.encode(own | dict(hints)))
        except ProblemError as error:
            raise GraphRefused("the target cannot be used", [msgspec.to_builtins(problem) for problem in error.problems]) from error

    def _haproxy(self) -> Version:
        """Of the program that is installed now: a package may have been upgraded."""
        binary = self._settings.current.haproxy_cmd
        changed = binary.stat().st_mtime_ns
        if self._known is None or self._known[0] != changed:
            self._known = changed, Haproxy(binary, self._runner).version
        return self._known[1]


def _problem(name: str, message: str) -> dict[str, Any]:
    return {"severity": "error", "path": f"target.{name}", "code": "invalid-target", "message": message}
