"""What the real programs say of a bundle; "" is what it should be."""

from __future__ import annotations

import re
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support.namespaces import Namespace, join

from agent import bundle_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.haproxy import Haproxy
    from compiler import File


@contextmanager
def amphora() -> Iterator[Namespace]:
    """A machine with an `eth1`, which keepalived wants to be there for a VRRP instance; and with a cable to somebody else."""
    with Namespace("amphora") as machine, Namespace("other") as other:
        join(machine, "eth1", other, "eth1")
        machine.ip("address add 203.0.113.2/24 dev eth1")
        yield machine


def haproxy_says(haproxy: Haproxy, files: Mapping[str, File]) -> str:
    """Complaints and warnings of `haproxy -c`."""
    with tempfile.TemporaryDirectory(prefix="hydria-") as directory:
        bundle_directory.write(dict(files), Path(directory, "bundle"))
        checked = haproxy.check(Path(directory, "bundle"))
    # HAProxy 3.0 counts this machine's processors, which are not the target's.
    lines = [line for line in checked.output.splitlines() if "threads running on a total of" not in line]
    said = "\n".join(line for line in lines if line.startswith(("[WARNING]", "[ALERT]")))
    return said if checked.ok else said or "refused without a word"


def others_say(machine: Namespace, files: Mapping[str, File]) -> str:
    """What `keepalived -t` and `nft -c` say, with the files that they say it of."""
    said = []
    with tempfile.TemporaryDirectory(prefix="hydria-") as directory, machine.entered():
        bundle_directory.write(dict(files), Path(directory, "bundle"))
        for directories in re.findall(rb'file "(/[^"]*)/[^"/]*"', b"".join(file.content for file in files.values())):
            Path(directories.decode()).mkdir(parents=True, exist_ok=True)  # keepalived 2.3 wants the directory of a tracked file
        for path, file in files.items():
            if path.endswith((".conf", ".nft")):
                command = ["keepalived", "-t", "-f"] if path.endswith(".conf") else ["nft", "-c", "-f"]
                checked = subprocess.run(
                    [*command, Path(directory, "bundle", path)], capture_output=True, text=True, timeout=60, check=False
                )
                if checked.returncode or checked.stdout or checked.stderr:
                    said.append(f"{path}: {checked.returncode} {checked.stdout}{checked.stderr}\n{file.content.decode()}")
    return "\n".join(said)
