"""Two configurations → what it takes to get a running HAProxy from one to the other (`changes`), and why.

A configuration is `Files`: a haproxy.cfg and what is in the files that it names. Who wrote it does not matter: a bundle of ours and a text that
Octavia's controller uploads are read alike. `old` is what runs: what HAProxy was loaded with, and every command since. Rule: commands
are for what is known to come out as a start with `new` would; everything else is a reload, for reasons that can be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Self

import msgspec

from compiler.bundle import HAPROXY_CFG, Bundle
from compiler.changes import Command, Draft, FrontendLimit, NoOp, Phase, Plan, ProcessLimit
from compiler.haproxy_file import CHECK_KIND, Configuration, Key, Proxy, UnreadableFile, Words, lines, read, settled
from compiler.haproxy_words import VARIABLE
from compiler.named_files import roles
from compiler.plan_files import Contents, plan_files
from compiler.plan_servers import Surroundings, plan_servers
from compiler.target import Version, has

#: Directives of `global` that the master has acted on, and that it does not take back when it loads again (3.1).
_MASTERS = frozenset({"daemon", "master-worker", "pidfile", "presetenv", "resetenv", "setenv", "unsetenv"})
#: What only the next start looks at, or what nobody can see but as memory: Octavia's controller reckons the latter anew each time.
_LATER = {
    "server-state-base": "says where a start finds the states of servers",
    "server-state-file": "says where a start finds the states of servers",
    "tune.ssl.cachesize": "says for how many TLS sessions a start makes room",
}
#: Rules of how to check.
_CHECKING = frozenset({"http-check", "tcp-check"})
#: Words of lines that are not shown: passwords, and what cookies are made from.
_SECRET = frozenset({"auth", "dynamic-cookie-key", "insecure-password", "key", "password"})
_SHOWN = 120


class Files(msgspec.Struct, frozen=True):
    """A haproxy.cfg, and the contents of the files that it names, by the words that name them."""

    configuration: bytes
    contents: Mapping[str, bytes] = {}

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """What HAProxy reads of a bundle."""
        contents = {path: file.content for path, file in bundle.files.items() if path != HAPROXY_CFG}
        return cls(bundle.files[HAPROXY_CFG].content, contents)

    def missing(self) -> frozenset[str]:
        """The files that are named and not here; those that a crt-list names show when it is here. Raises UnreadableFile."""
        return frozenset(roles(read(self.configuration), self.contents)) - self.contents.keys()

    def __repr__(self) -> str:
        return f"Files({len(self.configuration)} bytes, {sorted(self.contents)})"


def plan(old: Files, new: Files, haproxy: Version) -> Plan:
    """What it takes. `haproxy` is the version that runs."""
    if old == new:
        return NoOp()
    draft = Draft()
    try:
        before, after = Contents(read(old.configuration), old.contents), Contents(read(new.configuration), new.contents)
    except UnreadableFile as error:
        draft.reload(HAPROXY_CFG, "text", f"cannot be read: {error}")
        return draft.plan()
    if before.configuration.fixed or after.configuration.fixed:
        _fixed(old, new, draft)
        return draft.plan()
    _global(before.configuration, after.configuration, draft)
    _sections(before.configuration, after.configuration, draft)
    surroundings = Surroundings(partial(has, haproxy), before.roles)
    _proxies(before.configuration, after.configuration, surroundings, draft)
    plan_files(before, after, surroundings.has, draft)
    return draft.plan()


def servers_alone(old: Files, new: Files) -> bool:
    """Whether nothing differs but servers. Raises UnreadableFile."""
    before, after = read(old.configuration), read(new.configuration)
    return not (before.fixed or after.fixed) and old.contents == new.contents and _but_servers(before) == _but_servers(after)


def _but_servers(configuration: Configuration) -> list[object]:
    proxies = configuration.proxies.values()
    return [configuration.sections, *((proxy.kind, proxy.name, proxy.inherited, proxy.lines) for proxy in proxies)]


def _fixed(old: Files, new: Files, draft: Draft) -> None:
    """Of a text that has conditions, nobody but HAProxy knows what it says."""
    said = [[line.words for line in lines(files.configuration)] for files in (old, new)]
    if said[0] != said[1] or old.contents != new.contents:
        draft.reload(HAPROXY_CFG, "text", "has changed, and has conditions or templates of servers, which only HAProxy resolves")


def _global(old: Configuration, new: Configuration, draft: Draft) -> None:
    before, after = (_by_directive(side.sections.get(("global", ""), ())) for side in (old, new))
    for directive in dict.fromkeys((*before, *after)):
        was, becomes = before.get(directive, ()), after.get(directive, ())
        if was == becomes:
            continue
        if directive in _MASTERS:
            draft.restart("global", directive, _becomes(was, becomes))
        elif directive in _LATER:
            draft.later("global", directive, f"{_becomes(was, becomes)}; {_LATER[directive]}")
        elif directive == "maxconn" and (lower := _lower(was, becomes)) is not None:
            text = f"set maxconn global {lower}"
            draft.command(Phase.LIMITS, Command(text=text, object="global", field="maxconn", confirm=(ProcessLimit(lower),)))
        elif directive == "maxconn":
            draft.reload(
                "global", "maxconn", f"{_becomes(was, becomes)}; HAProxy has room for as many connections as at its start, and no more"
            )
        else:
            draft.reload("global", directive, _becomes(was, becomes))


def _by_directive(section: Iterable[Words]) -> dict[str, tuple[Words, ...]]:
    found: dict[str, tuple[Words, ...]] = {}
    for line in section:
        name = line[1] if line[0] in ("no", "default") and len(line) > 1 else line[0]
        found[name] = (*found.get(name, ()), line)
    return found


def _lower(was: tuple[Words, ...], becomes: tuple[Words, ...]) -> int | None:
    """The number of connections, where it is given before and after, and falls."""
    numbers = [lines[-1][-1] if lines else "" for lines in (was, becomes)]
    if not all(number.isdigit() for number in numbers) or not 0 < int(numbers[1]) < int(numbers[0]):
        return None
    return int(numbers[1])


def _sections(old: Configuration, new: Configuration, draft: Draft) -> None:
    before, after = ({key: lines for key, lines in side.sections.items() if key[0] != "global"} for side in (old, new))
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) == after.get(key):
            continue
        if key in before and key in after and key[0] != "userlist":
            _rules(" ".join(key).strip(), before[key], after[key], draft)
        else:
            draft.reload(" ".join(key).strip(), "section", _presence(key in before, key in after))


def _proxies(old: Configuration, new: Configuration, surroundings: Surroundings, draft: Draft) -> None:
    shared = any(_options(proxy, "minconn") for side in (old, new) for proxy in side.proxies.values())
    keys: list[Key] = list(dict.fromkeys((*old.proxies, *new.proxies)))
    for key in keys:
        before, after = old.proxies.get(key), new.proxies.get(key)
        if before is None or after is None:
            draft.reload(" ".join(key), "section", _presence(before is not None, after is not None))
        else:
            _proxy(before, after, draft)
            _limit(before, after, (old.setting("maxconn"), new.setting("maxconn")), draft, shared=shared)
            if before.servers != after.servers or list(before.servers) != list(after.servers):
                plan_servers(before, after, surroundings, draft)


def _proxy(old: Proxy, new: Proxy, draft: Draft) -> None:
    """What the lines of a proxy say, but for servers and the limit of connections."""
    (before, rules), (after, new_rules) = (settled((*side.inherited, *side.lines)) for side in (old, new))
    # How to check may go unnoticed where no server is checked any more. Where it comes it must not: servers that are checked may come by commands.
    unchecked = not _options(new, "check")
    for key in dict.fromkeys((*before, *after)):
        was, becomes = before.get(key, ()), after.get(key, ())
        if was == becomes or key in (("maxconn",), ("load-server-state-from-file",)):
            continue
        if key == ("fullconn",) and not _options(new, "minconn"):
            continue
        if unchecked and not becomes and (key in (CHECK_KIND, ("timeout", "check")) or key[0] == "external-check"):
            continue
        draft.reload(new.title, " ".join(key), _becomes(was, becomes))
    if unchecked and not any(line[0] in _CHECKING for line in new_rules):
        rules = tuple(line for line in rules if line[0] not in _CHECKING)
    _rules(new.title, rules, new_rules, draft)


def _options(proxy: Proxy, option: str) -> bool:
    """Whether a server might have it; `default-server` may say it of a server that takes it back."""
    return any(option in server.own or option in server.defaults for server in proxy.servers.values())


def _limit(old: Proxy, new: Proxy, process: tuple[Words | None, Words | None], draft: Draft, *, shared: bool) -> None:
    """Connections of a frontend; without a number of its own, it has the process's. `shared`: limits of servers are parts of it."""
    if new.kind == "backend":
        return
    was, becomes = (old.setting("maxconn") or process[0] or ())[:1], (new.setting("maxconn") or process[1] or ())[:1]
    if was == becomes:
        return
    if shared and was and becomes:
        draft.reload(
            new.title, "maxconn", f"{_becomes((was,), (becomes,))}; servers with `minconn` have their part of it, from the start on"
        )
        return
    if not was or not becomes or not all(number.isdigit() and int(number) for number in (*was, *becomes)) or VARIABLE in new.name:
        draft.reload(new.title, "maxconn", _becomes((was,) if was else (), (becomes,) if becomes else ()))
        return
    text = f"set maxconn frontend {new.name} {becomes[0]}"
    confirm = FrontendLimit(new.name, int(becomes[0]))
    draft.command(Phase.LIMITS, Command(text=text, object=new.title, field="maxconn", confirm=(confirm,)))


