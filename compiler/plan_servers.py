"""Servers of a backend, old and new → commands for the difference, or why it needs a reload.

Configuration manual 5.2; management guide 9.3 "add server", "del server", "set server". What a command makes of a server must be what the
file makes of it when HAProxy is started with it; what cannot be made so, or is not known to be so, is a reload.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from compiler.balancing import balance_of, ip, literal
from compiler.changes import Command, Draft, Phase, ServerGone, ServerIs, ServerLimit
from compiler.haproxy_file import Proxy, Server
from compiler.server_options import Options, UnknownOption, options
from compiler.target import Feature

#: What a server that is added takes, and then has as one from the file has it. `check` needs `enable health` as well.
_ADDABLE = frozenset(
    (
        *("addr", "alpn", "backup", "ca-file", "check", "check-alpn", "check-send-proxy", "check-sni", "check-ssl", "ciphers"),
        *("ciphersuites", "cookie", "crl-file", "crt", "disabled", "downinter", "fall", "fastinter", "guid", "hash-key", "id", "inter"),
        *("maxconn", "maxqueue", "no-sslv3", "no-tlsv10", "no-tlsv11", "no-tlsv12", "no-tlsv13", "port", "proxy-v2-options", "rise"),
        *("send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn", "sni", "ssl", "ssl-max-ver", "ssl-min-ver"),
        *("verify", "verifyhost", "weight"),
    )
)
#: What is said for a file, and the field that names it.
_FILES = ("ca-file", "crl-file", "crt")
#: What a server's health check is; without `check` it says nothing.
_CHECK = frozenset(
    (
        *("addr", "check", "check-alpn", "check-pool-conn-name", "check-proto", "check-reuse-pool", "check-send-proxy", "check-sni"),
        *("check-ssl", "check-via-socks4", "downinter", "fall", "fastinter", "inter", "port", "rise"),
    )
)
#: What the socket takes as one word without quotes, which it does not have.
_SAYABLE = re.compile(r"[A-Za-z0-9_.:/,+%()\[\]=*!-]+")


class Surroundings(NamedTuple):
    """What else decides about a backend's servers: what the running HAProxy can do, and the files that it has loaded."""

    has: Callable[[Feature], bool]
    loaded: Collection[str]


def plan_servers(old: Proxy, new: Proxy, surroundings: Surroundings, draft: Draft) -> None:
    """Adds to `draft` what turns the servers of `old` into those of `new`. Everything else of the two is the same."""
    _Servers(old, new, surroundings, draft).plan()


