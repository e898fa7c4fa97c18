"""What a new worker is to know of the servers: `show servers state` without what commands of ours have left in the old one.

HAProxy takes a server's weight and forced state from such a file before the configuration's, so that what somebody set by hand outlives a
reload (configuration manual 4.2 `load-server-state-from-file`). What we set is in the configuration itself, which has moved on since.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compiler.changes import Command

#: What a command is about, by its word: what is said of the server afterwards.
_SET = re.compile(r"set server (\S+) (\S+)")
#: Bits of `srv_admin_state`: maintenance and drain that were forced (management guide 9.3 "show servers state").
_FORCED = 0x01 | 0x08

#: Server, as backend/server → the words of the commands that changed it.
Touched = dict[str, list[str]]


def touched(commands: Iterable[Command], before: Mapping[str, list[str]]) -> Touched:
    """The servers that were changed before, and those that these commands change."""
    found = {name: list(words) for name, words in before.items()}
    for command in commands:
        if match := _SET.match(command.text):
            words = found.setdefault(match[1], [])
            if match[2] not in words:
                words.append(match[2])
    return found


def without(state: bytes, changed: Mapping[str, list[str]]) -> bytes | None:
    """The state as it may be kept; None for what is none."""
    if not re.match(rb"\d+\n# ", state):
        return None
    head, _, rest = state.partition(b"\n")
    names, *rows = rest.split(b"\n")
    columns = {name: number for number, name in enumerate(names.decode().removeprefix("# ").split())}
    kept = [row if not row.strip() else _kept(row.decode("latin-1").split(" "), columns, changed) for row in rows]
    return b"\n".join([head, names, *(row for row in kept if row is not None)])


def _kept(row: list[str], columns: Mapping[str, int], changed: Mapping[str, list[str]]) -> bytes | None:
    words = changed.get(f"{row[columns['be_name']]}/{row[columns['srv_name']]}")
    if words is not None:
        if "addr" in words or int(row[columns["srv_admin_state"]]) & _FORCED:
            return None
        if "weight" in words:
            row[columns["srv_uweight"]] = row[columns["srv_iweight"]]
    return " ".join(row).encode("latin-1")
