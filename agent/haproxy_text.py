"""What a HAProxy configuration says, as far as the agent must know: which listeners there are, whether a group is named.

It reads what Octavia's controllers write; it does not judge it (`haproxy -c` does) and never changes it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from agent.identifiers import is_object_id

#: What opens a section (configuration manual 2.1, 3, 4): nothing is indented for HAProxy, but everything else is for people.
_SECTIONS = frozenset(
    ("global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "userlist", "mailers", "cache", "program", "ring")
)
_COMMENT = re.compile(r"(?:^|\s)#.*")


class Frontend(NamedTuple):
    """A frontend by its name; `type` is the listener's protocol as Octavia's agent tells it: HTTP, TCP or TERMINATED_HTTPS."""

    name: str
    type: str


class HaproxyText(NamedTuple):
    """`user` and `group`: whether the global section names one."""

    user: bool
    group: bool
    frontends: tuple[Frontend, ...]


def read(text: bytes) -> HaproxyText:
    """What it says. A frontend whose name is no id is the controller's own and not told of."""
    section, name = "", ""
    words_of_global: set[str] = set()
    types: dict[str, str] = {}
    for line in text.decode(errors="replace").splitlines():
        words = _COMMENT.sub("", line).split()
        if not words:
            continue
        if words[0] in _SECTIONS:
            section, name = words[0], words[1] if len(words) > 1 else ""
            if section == "frontend" and is_object_id(name):
                types[name] = "TCP"
        elif section == "global":
            words_of_global.add(words[0])
        elif section == "frontend" and name in types:
            if words[0] == "mode" and len(words) > 1 and types[name] != "TERMINATED_HTTPS":
                types[name] = words[1].upper()
            elif words[0] == "bind" and "ssl" in words and {"crt", "crt-list"} & set(words):
                types[name] = "TERMINATED_HTTPS"
    return HaproxyText("user" in words_of_global, bool({"group", "gid"} & words_of_global), tuple(map(Frontend, types, types.values())))
