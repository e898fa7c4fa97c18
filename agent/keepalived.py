"""`Keepalived`: one installed keepalived. Which version it is, and whether it would take a configuration."""

from __future__ import annotations

import re
import shutil
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agent.errors import ProgramMissing, RejectedByKeepalived, SystemFault
from agent.processes import ENVIRONMENT, LocalRunner, Runner

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds.
_DEADLINE = 30.0

#: What `keepalived -t` counts as errors and Octavia's configurations cannot do without: they name a script without saying who may change
#: it, and a password where VRRP version 3, which IPv6 needs, has none; a host route of theirs has a word too many, and keepalived runs
#: without the route.
_HARMLESS = re.compile(
    r"SECURITY VIOLATION - (check )?scripts are being executed but script_security not enabled"
    r"|does not support authentication"
    r"|VRRP parsed invalid IP gateway\. skipping IP|unknown route keyword gateway$"
)


class Keepalived:
    """The keepalived at `binary`."""

    def __init__(self, binary: Path, runner: Runner | None = None) -> None:
        self.binary = binary
        self._runner = runner or LocalRunner()
        # It looks for `amphora-health-checker`, which lies where Python does.
        self._start = ("/usr/bin/env", f"PATH={ENVIRONMENT['PATH']}:{Path(sys.executable).parent}", str(binary))

    @classmethod
    def find(cls, runner: Runner | None = None) -> Self:
        """The first on the path that all programs get. Raises ProgramMissing."""
        found = shutil.which("keepalived", path=ENVIRONMENT["PATH"])
        if found is None:
            raise ProgramMissing("keepalived is not installed; on Debian and Ubuntu: apt-get install keepalived")
        return cls(Path(found), runner)

    @cached_property
    def _itself(self) -> str:
        """What it tells of itself."""
        return self._runner.run([str(self.binary), "--version"], timeout=_DEADLINE).output

    @cached_property
    def version(self) -> str:
        """As `keepalived --version` says it: "2.2.7". Raises SystemFault where that does not look like keepalived."""
        match = re.match(r"Keepalived v(\d+(?:\.\d+)+)", self._itself)
        if match is None:
            raise SystemFault(f"{self.binary} --version does not answer as keepalived does: {self._itself.strip()[:200]!r}")
        return match[1]

    def check(self, file: Path, namespace: str | None) -> None:
        """Raises RejectedByKeepalived where it finds something wrong with a configuration for this network namespace."""
        # With a script that another user is to run, `keepalived -t` takes itself for a child whose parent has died, and ends itself by SIGTERM.
        deaf = [self._start[0], "--ignore-signal=TERM", *self._start[1:]]
        finished = self._runner.run([*deaf, "-t", *_entering(namespace), "-f", str(file)], timeout=_DEADLINE)
        complaints = [line for line in finished.output.splitlines() if line.strip() and not _HARMLESS.search(line)]
        if finished.code != 0 and complaints:
            raise RejectedByKeepalived("keepalived does not take this configuration", "\n".join(complaints))

    def command(self, arguments: Sequence[str], file: Path, namespace: str | None) -> tuple[str, ...]:
        """How it is run in the foreground, saying what it does."""
        # Each that could speak BFD locks one file while it starts, and ends where another one that starts at the same time has done so.
        without_bfd = ("-B",) if re.search(r"^Config options:.* BFD\b", self._itself, re.MULTILINE) else ()
        return (*self._start, "-n", "-l", "-G", *without_bfd, *arguments, *_entering(namespace), "-f", str(file))


def _entering(namespace: str | None) -> tuple[str, ...]:
    """The arguments that put this namespace in the place of the one which a configuration names."""
    return () if namespace is None else ("-s", namespace)
