"""The machine that a configuration is made for, as an input; and the one table of what which version can do.

A target is never looked up: whoever knows the machine (the agent, the command, a test) says what it is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import msgspec

from compiler import documents
from compiler.errors import ProblemError
from compiler.problems import Problem, did_you_mean
from compiler.quoting import is_address

Version = tuple[int, ...]


class Feature(StrEnum):
    """What not every supported version of HAProxy can do. The value is what a message calls it."""

    NO_ALPN = "a way to offer no protocol by ALPN (`no-alpn`)"
    HASH_KEY = "a choice of what the consistent hash knows servers by (`hash-key`)"
    ADDED_SERVER_COOKIE = "a cookie for a server that is added while it runs (`cookie`)"
    ADDED_SERVER_DYNAMIC_COOKIE = "a cookie that it makes itself for a server that is added while it runs (`dynamic-cookie-key`)"
    AUTHORITIES_REPLACED = "a way to replace authorities and revocation lists while it runs after which certificates can be, too"
    REMOVAL_ENDS_IDLE = "a removal of a server while it runs for which idle connections are no hindrance"


#: Connections of a listener that sets no limit (`connection_limit` -1).
DEFAULT_CONNECTION_LIMIT = 50_000

#: Feature → the first HAProxy that has it. The only place that knows.
FIRST_HAPROXY: dict[Feature, Version] = {
    Feature.NO_ALPN: (2, 8),
    Feature.HASH_KEY: (3, 0),
    Feature.ADDED_SERVER_COOKIE: (2, 8),
    Feature.ADDED_SERVER_DYNAMIC_COOKIE: (2, 8),
    Feature.AUTHORITIES_REPLACED: (3, 2, 8),
    Feature.REMOVAL_ENDS_IDLE: (3, 0),
}


#: Feature → releases of older branches from which on these have it too: what was a fault, and was mended there as well.
MENDED_IN: dict[Feature, tuple[Version, ...]] = {
    Feature.AUTHORITIES_REPLACED: ((2, 8, 25),),
}


def has(haproxy: Version, feature: Feature) -> bool:
    """Whether a HAProxy of this version can do this."""
    return haproxy >= FIRST_HAPROXY[feature] or any(haproxy[:2] == since[:2] and haproxy >= since for since in MENDED_IN.get(feature, ()))


def first_with(feature: Feature) -> str:
    """The first version that has the feature, as text."""
    return ".".join(map(str, FIRST_HAPROXY[feature]))


# There is no such table for keepalived: every word that is rendered for it is known to all supported versions. What came in 2.2.8 and the
# 2.3 releases (their release notes) are words that are not used: `no_virtual_ipaddress`, `v3_checksum_as_v2`, fractions of a second for
# scripts. A word that is new in the templates has to be looked up; tests/unit/compiler/test_targets.py has the list of those that were.

#: The oldest keepalived, and the HAProxy branches, oldest first, that Hydria is made for; anything older is refused.
OLDEST_KEEPALIVED: Version = (2, 2)
SUPPORTED_HAPROXY: tuple[Version, ...] = ((2, 6), (2, 8), (3, 0), (3, 2))


class Topology(StrEnum):
    """Octavia's `loadbalancer_topology`."""

    SINGLE = "SINGLE"
    ACTIVE_STANDBY = "ACTIVE_STANDBY"


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A host route of a subnet."""

    destination: str
    nexthop: str


class VipNetwork(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The subnet that a VIP is in, as the network service knows it."""

    address: str
    cidr: str
    gateway: str | None = None
    host_routes: tuple[Route, ...] = ()


