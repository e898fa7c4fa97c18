"""`hydria.cli.ending`: somebody wants an end, at any moment."""

from __future__ import annotations

import subprocess
import sys

#: A signal from elsewhere comes at any instruction of the thread that waits, so it is tried often.
ROUNDS = """
import os, random, signal, time
from hydria.cli.ending import ended_by_signals

signal.signal(signal.SIGINT, signal.SIG_IGN)
waiting, sender = os.getpid(), os.fork()
if not sender:
    while os.getppid() == waiting:
        time.sleep(random.random() / 1000)
        os.kill(waiting, signal.SIGINT)
    os._exit(0)
try:
    for _ in range(3000):
        with ended_by_signals() as ending:
            while not ending.wait(0.00001):
                pass
finally:
    os.kill(sender, signal.SIGKILL)
print("ended each time")
"""


def test_a_signal_ends_the_wait_whenever_it_comes() -> None:
    done = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "ended each time\n"), done.stderr[-2000:]