def _rules(title: str, old: tuple[Words, ...], new: tuple[Words, ...], draft: Draft) -> None:
    """Lines whose order counts."""
    if old == new:
        return
    gone, come = list((Counter(old) - Counter(new)).elements()), list((Counter(new) - Counter(old)).elements())
    for line in gone:
        draft.reload(title, line[0], f"{_shown(line)} is gone")
    for line in come:
        draft.reload(title, line[0], f"{_shown(line)} is new")
    if not gone and not come:
        draft.reload(title, "rules", "their order has changed")


def _presence(before: bool, after: bool) -> str:
    return "has changed" if before and after else "is gone" if before else "is new"


def _becomes(old: tuple[Words, ...], new: tuple[Words, ...]) -> str:
    was, becomes = (", ".join(map(_shown, side)) for side in (old, new))
    if not old or not new:
        return f"{becomes} is new" if new else f"{was} is gone"
    return "has changed" if was == becomes else f"{was} becomes {becomes}"


def _shown(line: Words) -> str:
    """A line for people; without what nobody should read."""
    text = f"{line[0]} …" if _SECRET.intersection(line) else " ".join(line).replace(VARIABLE, "")
    return f"`{text if len(text) <= _SHOWN else f'{text[: _SHOWN - 1]}…'}`"