class _Servers:
    def __init__(self, old: Proxy, new: Proxy, surroundings: Surroundings, draft: Draft) -> None:
        self.old = old
        self.new = new
        self.surroundings = surroundings
        self.draft = draft
        self.balance = balance_of(new)
        self.cookies = "dynamic" in (new.setting("cookie") or ())

    def plan(self) -> None:
        """All of them."""
        before, after = self.old.servers, self.new.servers
        added = [server for name, server in after.items() if name not in before]
        removed = [server for name, server in before.items() if name not in after]
        if (added or removed) and self._membership():
            self._add(added, removed)
            for server in removed:
                self._remove(server)
        for name, server in after.items():
            was = before.get(name)
            if was is not None and was != server:
                self._change(was, server)
        self._order()

    def _order(self) -> None:
        """The order of the lines, where something is decided by it."""
        before, after = (
            [name for name in one.servers if name in other.servers] for one, other in ((self.old, self.new), (self.new, self.old))
        )
        if before == after:
            return
        if not self.balance.dynamic or (self.balance.ordered_by_id and not self._all_have_ids()):
            self.draft.reload(self.new.title, "server", f"their order has changed, by which `balance {self.balance.name}` knows them")
        backups = {name for name, server in self.new.servers.items() if "backup" in server.own or "backup" in server.defaults}
        if [name for name in before if name in backups] != [name for name in after if name in backups] and not self._all_backups():
            self.draft.reload(
                self.new.title, "backup", "the order of backups has changed, of which without `option allbackups` the first is in use"
            )

    def _all_have_ids(self) -> bool:
        return all("id" in server.own for server in (*self.old.servers.values(), *self.new.servers.values()))

    def _membership(self) -> bool:
        """Whether servers may come and go."""
        if not self.balance.dynamic:
            self.draft.reload(
                self.new.title, "server", f"members have changed, and `balance {self.balance.name}` is static: it knows those of its start"
            )
            return False
        if self.balance.by_id and not self._all_have_ids():
            self.draft.reload(
                self.new.title,
                "server",
                f"members have changed, and `balance {self.balance.name}` knows them by ids that the file does not give",
            )
            return False
        return True

    # Adding

    def _add(self, added: list[Server], removed: list[Server]) -> None:
        taken = {_id(server) for server in (*self.old.servers.values(), *removed)} - {None}
        adding: list[Command] = []
        serving: list[Command] = []
        for server in added:
            name = self._title(server)
            try:
                wanted = options(server.defaults, server.own)
            except UnknownOption as error:
                self.draft.reload(name, "server", f"it is new, and its option `{error}` is not known to work on an added server")
                continue
            problem = self._not_addable(server, wanted, taken)
            if problem:
                self.draft.reload(name, *problem)
            else:
                adding.append(self._adding(server, wanted))
                serving += self._serving(server, wanted)
        if self.cookies and adding and not self.surroundings.has(Feature.ADDED_SERVER_DYNAMIC_COOKIE):
            # Cookies are made for all of the backend's servers when this is said, also to a backend that makes them already.
            adding.append(Command(text=f"enable dynamic-cookie backend {self.new.name}", object=self.new.title, field="cookie"))
        self.draft.command(Phase.ADD, *adding, *serving)

    def _not_addable(self, server: Server, wanted: Options, taken: Collection[str | None]) -> tuple[str, str] | None:
        """The field, and why a server that is added would not be the one of the file."""
        for option in wanted:
            if option not in _ADDABLE:
                return option, "the server is new, and an added one does not take this, or not as from the file"
        if "cookie" in wanted and not self.surroundings.has(Feature.ADDED_SERVER_COOKIE):
            return "cookie", "the server is new, and this HAProxy gives no cookie to an added one"
        if "backup" in wanted and not self._all_backups():
            return (
                "backup",
                "the server is new, and without `option allbackups` the first backup in the order of the file is the one in use",
            )
        if literal(server.address) is None:
            return "address", f"the server is new, and {server.address} is no address with a port, which is what an added one takes"
        if wanted.get("id", ("",))[0] in taken:
            return "id", f"the server is new, and its id {wanted['id'][0]} is that of a server that runs"
        for option in _FILES:
            if option in wanted and wanted[option][0] not in self.surroundings.loaded:
                return option, f"the server is new, and {wanted[option][0]} is not a file that HAProxy has loaded"
        unsayable = [word for words in wanted.values() for word in words if not _SAYABLE.fullmatch(word)]
        if unsayable or not _SAYABLE.fullmatch(f"{self.new.name}{server.name}"):
            return "server", "it is new, and has characters that the socket cannot be told"
        return None

    def _all_backups(self) -> bool:
        return self.new.setting("option", "allbackups") is not None

    def _adding(self, server: Server, wanted: Options) -> Command:
        """What makes it known; it is in maintenance then."""
        said = [word for option, words in wanted.items() if option != "disabled" for word in (option, *words)]
        address, port = literal(server.address) or ("", 0)
        state = ServerIs(
            backend=self.new.name,
            server=server.name,
            address=address,
            port=port,
            weight=int(wanted.get("weight", ("1",))[0]),
            id=int(wanted["id"][0]) if "id" in wanted else None,
            maintenance="disabled" in wanted,
            checked="check" in wanted,
        )
        text = " ".join(["add server", self._path(server), server.address, *said])
        return Command(text=text, object=self._title(server), field="server", answer="New server registered", confirm=(state,))

    def _serving(self, server: Server, wanted: Options) -> list[Command]:
        """What makes it serve, when all are known."""
        name, path = self._title(server), self._path(server)
        commands = []
        if "check" in wanted:
            commands.append(Command(text=f"enable health {path}", object=name, field="check"))
        if "disabled" not in wanted:
            commands.append(Command(text=f"set server {path} state ready", object=name, field="server"))
        return commands

    # Removing

    def _remove(self, server: Server) -> None:
        """Out of use at once, also for clients that were bound to it; away when the last connection has ended."""
        name, path = self._title(server), self._path(server)
        if not _SAYABLE.fullmatch(path):
            self.draft.reload(name, "server", "it is gone, and has characters that the socket cannot be told")
            return
        # Where idle connections to a server keep it from being removed, only its way into maintenance ends them: so it goes it once more,
        # with no weight, for that nobody is led to it in between.
        again = f"set server {path} weight 0; set server {path} state ready; set server {path} state maint"
        self.draft.command(Phase.STOP, Command(text=f"set server {path} state maint", object=name, field="server"))
        self.draft.command(
            Phase.REMOVE,
            Command(
                text=f"del server {path}",
                object=name,
                field="server",
                answer="Server deleted",
                patient=True,
                nudge=None if self.surroundings.has(Feature.REMOVAL_ENDS_IDLE) else again,
                confirm=(ServerGone(self.new.name, server.name),),
            ),
        )

    # Changing

    def _change(self, was: Server, server: Server) -> None:
        name = self._title(server)
        try:
            old, new = options(was.defaults, was.own), options(server.defaults, server.own)
        except UnknownOption as error:
            self.draft.reload(name, "server", f"it has changed, and its option `{error}` is not known here")
            return
        if was.address != server.address:
            self._address(was, server)
        paused = "check" in old and "check" not in new
        if paused:
            self._pause(server)
        ignored = _CHECK if "check" not in new else frozenset()
        if ignored and "ssl" not in old and "ssl" not in new:
            ignored |= {"verify"}
        moved = [option for option in ("addr", "port") if option not in ignored and old.get(option) != new.get(option)]
        if moved:
            self._check_address(server, old, new, moved)
        for option in dict.fromkeys((*old, *new)):
            if option in ignored or option in ("addr", "port") or old.get(option) == new.get(option):
                continue
            self._option(server, option, old, new)

    def _option(self, server: Server, option: str, old: Options, new: Options) -> None:
        name = self._title(server)
        if not _SAYABLE.fullmatch(self._path(server)):
            self.draft.reload(name, option, "the server has characters that the socket cannot be told")
        elif option == "weight":
            self._weight(server, int(new.get("weight", ("1",))[0]))
        elif option == "disabled":
            disabled = "disabled" in new
            self._set(
                server, option, f"state {'maint' if disabled else 'ready'}",
                ServerIs(backend=self.new.name, server=server.name, maintenance=disabled),
            )  # fmt: skip
        elif option == "maxconn" and _positive(old, "maxconn") and _positive(new, "maxconn") and "minconn" not in new:
            maxconn = int(new["maxconn"][0])
            self.draft.command(
                Phase.CHANGE,
                Command(
                    text=f"set maxconn server {self._path(server)} {maxconn}",
                    object=name,
                    field=option,
                    confirm=(ServerLimit(self.new.name, server.name, maxconn),),
                ),
            )
        elif option == "check":
            self.draft.reload(name, option, "a server that was not checked when HAProxy got to know it cannot be from then on")
        else:
            self.draft.reload(name, option, _difference(old.get(option), new.get(option)))

    def _weight(self, server: Server, weight: int) -> None:
        if not self.balance.dynamic:
            self.draft.reload(self._title(server), "weight", f"`balance {self.balance.name}` is static: it keeps the weights of its start")
            return
        self._set(server, "weight", f"weight {weight}", ServerIs(backend=self.new.name, server=server.name, weight=weight))

    def _address(self, was: Server, server: Server) -> None:
        before, after = literal(was.address), literal(server.address)
        if before is None or after is None:
            self.draft.reload(
                self._title(server), "address", f"{was.address} becomes {server.address}; only an address with a port can change"
            )
            return
        address, port = after
        confirm = ServerIs(backend=self.new.name, server=server.name, address=address, port=port)
        self._set(server, "address", f"addr {address} port {port}", confirm, answer=r"changed")

    def _check_address(self, server: Server, old: Options, new: Options, moved: list[str]) -> None:
        if any(option not in old or option not in new for option in moved) or ip(new.get("addr", ("::",))[0]) is None:
            self.draft.reload(
                self._title(server), moved[0], "where a server is checked can be changed, but not begin or cease to be elsewhere"
            )
            return
        for option in moved:
            value = new[option][0]
            confirm = (
                ServerIs(backend=self.new.name, server=server.name, check_address=value)
                if option == "addr"
                else ServerIs(backend=self.new.name, server=server.name, check_port=int(value))
            )
            self._set(server, option, f"check-{option} {value}", confirm)

    def _pause(self, server: Server) -> None:
        """No checks from now on; as one that nobody checks, it is up."""
        name, path = self._title(server), self._path(server)
        confirm = ServerIs(backend=self.new.name, server=server.name, checked=False)
        self.draft.command(
            Phase.CHANGE,
            Command(text=f"disable health {path}", object=name, field="check", confirm=(confirm,)),
            Command(text=f"set server {path} health up", object=name, field="check"),
        )

    def _set(self, server: Server, field: str, what: str, confirm: ServerIs, answer: str = r"\A\s*\Z") -> None:
        text = f"set server {self._path(server)} {what}"
        self.draft.command(Phase.CHANGE, Command(text=text, object=self._title(server), field=field, answer=answer, confirm=(confirm,)))

    def _title(self, server: Server) -> str:
        return f"{self.new.title}, server {server.name}"

    def _path(self, server: Server) -> str:
        return f"{self.new.name}/{server.name}"


def _id(server: Server) -> str | None:
    own = server.own
    return own[own.index("id") + 1] if "id" in own[:-1] else None


def _positive(values: Options, option: str) -> bool:
    return option in values and values[option][0].isdigit() and int(values[option][0]) > 0


def _difference(old: tuple[str, ...] | None, new: tuple[str, ...] | None) -> str:
    if old is None:
        return "given to a server that runs; only its address, weight and state can change"
    if new is None:
        return "taken from a server that runs; only its address, weight and state can change"
    return f"{' '.join(old)} becomes {' '.join(new)}; of a server that runs, only its address, weight and state can change"
