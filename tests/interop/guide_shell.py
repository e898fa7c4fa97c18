"""The shell in which a page's commands are said, one after the other: a user's, with `openstack` and `hydria` in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import openstack_side
from guide_page import Ids
from octavia_process import PYTHON
from support.polling import eventually

if TYPE_CHECKING:
    from guide_page import Step

#: Seconds until what a page shows has come about, and between two looks.
_PATIENCE, _BETWEEN = 90.0, 0.5
#: How Octavia refuses a change while another one is under way.
_LATER = re.compile("is immutable and cannot be updated|Invalid state PENDING_")
_END = "@@ end @@"
#: What a page shows where it does not say yet what is printed.
UNKNOWN = "?\n"


class Answer(NamedTuple):
    """What a command has printed, errors among it, and its exit code."""

    printed: str
    code: int


class Shell:
    """A bash with its files in `directory`, for the lab of this name, whether that is there yet or not. A context manager."""

    def __init__(self, directory: Path, lab: str) -> None:
        self._ids = Ids()
        programs, place, work = directory / "bin", directory / "openstack.sock", directory / "work"
        programs.mkdir()
        work.mkdir()
        stub = programs / "openstack"
        stub.write_text(openstack_side.STUB.format(python=PYTHON, socket=str(place)))
        stub.chmod(0o755)
        (programs / "hydria").symlink_to(Path(sys.executable).with_name("hydria"))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OS_", "PYTHON", "VIRTUAL_ENV"))}
        own = {"PATH": f"{programs}:{kept['PATH']}:/usr/sbin:/sbin", "HYDRIA_LAB": lab, "HYDRIA_OCTAVIA_PYTHON": str(PYTHON)}
        self._client = subprocess.Popen([PYTHON, openstack_side.__file__, str(place)], env=kept)
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=work,
            text=True,
            env={**kept, **own},
        )
        try:
            eventually(place.exists, "a client", _PATIENCE)
        except AssertionError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the shell and the client, not what they have made."""
        for process in (self._shell, self._client):
            process.kill()
            process.wait()
        for pipe in (self._shell.stdin, self._shell.stdout):
            if pipe is not None:
                pipe.close()

    def run(self, command: str) -> Answer:
        """Says a command. It has nothing to read."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f'{{ {command}\n}} </dev/null\necho "{_END}$?"\n')
        self._shell.stdin.flush()
        lines: list[str] = []
        for line in self._shell.stdout:
            if _END in line:
                last, _, code = line.partition(_END)
                return Answer("".join([*lines, last]), int(code))
            lines.append(line)
        raise AssertionError(f"the shell has ended at {command}: {''.join(lines)}")

    def follow(self, step: Step) -> Answer:
        """Does as a reader does: looks until it is as the page shows it, says once more what Octavia has no time for; the last answer."""
        command = self._ids.real(step.command)
        until = time.monotonic() + _PATIENCE
        while True:
            answer = self.run(command)
            again = (step.looks and step.shown != UNKNOWN) or _LATER.search(answer.printed) is not None
            if self.as_shown(step, answer):
                return answer
            if not again or time.monotonic() > until:
                return answer
            time.sleep(_BETWEEN)

    def to_show(self, answer: Answer) -> str:
        """What the page can show where it does not say yet what is printed: what was printed, with the page's ids."""
        shown = self._ids.shown(answer.printed)
        assert self._ids.matches(shown, answer.printed)
        return shown

    def as_shown(self, step: Step, answer: Answer) -> bool:
        """Whether a command has printed what the page shows. What shows nothing must not fail."""
        return self._ids.matches(step.shown, answer.printed) and (answer.code == 0 or step.shown != "")
