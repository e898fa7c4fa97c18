"""Whether a lab can be made on this machine, and if not, why: in words for whoever wants one."""

from __future__ import annotations

import os
import shutil
import subprocess

from agent.processes import ENVIRONMENT

#: Program → the Debian package that brings it.
_PROGRAMS = {
    "haproxy": "haproxy",
    "keepalived": "keepalived",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}


def why_not() -> str | None:
    """The reason why no lab can be made here; None where one can."""
    if os.geteuid() != 0:
        return "it needs root: namespaces are made of it"
    missing = {package for program, package in _PROGRAMS.items() if shutil.which(program, path=ENVIRONMENT["PATH"]) is None}
    if missing:
        return f"{', '.join(sorted(missing))} is not installed"
    kinds = ("--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--propagation", "unchanged")
    tried = subprocess.run(["/usr/bin/env", "unshare", *kinds, "true"], capture_output=True, text=True, check=False, env={**ENVIRONMENT})
    return None if tried.returncode == 0 else f"namespaces cannot be had here: {tried.stderr.strip()}"
