"""How much text is read, and how a place in it is told: what the readers of JSON and of YAML share."""

from __future__ import annotations

from typing import NamedTuple

#: Bytes of YAML and of JSON that are read at most: what takes about a second, right or wrong. YAML is for people; what is larger (some
#: 40 000 members) is better written as JSON, which is read sixty times as fast.
YAML_LIMIT = 4 * 1024**2
JSON_LIMIT = 64 * 1024**2
#: Levels of nesting (a graph has about ten) and values, after all YAML aliases are followed: an empty list takes 64 bytes of memory.
DEPTH_LIMIT = 64
VALUES_LIMIT = 5_000_000


class Place(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


# What both kinds of text are reduced to: ("{" | "[" | "}" | "]" | "value", text, place); text only for scalars, which may be keys.
Token = tuple[str, str, Place]
