"""A kernel of our own for as long as a test needs it: user-mode Linux on this machine's files, whose first program is the test's.

It has what the kernel here may not have (IPVS, SCTP); it has no nftables for IP. What it writes, it writes to this machine's files: a guest
mounts something else where that is not meant.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

_XSTATE = Path(__file__).parents[1] / "real" / "ipvs_xstate.c"
#: Seconds; no guest takes more than a minute on a machine that has nothing else to do.
_DEADLINE = 500.0


def boot(directory: Path, asked: dict[str, Any], guest: Path, *, memory: str = "512M") -> dict[str, Any]:
    """What `guest`, a program, answered to `asked`: the file that HYDRIA_ASKED names has the question, HYDRIA_ANSWERED that for the answer."""
    linux = shutil.which("linux.uml", path=f"{os.environ.get('PATH', '')}:/usr/bin")
    assert linux, "user-mode Linux is needed: apt-get install user-mode-linux ipvsadm iptables"
    asked_file, answer_file, preload = directory / "asked.json", directory / "answered.json", directory / "xstate.so"
    asked_file.write_text(json.dumps(asked))
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", preload, _XSTATE], check=True)
    command = [
        *(linux, f"mem={memory}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "quiet"),
        *("con=null", "con0=null,fd:1", f"uml_dir={directory}/", f"init={guest}"),
        *(f"HYDRIA_ASKED={asked_file}", f"HYDRIA_ANSWERED={answer_file}"),
    ]
    environment = {"TMPDIR": "/dev/shm", "HOME": str(directory), "LD_PRELOAD": str(preload)}  # where its memory is
    console = directory / "console"
    # A kernel is several processes, all in its session.
    with (
        console.open("wb") as output,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
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
