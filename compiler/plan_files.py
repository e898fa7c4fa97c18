"""Files that a configuration names, old and new → commands that give the running HAProxy what they hold now, or why it needs a reload.

Management guide 9.3: "set ssl cert", "commit ssl cert", "set ssl ca-file", "set ssl crl-file", "add ssl crt-list", "prepare acl". What is in a
file is put into the running process, and on disk by whoever executes the plan; HAProxy itself reads files only when it loads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

from compiler.changes import (
    AuthoritiesAre,
    CertificateIs,
    Command,
    Confirmation,
    CrtListIs,
    Draft,
    PatternsAre,
    Phase,
    RevocationsAre,
)
from compiler.haproxy_file import Configuration
from compiler.named_files import Entry, Role, entries, fingerprints, in_line, names, patterns, payload, revoked, roles
from compiler.target import Feature

#: What the socket takes as one word, be it a file's name or a name of a certificate. In a pattern, everything else is escaped (9.3); but
#: for what ends a command, or is not read at all.
_SAYABLE = re.compile(r"[A-Za-z0-9_./:+%()\[\]=*-]+")
_ESCAPED = re.compile(r"[^A-Za-z0-9_./:+%()\[\]=*\u0080-\U0010ffff-]")
_UNSAYABLE = re.compile(r"[\x00-\x1f\x7f]")
#: Bytes of one command with all that belongs to it, where the configuration says nothing else (3.2 `tune.bufsize`); some are HAProxy's own.
_BUFFER = 16384
_RESERVE = 64


class Contents:
    """A configuration with the contents of its files."""

    def __init__(self, configuration: Configuration, contents: Mapping[str, bytes]) -> None:
        self.configuration = configuration
        self.contents = contents
        self.roles = roles(configuration, contents)

    def names_of(self, entry: Entry) -> frozenset[str]:
        """The names that a line of a crt-list answers to. Raises ValueError where only the certificate knows, and it is not here."""
        given = [word for word in entry[1:] if not word.startswith(("[", "!"))]
        if given:
            return frozenset(name.lower() for name in given)
        if entry[0] not in self.contents:
            raise ValueError(f"{entry[0]} is not known")
        return names(self.contents[entry[0]])


def plan_files(old: Contents, new: Contents, has: Callable[[Feature], bool], draft: Draft) -> None:
    """Adds to `draft` what gives a HAProxy that has these features the contents of the files that both name."""
    _Files(old, new, has, draft).plan()


class _Files:
    def __init__(self, old: Contents, new: Contents, has: Callable[[Feature], bool], draft: Draft) -> None:
        self.old = old
        self.new = new
        self.has = has
        self.draft = draft
        size = old.configuration.setting("tune.bufsize") or ("",)
        self.room = (int(size[0]) if size[0].isdigit() else _BUFFER) - _RESERVE
        self.bases = {word for side in (old, new) for word in ("crt-base", "ca-base") if side.configuration.setting(word)}

    def plan(self) -> None:
        """All of them, in the order of their names; lists of certificates when the certificates are there."""
        both = sorted(self.old.roles.keys() & self.new.roles.keys())
        changed = [name for name in both if self.old.contents.get(name) != self.new.contents.get(name)]
        for name in sorted(changed, key=lambda name: Role.CRT_LIST in self.old.roles[name]):
            self._file(name)
        self._together(changed)
        others = sorted(self.old.contents.keys() & self.new.contents.keys() - set(both))
        changed = [name for name in others if self.old.contents[name] != self.new.contents[name]]
        mentioned = {word for line in self.new.configuration.lines() for word in line} if changed else set()
        for name in changed:
            named = re.compile(rf"(?<![\w./-]){re.escape(name)}(?![\w./-])")
            if any(named.search(word) for word in mentioned):
                self.draft.reload(name, "content", "has changed; HAProxy reads such a file only when it loads")

    def _together(self, changed: list[str]) -> None:
        """Each list changes at once, two lists do not: in between, conditions would hold that nobody has ever asked for."""
        lists = {name for name in changed if Role.PATTERNS in self.new.roles[name] and self._differ(name)}
        for proxy in self.new.configuration.proxies.values() if len(lists) > 1 else ():
            named = {name for line in (*proxy.inherited, *proxy.lines) for name, _ in in_line(line)}
            if len(named & lists) > 1:
                self.draft.reload(
                    proxy.title, "lists", "several lists of patterns have changed, which commands would do one after the other"
                )

    def _differ(self, name: str) -> bool:
        try:
            return patterns(self.old.contents.get(name, b"")) != patterns(self.new.contents.get(name, b""))
        except ValueError:
            return True

    def _file(self, name: str) -> None:
        role = (self.old.roles[name] | self.new.roles[name]).pop() if self._one_role(name) else Role.OTHER
        if name not in self.old.contents or name not in self.new.contents:
            self.draft.reload(name, "content", "is known of one of the two only")
        elif role is Role.OTHER:
            self.draft.reload(name, "content", "has changed; HAProxy reads such a file only when it loads")
        elif not _SAYABLE.fullmatch(name) or (self.bases and not name.startswith("/")):
            self.draft.reload(name, "content", f"has changed, and the socket cannot be told the name of {role}")
        else:
            self._by_role(name, role, self.old.contents[name], self.new.contents[name])

    def _one_role(self, name: str) -> bool:
        return len(self.old.roles[name] | self.new.roles[name]) == 1

    def _by_role(self, name: str, role: Role, old: bytes, new: bytes) -> None:
        try:
            if role is Role.PATTERNS:
                self._patterns(name, patterns(old), patterns(new))
            elif role is Role.CRT_LIST:
                self._crt_list(name, entries(old), entries(new))
            elif payload(old) == payload(new):
                pass
            elif role is not Role.CERTIFICATE and not self.has(Feature.AUTHORITIES_REPLACED):
                # Those with the fault forget which certificates are in use when they do: they take later ones, and go on to show the earlier.
                self.draft.reload(name, "content", f"has changed, and this HAProxy has no good way to replace {role} while it runs")
            elif role is Role.AUTHORITIES:
                confirm = AuthoritiesAre(name, frozenset(fingerprints(new)))
                self._replace(name, "ca-file", new, r"transaction (created|updated) for CA", confirm)
            elif role is Role.REVOCATIONS:
                confirm_crl = RevocationsAre(name, revoked(new))
                self._replace(name, "crl-file", new, r"transaction (created|updated) for CRL", confirm_crl)
            elif not self._shares_names(name):
                self._replace(
                    name, "cert", new, r"Transaction (created|updated) for certificate", CertificateIs(name, fingerprints(new)[0])
                )
        except (ValueError, IndexError) as error:
            self.draft.reload(name, "content", f"cannot be read: {error}")

    def _fits(self, name: str, command: str, content: bytes) -> bool:
        fits = len(command) + len(payload(content)) <= self.room
        if not fits:
            self.draft.reload(name, "content", f"is larger than one command may be, {self.room} bytes (`tune.bufsize`)")
        return fits

    def _replace(self, name: str, kind: str, content: bytes, answer: str, confirm: Confirmation) -> None:
        """One transaction: as a whole, or not at all. Connections that are open keep what they were opened with."""
        text = f"set ssl {kind} {name}"
        if self._fits(name, text, content):
            self.draft.command(
                Phase.FILES,
                Command(text=text, object=name, field="content", payload=payload(content), answer=answer, undo=f"abort ssl {kind} {name}"),
                Command(
                    text=f"commit ssl {kind} {name}", object=name, field="content", answer="Success!", confirm=(confirm,), settles=True
                ),
            )

    def _shares_names(self, name: str) -> bool:
        """Whether another certificate of a list answers to one of its names: a replaced one is put behind that, wherever it stood."""
        for listing, of in self.new.roles.items():
            lines = entries(self.new.contents.get(listing, b"")) if Role.CRT_LIST in of else []
            mine = {word for line in lines if line[0] == name for word in self.new.names_of(line)}
            if mine and any(mine & self.new.names_of(line) for line in lines if line[0] != name):
                self.draft.reload(name, "content", f"has changed, and another certificate in {listing} has a name of its")
                return True
        return False

    def _patterns(self, name: str, old: frozenset[str], new: frozenset[str]) -> None:
        """A new version of the list beside the one in use, which it then takes the place of at once."""
        if old == new:
            return
        add = [f"add acl @{{version}} {name} {_escaped(pattern)}" for pattern in sorted(new)]
        if any(map(_UNSAYABLE.search, new)) or max((len(text.encode()) for text in add), default=0) > self.room:
            self.draft.reload(name, "content", "has patterns that the socket cannot be told")
            return
        self.draft.command(
            Phase.FILES,
            Command(
                text=f"prepare acl {name}",
                object=name,
                field="content",
                answer=r"New version created: (?P<version>\d+)",
                undo=f"clear acl @{{version}} {name}",
            ),
            *(Command(text=text, object=name, field="content") for text in add),
            Command(text=f"commit acl @{{version}} {name}", object=name, field="content", confirm=(PatternsAre(name, new),), settles=True),
        )

    def _crt_list(self, name: str, old: list[Entry], new: list[Entry]) -> None:
        added = [entry for entry in new if entry not in old]
        removed = [entry for entry in old if entry not in new]
        problem = self._not_listable(old, new, [*added, *removed])
        if problem:
            self.draft.reload(name, "content", problem)
            return
        if not added and not removed:
            return
        fresh = [entry[0] for entry in added if entry[0] not in self.old.roles]
        for file in dict.fromkeys(fresh):
            self._load(file)
        confirm = CrtListIs(name, tuple(sorted(new)))
        for entry in added:
            line = " ".join(entry).encode("latin-1") + b"\n"
            self.draft.command(
                Phase.FILES,
                Command(text=f"add ssl crt-list {name}", object=name, field=entry[0], payload=line, answer="Success!", confirm=(confirm,)),
            )
        for entry in removed:
            # A line is known by its number, which in a list that has been changed before only HAProxy knows.
            shown = re.escape(" ".join(entry[1:]))
            self.draft.command(
                Phase.FILES,
                Command(
                    text=f"show ssl crt-list -n {name}",
                    object=name,
                    field=entry[0],
                    answer=rf"(?m)^{re.escape(entry[0])}:(?P<line>\d+) *{shown} *$",
                ),
                Command(
                    text=f"del ssl crt-list {name} {entry[0]}:{{line}}",
                    object=name,
                    field=entry[0],
                    answer="deleted in crtlist",
                    confirm=(confirm,),
                ),
            )
            if entry[0] not in self.new.roles:
                self.draft.command(Phase.FORGET, Command(text=f"del ssl cert {entry[0]}", object=name, field=entry[0], answer="deleted!"))

    def _load(self, file: str) -> None:
        """A certificate that HAProxy does not have yet."""
        content = self.new.contents[file]
        text = f"set ssl cert {file}"
        if self._fits(file, text, content):
            self.draft.command(
                Phase.FILES,
                Command(text=f"new ssl cert {file}", object=file, field="content", answer="New empty certificate store"),
                Command(
                    text=text,
                    object=file,
                    field="content",
                    payload=payload(content),
                    answer=r"Transaction (created|updated) for certificate",
                    undo=f"abort ssl cert {file}",
                ),
                Command(
                    text=f"commit ssl cert {file}",
                    object=file,
                    field="content",
                    answer="Success!",
                    confirm=(CertificateIs(file, fingerprints(content)[0]),),
                    undo=f"del ssl cert {file}",
                    settles=True,
                ),
            )

    def _not_listable(self, old: list[Entry], new: list[Entry], moved: list[Entry]) -> str | None:
        """Why the lines of a crt-list cannot become the others while HAProxy runs."""
        if not old or not new or old[0] != new[0]:
            return "its first line has changed: the default certificate stays while HAProxy runs"
        counted = Counter(entry[0] for entry in (*dict.fromkeys(old), *new))
        if len(set(old)) != len(old) or len(set(new)) != len(new) or any(counted[entry[0]] > 2 for entry in moved):
            return "has a certificate more than once"
        for entry in moved:
            if any(word.startswith(("[", "!")) for word in entry[1:]) or not all(_SAYABLE.fullmatch(word) for word in entry):
                return f"the line of {entry[0]} has more than names"
            if entry in new and entry[0] not in self.old.roles and entry[0] not in self.new.contents:
                return f"{entry[0]}, which is new in it, is not known"
        there = [entry for entry in old if entry in new] + [entry for entry in new if entry not in old]
        if self._by_name(there, self.new.names_of) != self._by_name(new, self.new.names_of):
            return "certificates that have names in common have changed their order"
        return None

    def _by_name(self, listed: list[Entry], names_of: Callable[[Entry], frozenset[str]]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in listed:
            for name in names_of(entry):
                found.setdefault(name, []).append(entry)
        return found


def _escaped(pattern: str) -> str:
    """As one word of a command."""
    return _ESCAPED.sub(r"\\\g<0>", pattern)
