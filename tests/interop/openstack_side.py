"""The `openstack` command without its start, which takes seconds: `python openstack_side.py SOCKET` has imported the client, and forks for each command.

What runs is the client as it is: its own entry, with the arguments, environment, directory and open files of whoever asks. `STUB` is who asks.
"""

from __future__ import annotations

import array
import importlib
import io
import json
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any, NoReturn

#: A program that asks at the socket in its place of `{socket}`, with the interpreter in that of `{python}`.
STUB = """#!{python} -IS
import array, json, os, socket, sys
asking = socket.socket(socket.AF_UNIX)
asking.connect({socket!r})
told = json.dumps([sys.argv, dict(os.environ), os.getcwd()]).encode()
asking.sendmsg([len(told).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
asking.sendall(told)
sys.exit(int(asking.recv(16) or b"1"))
"""
#: Imports all commands, and what they need; nothing is asked.
_FIRST = ["loadbalancer", "list", "--help"]
#: What else they need when they ask.
_NEEDED = ("openstack.load_balancer.v2._proxy", "openstack.network.v2._proxy", "openstack.identity.v3._proxy")


def serve(place: str) -> NoReturn:
    """Runs commands for ever, several at once where they are asked for at once."""
    sys.argv[0] = "openstack"  # what it calls itself
    shell = importlib.import_module("openstackclient.shell")
    for name in _NEEDED:
        importlib.import_module(name)
    with suppress(SystemExit), redirect_stdout(io.StringIO()):
        shell.main(_FIRST)
    # Of that first command, which would tell everything a second time.
    logging.getLogger().handlers.clear()
    listener = socket.socket(socket.AF_UNIX)
    # Whoever waits for the name may connect.
    listener.bind(f"{place}.new")
    listener.listen(16)
    Path(f"{place}.new").rename(place)
    while True:
        asking = listener.accept()[0]
        size, given, _, _ = asking.recvmsg(4, socket.CMSG_LEN(3 * array.array("i").itemsize))
        files = array.array("i", given[0][2])
        told = asking.makefile("rb").read(int.from_bytes(size, "big"))
        if (pid := os.fork()) == 0:
            listener.close()
            _run(shell, files, *json.loads(told))
        for each in files:
            os.close(each)
        threading.Thread(target=_answer, args=(asking, pid), daemon=True).start()


def _answer(asking: socket.socket, pid: int) -> None:
    """Tells how a command has ended, to whoever still wants to know."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with asking, suppress(OSError):
        asking.sendall(str(code & 0xFF).encode())


def _run(shell: Any, files: array.array[int], arguments: list[str], environment: dict[str, str], directory: str) -> NoReturn:
    code = 1
    try:
        for number, each in enumerate(files):
            os.dup2(each, number)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(directory)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        sys.argv = arguments
        code = shell.main(arguments[1:])
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    serve(sys.argv[1])
