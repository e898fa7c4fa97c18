"""Files that a configuration names and that lie outside of it: what was in them when HAProxy loaded it.

A controller of the 1.0 contract replaces certificates in place, one call each. What is to be done about one that has changed can be known
only by what HAProxy has of it; and a configuration that shall serve again needs the certificates that it served with.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.configuration import directory
from agent.files import replace_file
from compiler.haproxy_file import UnreadableFile
from compiler.plan import Files

if TYPE_CHECKING:
    from agent.generations import Generation

#: Bytes of a file; larger ones are not remembered, so that a change in what names them is a reload.
_LARGEST = 4 * 1024 * 1024
#: A crt-list names certificates, which name nothing: what is named is found in a few rounds.
_ROUNDS = 4


def named(text: bytes) -> dict[str, bytes]:
    """Name → content of the files on this machine that a configuration names, in it and in the lists that it names."""
    contents: dict[str, bytes] = {}
    seen: set[str] = set()
    for _ in range(_ROUNDS):
        try:
            missing = Files(text, contents).missing() - seen
        except UnreadableFile:
            return {}
        if not missing:
            break
        for name in sorted(missing):
            seen.add(name)
            path = Path(name)
            if path.is_absolute() and path.is_file() and path.stat().st_size <= _LARGEST:
                contents[name] = path.read_bytes()
    return contents


def put_back(generation: Generation, below: Path) -> None:
    """Has the files below a directory that the generation names be what they were when it was loaded. Raises OSError."""
    for name, kept in generation.about.named.items():
        path, content = Path(name), generation.read(kept)
        if path.is_relative_to(below) and ".." not in path.parts and not (path.is_file() and path.read_bytes() == content):
            directory(path.parent, 0o700)
            replace_file(path, content, 0o600)
