"""docs/user-guide.md as a program: its sections, the commands in their console blocks, what these are shown to print. Pure.

A command stands after `# `, and goes on in the next line after a `\\`. What follows is what a terminal shows then. There, an id is any id, but everywhere
the same one; a time is any time; a line `…` is any number of lines, and `…` in a line anything.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STEP = re.compile(r"^# ((?:.*\\\n)*.*)\n((?:(?!# ).*\n)*)", re.MULTILINE)
#: What only looks at something, so that it can be said again until it has come about: nothing that is kept in a file, a variable or another process.
_LOOK = re.compile(r"(?:openstack(?: \w+)+ (?:list|show)|who|code|client|secure|look|echo)(?: (?!.* > )(?!.*&$).*)?")


class Step(NamedTuple):
    """A command and what the page shows it to print."""

    command: str
    shown: str

    @property
    def looks(self) -> bool:
        """Whether it changes nothing."""
        return _LOOK.fullmatch(self.command.replace("\\\n", "")) is not None


def sections(text: str) -> dict[str, list[Step]]:
    """Heading → commands, of sections that have any."""
    found = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, _, rest = part.partition("\n")
        if steps := [Step(*step) for block in _BLOCK.findall(rest) for step in _STEP.findall(block)]:
            found[heading] = steps
    return found


def options(text: str) -> dict[str, set[str]]:
    """Command → the options that a table below its own heading (`### openstack …`) is about."""
    parts = re.split(r"^###? ", text, flags=re.MULTILINE)[1:]
    tables = {part.partition("\n")[0].strip("`"): re.findall(r"^\| ([^|]*) \|", part, re.MULTILINE) for part in parts}
    return {
        heading.removeprefix("openstack "): {option for cell in cells for option in re.findall(r"--[a-z][a-z0-9-]*", cell)}
        for heading, cells in tables.items()
        if heading.startswith("openstack ")
    }


def commands(text: str) -> list[str]:
    """What the table of commands tells of: `loadbalancer …`, without `openstack`."""
    return re.findall(r"`(loadbalancer(?: [a-z0-9]+)+)`", text.partition("## All commands")[2].partition("\n## ")[0])


class Ids:
    """Which ids of a page stand for which that there are."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def real(self, command: str) -> str:
        """A command of the page, with the ids that there are."""
        return _UUID.sub(lambda found: self._real.get(found[0], found[0]), command)

    def shown(self, printed: str) -> str:
        """What is printed, with the ids of the page."""
        known = {other: one for one, other in self._real.items()}
        return _UUID.sub(lambda found: known.get(found[0], found[0]), printed)

    def matches(self, shown: str, printed: str) -> bool:
        """Whether this is what the page shows; ids that were not known are from now on."""
        found = re.fullmatch(_pattern(shown), printed)
        if found is None:
            return False
        pairs = list(zip(_UUID.findall(shown), _UUID.findall(printed), strict=False)) if "…" not in shown else []
        merged = {**dict(pairs), **self._real}
        if any(merged[one] != other for one, other in pairs) or len(set(merged.values())) != len(merged):
            return False
        self._real = merged
        return True


def _pattern(shown: str) -> str:
    """A regular expression for what the page shows."""
    text = re.escape(_TIME.sub("@time@", _UUID.sub("@id@", shown)))
    text = re.sub(r"^…\\\n", r"(?:.*\\n)*", text, flags=re.MULTILINE).replace("…", ".*")
    # A time has fractions of a second, which are not always there: tables are as wide as their cells.
    return text.replace("@id@", _UUID.pattern).replace("@time@", _TIME.pattern)
