"""`Haproxy`: one installed HAProxy. Which version it is, and whether it would take a bundle."""

from __future__ import annotations

import os
import re
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from agent.errors import ProgramMissing, SystemFault
from agent.processes import LocalRunner, Runner
from compiler.bundle import HAPROXY_CFG
from compiler.target import Version, parse_version

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where distributions put haproxy; not on everybody's PATH.
_SYSTEM_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin")

#: Seconds. Parsing takes milliseconds; thousands of certificates, or names that must be resolved, take longer.
_VERSION_DEADLINE = 10.0
_CHECK_DEADLINE = 60.0


class CheckResult(NamedTuple):
    """Whether HAProxy would start with a configuration, and what it said about it: complaints, warnings, also when all is well."""

    ok: bool
    output: str


class Haproxy:
    """The HAProxy at `binary`."""

    def __init__(self, binary: Path, runner: Runner | None = None) -> None:
        self.binary = binary
        self._runner = runner or LocalRunner()

    @classmethod
    def find(cls, directories: Sequence[str] | None = None, runner: Runner | None = None) -> Self:
        """The first haproxy in `directories`; without these, on the PATH and where distributions put it. Raises ProgramMissing."""
        if directories is None:
            directories = (*os.environ.get("PATH", "").split(os.pathsep), *_SYSTEM_DIRECTORIES)
        found = shutil.which("haproxy", path=os.pathsep.join(directories))
        if found is None:
            raise ProgramMissing(
                "haproxy is not installed (looked in "
                + ", ".join(dict.fromkeys(filter(None, directories)))
                + "); install the package `haproxy`, on Debian and Ubuntu with: apt-get install haproxy"
            )
        return cls(Path(found).absolute(), runner)

    @cached_property
    def version(self) -> Version:
        """As `haproxy -v` says it: (2, 6, 12). Raises SystemFault where that does not look like HAProxy."""
        code, output = self._runner.run([str(self.binary), "-v"], timeout=_VERSION_DEADLINE)
        match = re.match(r"HA-?Proxy version (\d+(?:\.\d+)+)", output)
        if code != 0 or match is None:
            raise SystemFault(f"{self.binary} -v does not answer as HAProxy does: {output.strip()[:200]!r}")
        return parse_version(match[1])

    def check(self, directory: Path) -> CheckResult:
        """What `haproxy -c` says of the bundle in `directory`. Raises SystemFault when it does not come to a verdict."""
        finished = self._runner.run([str(self.binary), "-c", *loading(directory)], timeout=_CHECK_DEADLINE)
        return CheckResult(finished.code == 0, finished.output)


def loading(directory: Path) -> list[str]:
    """The arguments with which HAProxy loads the bundle at `directory`; absolute, because it loads it again at each reload.

    The bundle is the working directory too: HAProxy 2.6 looks there, not where `default-path` says, for a server's `crt`.
    """
    bundle = directory.absolute()
    return ["-C", str(bundle), "-f", str(bundle / HAPROXY_CFG)]
