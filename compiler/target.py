"""The machine that a configuration is made for, as an input; and the one table of what which version can do.

A target is never looked up: whoever knows the machine (the agent, the command, a test) says what it is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from compiler.errors import ProblemError
from compiler.problems import Problem, did_you_mean

Version = tuple[int, ...]


class Feature(StrEnum):
    """What not every supported version of HAProxy can do. The value is what a message calls it."""

    BALANCE_HASH = "balancing by an expression (`balance hash`)"
    GUID = "stable names for statistics (`guid`)"
    HASH_KEY = "a choice of the consistent hash's key (`hash-key`)"


#: Feature → the first HAProxy that has it. The only place that knows.
FIRST_HAPROXY: dict[Feature, Version] = {
    Feature.BALANCE_HASH: (2, 6),
    Feature.HASH_KEY: (3, 0),
    Feature.GUID: (3, 0),
}


def first_with(feature: Feature) -> str:
    """The first version that has the feature, as text."""
    return ".".join(map(str, FIRST_HAPROXY[feature]))


#: The HAProxy branches that Hydria is tested with, oldest first; anything older than the first is refused.
SUPPORTED_HAPROXY: tuple[Version, ...] = ((2, 6), (2, 8), (3, 0), (3, 2))


class Topology(StrEnum):
    """Octavia's `loadbalancer_topology`."""

    SINGLE = "SINGLE"
    ACTIVE_STANDBY = "ACTIVE_STANDBY"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What the output is resolved for.

    `haproxy`, `keepalived`: versions. `cpus`: threads of HAProxy. `memory`: bytes that HAProxy may use, None for no check.
    `run_directory`: absolute; holds the sockets. `user`, `group`: whom HAProxy becomes, None to stay who it is.
    `bind_address`: binds here in place of the VIPs; `port_offset`: added to every listener's port (both for trying a graph on
    any machine). `maxconn`: connections of the whole process. `log`: HAProxy's log target (`/dev/log`, `stdout`, `10.0.0.1:514`), None for none. `hard_stop_after`: seconds that an old worker may
    go on with its connections after a reload, `max_reloads`: reloads that it may see; then it ends.
    """

    haproxy: Version = (2, 6)
    keepalived: Version = (2, 2, 7)
    cpus: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    memory: int | None = None
    topology: Topology = Topology.SINGLE
    role: Literal["MASTER", "BACKUP"] = "MASTER"
    run_directory: str = "/run/hydria"
    user: str | None = "nobody"
    group: str | None = "nogroup"
    bind_address: str | None = None
    port_offset: int = 0
    maxconn: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 1_000_000
    log: str | None = "/dev/log"
    hard_stop_after: Annotated[int, msgspec.Meta(ge=1, le=2_147_483)] = 3600
    max_reloads: Annotated[int, msgspec.Meta(ge=1)] = 50

    def has(self, feature: Feature) -> bool:
        """Whether the target's HAProxy can do this."""
        return self.haproxy >= FIRST_HAPROXY[feature]

    @classmethod
    def parse(cls, text: str) -> Target:
        """Reads the command line's form, `haproxy=3.0,cpus=4,mem=2G`; raises ProblemError with everything that is wrong in it."""
        values: dict[str, object] = {}
        problems: list[Problem] = []
        for item in filter(None, (part.strip() for part in text.split(","))):
            key, _, value = item.partition("=")
            key = _ALIASES.get(key, key)
            reader = _READERS.get(key)
            if reader is None:
                known = sorted(_READERS)
                problems.append(_problem(key, f"unknown key {key!r}; known: {', '.join(known)}", did_you_mean(key, known)))
                continue
            try:
                values[key] = reader(value)
            except ValueError as error:
                problems.append(_problem(key, f"{value!r} given: {error}"))
        if not problems:
            try:
                target = msgspec.convert(values, cls)
            except msgspec.ValidationError as error:
                problems.append(_problem("", str(error)))
            else:
                problems.extend(target.problems())
        if problems:
            raise ProblemError(problems)
        return target

    def problems(self) -> list[Problem]:
        """What makes this target unusable; empty when it is fine."""
        found = []
        if self.haproxy < SUPPORTED_HAPROXY[0]:
            oldest = ".".join(map(str, SUPPORTED_HAPROXY[0]))
            found.append(_problem("haproxy", f"version {'.'.join(map(str, self.haproxy))} given; {oldest} is the oldest supported"))
        if not re.fullmatch(r"/[\w./:+@-]*", self.run_directory, re.ASCII):
            found.append(
                _problem("run_directory", f"{self.run_directory!r} given; an absolute path of letters, digits and ./:_+@- is needed")
            )
        elif len(self.run_directory) > _LONGEST_RUN_DIRECTORY:
            found.append(
                _problem(
                    "run_directory", f"{len(self.run_directory)} characters given; a UNIX socket's path takes {_LONGEST_RUN_DIRECTORY}"
                )
            )
        if self.bind_address is not None:
            try:
                ipaddress.ip_address(self.bind_address)
            except ValueError:
                found.append(_problem("bind_address", f"{self.bind_address!r} given; an IPv4 or IPv6 address is needed"))
        for key in ("user", "group", "log"):
            value = getattr(self, key)
            if value is not None and not re.fullmatch(r"[\w./:@\[\]-]+", value, re.ASCII):
                found.append(_problem(key, f"{value!r} given; letters, digits and ./:@[]_- are allowed"))
        return found


# sun_path holds 107 characters; the socket is "<36 characters of the id>.sock", and HAProxy binds "<path>.<pid>.tmp" first.
_LONGEST_RUN_DIRECTORY = 107 - len("/") - 36 - len(".sock") - len(".4194304.tmp")

_ALIASES = {"mem": "memory", "bind": "bind_address"}


def _problem(key: str, message: str, hint: str | None = None) -> Problem:
    return Problem(path=f"target.{key}".rstrip("."), code="invalid-target", message=message, hint=hint)


def parse_version(text: str) -> Version:
    """`2.6.12-1+deb12u4` → (2, 6, 12): the leading dotted numbers. Raises ValueError where there are none."""
    match = re.match(r"\d+(\.\d+)+", text)
    if match is None:
        raise ValueError("a version such as 3.0 or 2.8.25 is needed")
    return tuple(map(int, match[0].split(".")))


def parse_size(text: str) -> int:
    """`2G`, `512M`, `64K` or bytes → bytes (powers of 1024). Raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+)([KMGT]?)(i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError("a size such as 2G or 512M is needed")
    return int(match[1]) * int(1024 ** " KMGT".index(match[2].upper() or " "))


_READERS: dict[str, Callable[[str], object]] = {
    "haproxy": parse_version,
    "keepalived": parse_version,
    "cpus": int,
    "memory": parse_size,
    "topology": lambda text: Topology(text.upper()),
    "role": str.upper,
    "run_directory": str,
    "user": lambda text: text or None,
    "group": lambda text: text or None,
    "bind_address": str,
    "port_offset": int,
    "maxconn": int,
    "hard_stop_after": int,
    "max_reloads": int,
    "log": lambda text: text or None,
}
