#!/usr/bin/python3
"""The first program of a kernel that has IPVS: makes it a machine for tests, then has the tests' own Python tell the story (`lvs_agent_story.py`).

What is written below /run, /var/lib and /var/log stays in the guest.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
from pathlib import Path

from ipvs_guest import LIBC, as_first_process, load_modules, mount

MS_BIND = 4096
NEEDED = (
    *(f"ip_vs{name}" for name in ("", "_rr", "_wrr", "_wlc", "_sh", "_mh")),
    *("sctp", "hmac", "veth", "bridge", "dummy"),
    *(f"{family}table_{table}" for family in ("ip", "ip6") for table in ("raw", "filter", "nat")),
    *("xt_MASQUERADE", "xt_tcpudp", "xt_sctp", "xt_conntrack"),
)


def tmpfs(where: str) -> None:
    if LIBC.mount(b"tmpfs", where.encode(), b"tmpfs", 0, b"mode=755"):
        raise OSError(ctypes.get_errno(), f"tmpfs cannot be mounted on {where}")


def bind(source: Path, where: Path) -> None:
    """In this kernel alone: the file itself stays as it is."""
    if LIBC.mount(bytes(source), bytes(where), None, MS_BIND, None):
        raise OSError(ctypes.get_errno(), f"{source} cannot be mounted on {where}")


def main() -> None:
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    for place in ("/run", "/var/lib", "/var/log"):
        tmpfs(place)
    load_modules(NEEDED)
    asked = json.loads(Path(os.environ["HYDRIA_ASKED"]).read_text())
    bind(Path(asked["root"], "hydria/lab/uml_nft.py"), Path("/usr/sbin/nft"))
    os.environ["PATH"] = f"{Path(asked['python']).parent}:{os.environ['PATH']}"
    os.environ["PYTHONPATH"] = ":".join(str(Path(asked["root"], each)) for each in ("tests", "tests/real"))
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536))
    story = Path(__file__).with_name("lvs_agent_story.py")
    done = subprocess.run([asked["python"], str(story)], cwd=asked["root"], capture_output=True, text=True, check=False)
    if done.returncode:
        Path(os.environ["HYDRIA_ANSWERED"]).write_text(json.dumps({"error": (done.stdout + done.stderr)[-8000:]}))


if __name__ == "__main__":
    as_first_process(main)
