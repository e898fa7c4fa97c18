"""HAProxy's configuration file, read far enough to compare two of them: sections, proxies with what they inherit, servers.

Rules: what is read here is exact, or it is not touched. A line that is not known stays the words that it is, and whoever compares can only
see that they differ. Comments, blanks and quotes are not part of what is read. Configuration manual 2 (format), 4 (proxies and `defaults`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import msgspec

from compiler.haproxy_words import VARIABLE, UnreadableLine, words

Words = tuple[str, ...]
#: Kind and name of a section; the name is "" where the kind has none.
Key = tuple[str, str]

#: What begins a section, in any version.
SECTIONS = frozenset(
    (
        *("acme", "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global", "http-errors", "listen", "log-forward"),
        *("log-profile", "mailers", "peers", "program", "resolvers", "ring", "traces", "userlist"),
    )
)
PROXIES = frozenset({"backend", "frontend", "listen"})

#: Under what `settled` has all options that say how members are checked.
CHECK_KIND = ("option", "(check)")

#: Directives of proxies of which the last one counts, whatever stands between: how many words say which directive it is.
_SETTINGS = {
    **dict.fromkeys(("balance", "cookie", "default_backend", "description", "dynamic-cookie-key", "fullconn", "hash-type", "id"), 1),
    **dict.fromkeys(("hash-balance-factor", "load-server-state-from-file", "log-format", "maxconn", "mode", "retries"), 1),
    **dict.fromkeys(("bind", "stick-table"), 1),
    **dict.fromkeys(("external-check", "option", "timeout"), 2),
}
#: Options of which one takes the place of another, so that their order counts: those that say how members are checked, what is logged,
#: and what becomes of connections.
_EXCLUSIVE = {
    **dict.fromkeys(("external-check", "httpchk", "ldap-check", "mysql-check", "pgsql-check", "redis-check"), CHECK_KIND),
    **dict.fromkeys(("smtpchk", "spop-check", "ssl-hello-chk", "tcp-check"), CHECK_KIND),
    **dict.fromkeys(("httplog", "httpslog", "tcplog"), ("log-format",)),
    **dict.fromkeys(("forceclose", "http-keep-alive", "http-server-close", "http-tunnel", "httpclose"), ("option", "(connections)")),
}


class UnreadableFile(ValueError):  # noqa: N818  (names what the file is)
    """HAProxy would refuse it, or it has what is not understood. The message says where and what."""


class Line(NamedTuple):
    """The words of a line, and its number from 1."""

    number: int
    words: Words


class Server(msgspec.Struct, frozen=True, gc=False):
    """A `server` line. `own` are its options; `defaults` those of the `default-server` lines before it, which it may take back."""

    name: str
    address: str
    own: Words
    defaults: Words


class Proxy(msgspec.Struct, frozen=True):
    """A frontend, backend or listen section. `lines` are its own, `inherited` those of its `defaults`; servers are apart, by name."""

    kind: str
    name: str
    lines: tuple[Words, ...]
    inherited: tuple[Words, ...]
    servers: Mapping[str, Server]

    @property
    def title(self) -> str:
        """What a message calls it."""
        return f"{self.kind} {self.name}"

    def setting(self, *key: str) -> Words | None:
        """The words of the last line that begins with `key`, here or inherited; None where there is none."""
        for line in chain(reversed(self.lines), reversed(self.inherited)):
            if line[: len(key)] == key:
                return line[len(key) :]
        return None


class Configuration(msgspec.Struct, frozen=True):
    """A file. `sections` are all that are neither proxies nor `defaults`, those of one kind and name as one; `fixed`: it has conditions
    (2.4 `.if`) or templates of servers, so that lines do not stand for themselves.
    """

    sections: Mapping[Key, tuple[Words, ...]]
    proxies: Mapping[Key, Proxy]
    fixed: bool = False

    def setting(self, *key: str) -> Words | None:
        """The words of the last line of `global` that begins with `key`."""
        for line in reversed(self.sections.get(("global", ""), ())):
            if line[: len(key)] == key:
                return line[len(key) :]
        return None

    def lines(self) -> Iterator[Words]:
        """Every line, with the options of servers as they stand and as they are inherited."""
        yield from chain.from_iterable(self.sections.values())
        for proxy in self.proxies.values():
            yield from proxy.inherited
            yield from proxy.lines
            for server in proxy.servers.values():
                yield ("server", server.name, server.address, *server.defaults, *server.own)


@lru_cache(maxsize=2)
def read(text: bytes) -> Configuration:
    """The configuration that the text is. Raises UnreadableFile. The last two are kept: what comes next is compared with what came last."""
    reader = _Reader()
    for number, line in lines(text):
        reader.take(number, line)
    return reader.configuration()


def lines(text: bytes) -> Iterator[Line]:
    """The lines that have words. Raises UnreadableFile."""
    for number, line in enumerate(text.decode("latin-1").split("\n"), 1):
        if VARIABLE in line:
            raise UnreadableFile(f"line {number}: a NUL character")
        try:
            found = words(line)
        except UnreadableLine as error:
            raise UnreadableFile(f"line {number}: {error}") from error
        if found:
            yield Line(number, found)


class _Defaults(NamedTuple):
    lines: tuple[Words, ...]
    servers: Words


class _Reader:
    """Takes one line after the other, as HAProxy does."""

    def __init__(self) -> None:
        self._sections: dict[Key, list[Words]] = {}
        self._proxies: dict[Key, Proxy] = {}
        self._defaults: dict[str, _Defaults] = {}
        self._latest = _Defaults((), ())
        self._fixed = False
        self._key: Key | None = None
        self._from = self._latest
        self._lines: list[Words] = []
        self._default_server: Words = ()
        self._servers: dict[str, Server] = {}

    def take(self, number: int, line: Words) -> None:
        """One line that is not empty."""
        if line[0] in SECTIONS:
            self._close()
            self._open(number, line)
        elif line[0].startswith("."):
            self._fixed = True
            self._lines.append(line)
        elif self._key is None:
            raise UnreadableFile(f"line {number}: {line[0]!r} stands before any section")
        elif self._key[0] in PROXIES or self._key[0] == "defaults":
            self._take_proxy(number, line)
        else:
            self._lines.append(line)

    def configuration(self) -> Configuration:
        """What was taken."""
        self._close()
        return Configuration({key: tuple(lines) for key, lines in self._sections.items()}, self._proxies, self._fixed)

    def _take_proxy(self, number: int, line: Words) -> None:
        if line[0] == "default-server":
            self._default_server += line[1:]
        elif line[0] == "server" and len(line) > 2:
            if line[1] in self._servers:
                raise UnreadableFile(f"line {number}: a second server {line[1]!r}")
            self._servers[line[1]] = Server(line[1], line[2], line[3:], self._default_server)
        else:
            self._fixed |= line[0] == "server-template"
            self._lines.append(line)

    def _open(self, number: int, line: Words) -> None:
        kind, name, rest = line[0], "".join(line[1:2]), line[2:]
        if kind == "defaults" and name == "from":
            name, rest = "", line[1:]
        self._key = (kind, name)
        self._lines, self._servers, self._default_server = [], {}, ()
        if kind != "defaults" and kind not in PROXIES:
            if rest:
                self._lines.append(("(section)", *rest))
            return
        if self._key in self._proxies:
            raise UnreadableFile(f"line {number}: a second {kind} {name!r}")
        self._from = _Defaults((), ()) if kind == "defaults" else self._latest
        if rest[:1] == ("from",) and len(rest) == 2:
            if rest[1] not in self._defaults:
                raise UnreadableFile(f"line {number}: no defaults {rest[1]!r} before it")
            self._from = self._defaults[rest[1]]
        elif rest:
            raise UnreadableFile(f"line {number}: {rest[0]!r} behind the name of a section")
        self._default_server = self._from.servers

    def _close(self) -> None:
        if self._key is None:
            return
        kind, name = self._key
        if kind == "defaults":
            self._latest = _Defaults((*self._from.lines, *self._lines), self._default_server)
            self._defaults[name] = self._latest
        elif kind in PROXIES:
            self._proxies[self._key] = Proxy(kind, name, tuple(self._lines), self._from.lines, self._servers)
        else:
            self._sections.setdefault(self._key, []).extend(self._lines)


def settled(written: Sequence[Words]) -> tuple[dict[Words, tuple[Words, ...]], tuple[Words, ...]]:
    """The lines of a proxy without what is only their order: settings by what they set, of which the last counts; and rules, in order.

    A `no` or `default` before a setting is part of what it says, not of what it sets.
    """
    settings: dict[Words, tuple[Words, ...]] = {}
    rules: list[Words] = []
    for line in written:
        said = line[1:] if line[0] in ("no", "default") else line
        length = _SETTINGS.get(said[0], 0) if said else 0
        key = said[:length]
        if key[:1] == ("option",):
            key = _EXCLUSIVE.get(said[-1 if len(said) < 2 else 1], key)
        if not length:
            rules.append(line)
        elif key == ("bind",):
            settings[key] = tuple(sorted((*settings.get(key, ()), line)))
        elif key in _EXCLUSIVE.values():
            settings[key] = (*settings.get(key, ()), line)
        else:
            settings[key] = (line,)
    return settings, tuple(rules)
