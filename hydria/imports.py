"""Joins what the Octavia API and its client print, in any order and any pieces, into one graph.

A piece is an API body (`{"listener": {…}}`, `{"members": […]}`), what `openstack loadbalancer … show -f json` prints (one object, bare) or
`… list -f json` (several). Objects are known by their ids; what is said twice of one is put together. The client's own forms become
the API's again (`client_forms`).

An object's place comes from what refers to it, from either side. The members of a pool and the rules of a policy do not name their
owner: then it is the one whose id is in the file's name, the one that the caller says, or the only one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from compiler.problems import ObjectRef, Problem, Severity
from hydria.client_forms import STRUCTS, Thing, api_form, ids, words

#: The API's words for bodies: one object, several.
_BODIES = {name: name for name in STRUCTS} | {"rule": "l7rule", "rules": "l7rule", "l7policies": "l7policy"}
_BODIES |= {f"{name}s": name for name in STRUCTS if name not in ("l7policy", "l7rule")}
#: A field that only this type of object has, in the order of asking.
_MARKS = [
    ("vip_address", "loadbalancer"),
    ("compare_type", "l7rule"),
    ("action", "l7policy"),
    ("lb_algorithm", "pool"),
    ("address", "member"),
    ("protocol_port", "listener"),
    ("type", "healthmonitor"),
]
#: type → field that holds objects → their type.
_CHILDREN: dict[str, dict[str, str]] = {
    "loadbalancer": {"listeners": "listener", "pools": "pool"},
    "listener": {"l7policies": "l7policy"},
    "l7policy": {"rules": "l7rule"},
    "pool": {"members": "member", "healthmonitor": "healthmonitor"},
}
#: type → field by which an object names its owner.
_OWNERS = {
    "listener": ("loadbalancers", "load_balancer_id"),
    "pool": ("loadbalancers", "loadbalancer_id"),
    "l7policy": ("listener_id",),
    "healthmonitor": ("pools",),
}
_SHOW = {"loadbalancer": "", "l7policy": "l7policy ", "l7rule": "l7rule ", "healthmonitor": "healthmonitor "}


class Piece(NamedTuple):
    """One JSON document, and the name of what it was read from."""

    source: str
    document: Any


class Joined(NamedTuple):
    """The graph as plain data, None where there is no load balancer; what is missing or not understood; how many objects were of others."""

    graph: Thing | None
    problems: list[Problem]
    others: int


def join(pieces: Iterable[Piece], owners: Mapping[str, str] | None = None) -> Joined:
    """One graph of all the pieces. `owners`: type of an object (member, l7rule) → the id of the owner of those that nothing else places."""
    return _Join(owners or {}).all(pieces)


class _Join:
    def __init__(self, owners: Mapping[str, str]) -> None:
        self.owners = owners
        self.problems: list[Problem] = []
        self.things: dict[str, dict[str, Thing]] = {name: {} for name in STRUCTS}
        self.children: dict[tuple[str, str], list[str]] = {}  # (owner's id, field) → ids, in order
        self.placed: set[str] = set()
        self.told: set[tuple[str, str]] = set()  # the (owner's id, field) whose children are all known by id
        self.sources: dict[str, list[str]] = {}

    def all(self, pieces: Iterable[Piece]) -> Joined:
        for piece in pieces:
            self._piece(piece)
        balancers = list(self.things["loadbalancer"])
        if len(balancers) != 1:
            said = (
                f"{len(balancers)} load balancers given ({', '.join(balancers)}); one is needed" if balancers else "no load balancer given"
            )
            self._wrong("not-a-load-balancer", said, hint="add the output of `openstack loadbalancer show … -f json`")
            return Joined(None, self.problems, 0)
        for pool in self.things["pool"].values():
            for monitor in ids(pool.get("healthmonitor_id")):
                self._below(pool["id"], "healthmonitor", monitor)
        for kind in ("listener", "pool", "l7policy", "healthmonitor", "member", "l7rule"):
            for thing in list(self.things[kind].values()):
                self._place(kind, thing)
        used: set[str] = set()
        graph = self._nested("loadbalancer", balancers[0], used)
        self._references(used)
        known = {identifier for things in self.things.values() for identifier in things}
        return Joined({"loadbalancer": graph}, self.problems, len(known - used))

    # -- taking in

    def _piece(self, piece: Piece) -> None:
        items = piece.document if isinstance(piece.document, list) else [piece.document]
        for item in items:
            if not isinstance(item, dict):
                self._wrong("wrong-type", f"{piece.source}: {item!r} given; an object of the API is needed")
                continue
            bodies = [key for key in item if key in _BODIES and isinstance(item[key], dict | list)]
            if "id" not in item and bodies:
                for key in bodies:
                    for thing in item[key] if isinstance(item[key], list) else [item[key]]:
                        self._take(_BODIES[key], thing, piece.source)
            else:
                kind = next((kind for mark, kind in _MARKS if mark in item), None)
                if kind is None:
                    self._wrong(
                        "invalid-value",
                        f"{piece.source}: an object of the fields {', '.join(sorted(map(str, item))) or '(none)'} is none of the API's",
                    )
                else:
                    self._take(kind, item, piece.source)

    def _take(self, kind: str, given: Any, source: str) -> None:
        """Notes an object and, if they are in it, those below it."""
        if not isinstance(given, dict) or not isinstance(given.get("id"), str) or not given["id"]:
            self._wrong("missing-field", f"{source}: a {kind} without an id; what the API shows has one", kind)
            return
        identifier = given["id"]
        thing = self.things[kind].setdefault(identifier, {"id": identifier})
        self.sources.setdefault(identifier, []).append(source)
        for key, value in given.items():
            child = _CHILDREN.get(kind, {}).get(key)
            if child is None:
                if value is not None or key not in thing:
                    thing[key] = value
                continue
            self.told.add((identifier, key))
            for part in value if isinstance(value, list) else words(value) if isinstance(value, str) else [value] if value else []:
                name = part.get("id") if isinstance(part, dict) else part
                if isinstance(name, str):
                    self._below(identifier, key, name)
                if isinstance(part, dict) and len(part) > 1:
                    self._take(child, part, source)

    def _below(self, owner: str, field: str, identifier: str) -> None:
        listed = self.children.setdefault((owner, field), [])
        if identifier not in listed:
            listed.append(identifier)
        self.placed.add(identifier)

    # -- placing

    def _place(self, kind: str, thing: Thing) -> None:
        """Puts an object below its owner, where the owner did not name it."""
        owner_kind, field = next((owner, field) for owner, fields in _CHILDREN.items() for field, child in fields.items() if child == kind)
        given = self.things[owner_kind]
        named = [name for key in _OWNERS.get(kind, ()) for name in ids(thing.get(key))]
        for owner in named:
            self._below(owner, field, thing["id"])
        if thing["id"] in self.placed:
            return
        by_file = [owner for owner in given if any(owner in source for source in self.sources[thing["id"]])]
        open_ones = [owner for owner in given if (owner, field) not in self.told]
        chosen = (by_file[0] if len(by_file) == 1 else None) or self.owners.get(kind) or (open_ones[0] if len(open_ones) == 1 else None)
        if chosen is None and given and not open_ones:
            return  # everybody says whom they have; it is somebody else's
        if chosen is None:
            option = {
                "member": "; name the file after the pool's id, or use --pool",
                "l7rule": "; name the file after the policy's id, or use --l7policy",
            }
            self._wrong(
                "dangling-reference",
                f"nothing says which {owner_kind} this {kind} belongs to",
                kind,
                thing,
                hint=f"add the {owner_kind}'s `show`{option.get(kind, '')}",
            )
            return
        self._below(chosen, field, thing["id"])

    def _references(self, used: set[str]) -> None:
        for kind, field in (("listener", "default_pool_id"), ("l7policy", "redirect_pool_id")):
            for identifier, thing in self.things[kind].items():
                pool = thing.get(field)
                if identifier in used and pool and pool not in self.things["pool"]:
                    self._missing("pool", pool, kind, thing)

    # -- giving out

    def _nested(self, kind: str, identifier: str, used: set[str]) -> Thing:
        used.add(identifier)
        thing = self.things[kind][identifier]
        found = api_form(kind, thing)
        for field, child in _CHILDREN.get(kind, {}).items():
            below = []
            for name in self.children.get((identifier, field), ()):
                if name in self.things[child]:
                    below.append(self._nested(child, name, used))
                else:
                    self._missing(child, name, kind, thing)
            if below:
                found[field] = below[0] if field == "healthmonitor" else below
        return found

    def _missing(self, kind: str, identifier: str, referring: str, thing: Thing) -> None:
        show = _SHOW.get(kind, f"{kind} ") + "show " + (f"{thing['id']} " if kind in ("member", "l7rule") else "")
        message = f"the {kind} {identifier} was not given, though this {referring} has it"
        self._wrong(
            "dangling-reference", message, referring, thing, hint=f"add the output of `openstack loadbalancer {show}{identifier} -f json`"
        )

    def _wrong(self, code: str, message: str, kind: str | None = None, thing: Thing | None = None, *, hint: str | None = None) -> None:
        ref = ObjectRef(kind, str((thing or {}).get("id") or ""), str((thing or {}).get("name") or "")) if kind else None
        self.problems.append(Problem(severity=Severity.ERROR, object=ref, code=code, message=message, hint=hint))
