"""A kernel of our own for as long as a test needs it: user-mode Linux on this machine's files, whose first program is the test's.

It has what the kernel here may not have (IPVS, SCTP); it has no nftables for IP. What it writes, it writes to this machine's files: a guest
mounts something else where that is not meant.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hydria.lab import uml

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds; no guest takes more than a minute on a machine that has nothing else to do.
_DEADLINE = 500.0


def boot(directory: Path, asked: dict[str, Any], guest: Path, *, memory: str = "512M") -> dict[str, Any]:
    """What `guest`, a program, answered to `asked`: the file that HYDRIA_ASKED names has the question, HYDRIA_ANSWERED that for the answer."""
    assert uml.why_not() is None, "user-mode Linux is needed: apt-get install user-mode-linux ipvsadm iptables"
    asked_file, answer_file = directory / "asked.json", directory / "answered.json"
    asked_file.write_text(json.dumps(asked))
    words = {"HYDRIA_ASKED": str(asked_file), "HYDRIA_ANSWERED": str(answer_file)}
    command = [*uml.on_our_files(memory, str(guest), words), f"uml_dir={directory}/"]
    console = directory / "console"
    # A kernel is several processes, all in its session.
    with (
        console.open("wb") as output,
        subprocess.Popen(
            command, env=uml.environment(directory), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        ) as kernel,
    ):
        try:
            kernel.wait(_DEADLINE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(kernel.pid, signal.SIGKILL)
    assert answer_file.exists(), f"the kernel did not answer:\n{console.read_text(errors='replace')}"
    answer: dict[str, Any] = json.loads(answer_file.read_text())
    return answer