class Amphora(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of an active-standby pair. `address` is its own on the VIP's network; the higher `priority` (1 to 254) is master at first."""

    id: str
    address: str
    priority: Annotated[int, msgspec.Meta(ge=1, le=254)] = 100


class Vrrp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How keepalived moves the VIP (RFC 5798). `advert_interval` in ms, in steps of 10: the master is missed after three and a bit.
    `garp_refresh` in seconds: how often the master tells its neighbours again where the VIP is. `elsewhere`: somebody else sees to all that,
    as Octavia by its own contract; then keepalived gets no configuration for it.
    """

    interface: str = "eth1"
    router_id: Annotated[int, msgspec.Meta(ge=1, le=255)] = 1
    advert_interval: Annotated[int, msgspec.Meta(ge=10, le=40_950, multiple_of=10)] = 1000
    preempt: bool = False
    garp_refresh: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 5
    garp_refresh_repeat: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 2
    elsewhere: bool = False


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the output is resolved for.

    `haproxy`, `keepalived`: versions. `cpus`: threads of HAProxy. `memory`: bytes that HAProxy may use, None for no check.
    `run_directory`: absolute; holds the sockets. `user`, `group`: whom HAProxy becomes, None to stay who it is.
    `bind_address`: binds here in place of the VIPs; `port_offset`: added to every listener's port (both for trying a graph on
    any machine). `maxconn`: connections of the whole process. `log`: HAProxy's log target (`/dev/log`, `stdout`, `10.0.0.1:514`), None for
    none. `hard_stop_after`: seconds that an old worker may go on with its connections after a reload, `max_reloads`: reloads that it may
    see; then it ends. `redispatch`: whether a connection that a member does not take goes to another at the last attempt.
    `check_command`: the program that checks members where neither HAProxy nor keepalived can (`hydria-probe`). For ACTIVE_STANDBY:
    `amphorae` are both of the pair, `amphora` the id of the one that this is, `vrrp` how they agree, `networks` the subnets of the VIPs.
    """

    haproxy: Version = (2, 6)
    keepalived: Version = (2, 2, 7)
    cpus: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    memory: int | None = None
    topology: Topology = Topology.SINGLE
    run_directory: str = "/run/hydria"
    user: str | None = "nobody"
    group: str | None = "nogroup"
    bind_address: str | None = None
    port_offset: int = 0
    maxconn: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 1_000_000
    log: str | None = "/dev/log"
    hard_stop_after: Annotated[int, msgspec.Meta(ge=1, le=2_147_483)] = 3600
    max_reloads: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 50
    redispatch: bool = True
    check_command: str = "/usr/bin/hydria-probe"
    amphora: str | None = None
    amphorae: tuple[Amphora, ...] = ()
    vrrp: Vrrp = Vrrp()
    networks: tuple[VipNetwork, ...] = ()

    def has(self, feature: Feature) -> bool:
        """Whether the target's HAProxy can do this."""
        return has(self.haproxy, feature)

    @classmethod
    def parse(cls, text: str) -> Target:
        """Reads the command line's form, `haproxy=3.0,cpus=4,mem=2G`; raises ProblemError with everything that is wrong in it."""
        values: dict[str, object] = {}
        problems: list[Problem] = []
        for item in filter(None, (part.strip() for part in text.split(","))):
            key, _, value = item.partition("=")
            key = ALIASES.get(key, key)
            reader = _READERS.get(key)
            if reader is None:
                known = sorted(_READERS)
                problems.append(_problem(key, f"unknown key {key!r}; known: {', '.join(known)}", did_you_mean(key, known)))
                continue
            try:
                values[key] = reader(value)
            except ValueError as error:
                problems.append(_problem(key, f"{value!r} given: {error}"))
        if problems:
            raise ProblemError(problems)
        return cls._convert(values)

    @classmethod
    def read(cls, text: str | bytes) -> Target:
        """Reads a JSON or YAML mapping of the fields (versions as texts: `haproxy: "3.0"`); raises ProblemError as `parse` does."""
        values = documents.parse(text.encode() if isinstance(text, str) else text)
        if not isinstance(values, dict):
            raise ProblemError([_problem("", f"{values!r} given; a mapping of fields is needed")])
        for key in ("haproxy", "keepalived", "memory"):
            if isinstance(values.get(key), str | float):
                try:
                    values[key] = _READERS[key](str(values[key]))
                except ValueError as error:
                    raise ProblemError([_problem(key, f"{values[key]!r} given: {error}")]) from error
        return cls._convert(values)

    @classmethod
    def _convert(cls, values: dict[str, object]) -> Target:
        try:
            target = msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ProblemError([_problem("", str(error))]) from error
        problems = target.problems()
        if problems:
            raise ProblemError(problems)
        return target

    def problems(self) -> list[Problem]:
        """What makes this target unusable; empty when it is fine."""
        found = []
        if self.haproxy < SUPPORTED_HAPROXY[0]:
            oldest = ".".join(map(str, SUPPORTED_HAPROXY[0]))
            found.append(_problem("haproxy", f"version {'.'.join(map(str, self.haproxy))} given; {oldest} is the oldest supported"))
        if self.keepalived < OLDEST_KEEPALIVED:
            oldest = ".".join(map(str, OLDEST_KEEPALIVED))
            found.append(_problem("keepalived", f"version {'.'.join(map(str, self.keepalived))} given; {oldest} is the oldest supported"))
        if self.memory is not None and self.memory <= 0:
            found.append(_problem("memory", f"{self.memory} bytes given; a positive number is needed"))
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
        if self.bind_address is not None and not is_address(self.bind_address):
            found.append(_problem("bind_address", f"{self.bind_address!r} given; an IPv4 or IPv6 address is needed"))
        found += self._pair_problems()
        for key in ("user", "group", "log"):
            value = getattr(self, key)
            if value is not None and not re.fullmatch(r"[\w./:@\[\]-]+", value, re.ASCII):
                found.append(_problem(key, f"{value!r} given; letters, digits and ./:@[]_- are allowed"))
        return found

    def _who_is_who(self) -> list[Problem]:
        found = []
        if self.amphora not in [amphora.id for amphora in self.amphorae]:
            found.append(_problem("amphora", f"{self.amphora!r} given; the id of one of `amphorae` is needed for ACTIVE_STANDBY"))
        if len(self.amphorae) != 2:
            found.append(_problem("amphorae", f"{len(self.amphorae)} given; ACTIVE_STANDBY needs both of the pair"))
        elif len({amphora.id for amphora in self.amphorae}) < 2 or len({amphora.address for amphora in self.amphorae}) < 2:
            found.append(_problem("amphorae", "both have the same id or address; each needs its own"))
        elif (
            all(is_address(amphora.address) for amphora in self.amphorae) and len({":" in amphora.address for amphora in self.amphorae}) > 1
        ):
            found.append(_problem("amphorae", "one has an IPv4, the other an IPv6 address; they talk to each other in one family"))
        return found

    def _pair_problems(self) -> list[Problem]:
        found = []
        if self.topology == Topology.ACTIVE_STANDBY:
            found += self._who_is_who()
        if not re.fullmatch(r"[A-Za-z][\w.-]{0,14}", self.vrrp.interface, re.ASCII):
            found.append(_problem("vrrp.interface", f"{self.vrrp.interface!r} given; a network interface's name is needed"))
        if not re.fullmatch(r"/[\w./+-]+", self.check_command, re.ASCII):
            found.append(_problem("check_command", f"{self.check_command!r} given; the absolute path of a program is needed"))
        for number, amphora in enumerate(self.amphorae):
            if not is_address(amphora.address):
                found.append(_problem(f"amphorae[{number}].address", f"{amphora.address!r} given; an IP address is needed"))
            if not re.fullmatch(r"[\w.-]+", amphora.id, re.ASCII):
                found.append(_problem(f"amphorae[{number}].id", f"{amphora.id!r} given; letters, digits and _.- are allowed"))
        for number, network in enumerate(self.networks):
            found += _network_problems(f"networks[{number}]", network)
        return found


def _network_problems(path: str, network: VipNetwork) -> list[Problem]:
    found = []
    addresses = {"address": network.address, **({} if network.gateway is None else {"gateway": network.gateway})}
    addresses |= {f"host_routes[{n}].nexthop": route.nexthop for n, route in enumerate(network.host_routes)}
    cidrs = {"cidr": network.cidr} | {f"host_routes[{n}].destination": route.destination for n, route in enumerate(network.host_routes)}
    for field, value in addresses.items():
        if not is_address(value):
            found.append(_problem(f"{path}.{field}", f"{value!r} given; an IP address is needed"))
    for field, value in (addresses | cidrs).items():
        if is_address(value.partition("/")[0]) and (":" in value) != (":" in network.address):
            found.append(_problem(f"{path}.{field}", f"{value!r} given, which is of another family than the VIP {network.address}"))
    for field, value in cidrs.items():
        try:
            valid = ipaddress.ip_network(value) is not None and "%" not in value
        except ValueError:
            valid = False
        if not valid:
            found.append(_problem(f"{path}.{field}", f"{value!r} given; a network such as 192.0.2.0/24 is needed"))
    return found


# sun_path holds 107 characters; the socket is "<36 characters of the id>.sock", and HAProxy binds "<path>.<pid>.tmp" first.
_LONGEST_RUN_DIRECTORY = 107 - len("/") - 36 - len(".sock") - len(".4194304.tmp")

#: What the command line's form has shorter words for.
ALIASES = {"mem": "memory", "bind": "bind_address"}


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


def parse_switch(text: str) -> bool:
    """`on` or `true` → True, `off` or `false` → False. Raises ValueError for anything else."""
    known = {"on": True, "true": True, "off": False, "false": False}
    if text.lower() not in known:
        raise ValueError("on or off is needed")
    return known[text.lower()]


_READERS: dict[str, Callable[[str], object]] = {
    "haproxy": parse_version,
    "keepalived": parse_version,
    "cpus": int,
    "memory": parse_size,
    "topology": lambda text: Topology(text.upper()),
    "run_directory": str,
    "user": lambda text: text or None,
    "group": lambda text: text or None,
    "bind_address": str,
    "port_offset": int,
    "maxconn": int,
    "hard_stop_after": int,
    "max_reloads": int,
    "redispatch": parse_switch,
    "log": lambda text: text or None,
}
