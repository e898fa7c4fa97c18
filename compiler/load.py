"""Text → `LoadBalancer`. Says of every field at once what is wrong with it; gives objects without an id a stable one.

A good document takes the fast way: straight from JSON into structs. Only one with something wrong (or with `null` for a default, or
YAML) is walked field by field.
"""

from __future__ import annotations

import re
import types
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from compiler import documents, identity
from compiler.errors import ProblemError
from compiler.graph import TYPE_NAMES, L7Policy, Listener, LoadBalancer, Member, Node, Pool
from compiler.problems import MOST_PROBLEMS, ObjectRef, Problem, did_you_mean
from compiler.text_bounds import Place


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    loadbalancer: LoadBalancer


def load(text: str | bytes) -> LoadBalancer:
    """The graph that the text, JSON or YAML, describes: the create body (`{"loadbalancer": {…}}`), or its inside alone.

    Raises ProblemError with everything that is wrong with single fields, each with its line and column. In JSON, which programs write,
    the last of two fields with one name counts (RFC 8259 4 leaves it open); in YAML, which people write, the second is a problem.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if documents.is_json(data) and documents.json_excess(data) is None:
        try:
            graph = msgspec.json.decode(data, type=_Document).loadbalancer
            if _member_ids_are_uuids(graph):
                return identity.complete(graph)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            pass  # the slow way below says what is wrong, all of it
    return identity.complete(_convert(documents.parse(data), data))


_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_NO_ID = "00000000-0000-0000-0000-000000000000"
_SHAPE = "x" * 8 + "-xxxx" * 3 + "-" + "x" * 12
_TO_SHAPE = {ord(digit): "x" for digit in "0123456789abcdefABCDEF"} | {ord("x"): None}


def _member_ids_are_uuids(graph: LoadBalancer) -> bool:
    """All members' ids are UUIDs, or not given: as the type `Uuid` says of every other object's, but in one look."""
    pools = [*graph.pools, *(listener.default_pool for listener in graph.listeners)]
    pools += [policy.redirect_pool for listener in graph.listeners for policy in listener.l7policies]
    ids = [member.id for pool in pools if pool is not None for member in pool.members if member.id]
    return "".join(ids).translate(_TO_SHAPE) == _SHAPE * len(ids) and set(map(len, ids)) <= {len(_SHAPE)}


def with_places(data: str | bytes, problems: list[Problem] | tuple[Problem, ...]) -> list[Problem]:
    """The same problems, each with the line and column of its path in the text where that is known."""
    found = places(data, {problem.path for problem in problems if problem.line is None and problem.path})
    return [
        msgspec.structs.replace(problem, line=place.line, column=place.column)
        if problem.line is None and (place := found.get(problem.path))
        else problem
        for problem in problems
    ]


def places(data: str | bytes, paths: Collection[str], *, exact: bool = False) -> dict[str, Place]:
    """Where in the text of a graph each path (`loadbalancer.listeners[0].name`) stands; what is not given, where its object does, or,
    if it is to be `exact`, nowhere.
    """
    if not paths:
        return {}
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    # The inside of a load balancer may be given alone; its paths are then told with the name that it would have.
    prefix = "" if any(path == "loadbalancer" for path in documents.locate(raw, ["loadbalancer"])) else "loadbalancer."
    found = documents.locate(raw, [path.removeprefix(prefix) for path in paths], exact=exact)
    return {path: place for path in paths if (place := found.get(path.removeprefix(prefix)))}


def _convert(document: Any, data: bytes) -> LoadBalancer:
    if isinstance(document, dict) and "loadbalancer" in document:
        raw: Any = document["loadbalancer"]
        others = sorted(str(key) for key in document if key != "loadbalancer")
    else:
        raw, others = document, []
    if not isinstance(raw, dict) or not (set(raw) & set(_fields(LoadBalancer))):
        message = f"{_shown(document)} given; a mapping `loadbalancer: {{vip_address: …, listeners: […]}}` is needed"
        raise ProblemError([Problem(code="not-a-load-balancer", message=message, line=1, column=1)])
    walk = _Walk()
    for other in others:
        walk.unknown(None, other, other, ["loadbalancer"])
    try:
        cleaned = walk.struct(LoadBalancer, raw, "loadbalancer")
    except ProblemError as error:
        raise ProblemError(with_places(data, error.problems)) from None
    if walk.problems:
        raise ProblemError(with_places(data, walk.problems))
    try:
        return msgspec.convert(cleaned, LoadBalancer)
    except msgspec.ValidationError as error:  # what the walk overlooked is still a problem of the input
        raise ProblemError([Problem(path="loadbalancer", code="wrong-type", message=str(error))]) from error


class _Field(msgspec.Struct, frozen=True):
    """What the walk must know of a field. `holder` is a struct with this field alone: converting into that is fast, its type being known."""

    hint: Any
    holder: type[msgspec.Struct]
    nullable: bool


@lru_cache(maxsize=64)
def _fields(struct: type) -> dict[str, _Field]:
    hints = get_type_hints(struct, include_extras=True)
    if issubclass(struct, Node):
        hints["id"] = get_type_hints(Node, include_extras=True)["id"]
    return {
        name: _Field(hint, msgspec.defstruct("_Holder", [("value", hint)]), type(None) in get_args(hint) or hint is Any)
        for name, hint in hints.items()
    }


class _Walk:
    """Goes through plain data along the structs' types, collecting problems; leaves out `null` where a default stands in for it."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def unknown(self, ref: ObjectRef | None, path: str, key: str, known: list[str]) -> None:
        self._report(ref, path, "unknown-field", f"{_shown(key)} is not a field here", did_you_mean(key, known))

    def struct(self, struct: type[msgspec.Struct], raw: Any, path: str, parent: ObjectRef | None = None) -> Any:
        if not isinstance(raw, dict):
            self._report(parent, path, "wrong-type", f"{_shown(raw)} given; a mapping of fields is needed")
            return raw
        ref = _reference(struct, raw) or parent
        fields = _fields(struct)
        cleaned: dict[str, Any] = {}
        for key, value in raw.items():
            field = fields.get(key)
            if field is None:
                self.unknown(ref, f"{path}.{key}", str(key), list(fields))
            elif value is not None or field.nullable:  # else null: as if it were not given
                cleaned[key] = self._value(field.hint, value, f"{path}.{key}", ref, field.holder)
        for required in msgspec.structs.fields(struct):
            if required.required and required.name not in cleaned:
                allowed = _allowed(fields[required.name].hint)
                self._report(ref, f"{path}.{required.name}", "missing-field", f"{required.name} is needed: {allowed}")
        return cleaned

    def _items(self, struct: type[msgspec.Struct], items: list[Any], path: str) -> list[Any]:
        """Most items are right, and that is seen at once; only the others are walked."""
        cleaned = []
        for number, item in enumerate(items):
            cleaned.append(item if _is_right(struct, item) else self.struct(struct, item, f"{path}[{number}]"))
        return cleaned

    def _value(self, hint: Any, value: Any, path: str, ref: ObjectRef | None, holder: type[msgspec.Struct] | None = None) -> Any:
        inner = _struct_in(hint)
        if inner is not None:
            if _is_sequence(hint):
                if not isinstance(value, list):
                    self._report(ref, path, "wrong-type", f"{_shown(value)} given; a list is needed")
                    return value
                return self._items(inner, value, path)
            return None if value is None else self.struct(inner, value, path, ref)
        if _is_sequence(hint) and isinstance(value, list):
            return [self._value(_item(hint), item, f"{path}[{n}]", ref) for n, item in enumerate(value)]
        try:
            msgspec.convert({"value": value}, holder or msgspec.defstruct("_Holder", [("value", hint)]))
        except (msgspec.ValidationError, TypeError):
            code = "wrong-type" if _type_differs(hint, value) else "invalid-value"
            hints = did_you_mean(value.upper(), _literals(hint)) if isinstance(value, str) else None
            if code == "wrong-type" and str in _alternatives(hint) and not isinstance(value, list | dict):
                hints = "in YAML, a text that looks like a number or a truth value (off, 1.0) is written in quotes"
            self._report(ref, path, code, f"{_shown(value)} given; allowed: {_allowed(hint)}", hints)
        return value

    def _report(self, ref: ObjectRef | None, path: str, code: str, message: str, hint: str | None = None) -> None:
        if len(self.problems) >= MOST_PROBLEMS:
            told = f"more than {MOST_PROBLEMS} problems; mend these first"
            raise ProblemError([*self.problems, Problem(path=path, code="too-many-problems", message=told)])
        self.problems.append(Problem(object=ref, path=path, code=code, message=message, hint=hint))


def _is_right(struct: type[msgspec.Struct], item: Any) -> bool:
    """Whether the item needs no walk. What holds members is walked all the same: their ids are more than their type says."""
    if struct in (Listener, L7Policy, Pool):
        return False
    try:
        msgspec.convert(item, struct)
    except msgspec.ValidationError:
        return False
    return struct is not Member or _UUID.fullmatch(item.get("id") or _NO_ID) is not None


def _reference(struct: type, raw: dict[Any, Any]) -> ObjectRef | None:
    name = TYPE_NAMES.get(struct)
    return ObjectRef(name, str(raw.get("id") or ""), str(raw.get("name") or "")) if name else None


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _is_sequence(hint: Any) -> bool:
    return any(get_origin(kind) is tuple for kind in _alternatives(hint))


def _item(hint: Any) -> Any:
    return next(get_args(kind)[0] for kind in _alternatives(hint) if get_origin(kind) is tuple)


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    for kind in _alternatives(hint):
        kind = get_args(kind)[0] if get_origin(kind) is tuple else kind  # noqa: PLW2901  (unwrapping in place reads best)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return kind
    return None


def _literals(hint: Any) -> list[str]:
    found: list[str] = []
    for kind in _alternatives(hint):
        if get_origin(kind) is tuple:
            found += _literals(get_args(kind)[0])
        elif get_origin(kind) is Literal:
            found += [word for word in get_args(kind) if isinstance(word, str)]
    return found


_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null", Any: "anything"}
_PYTHON = {str: (str,), int: (int,), float: (int, float), bool: (bool,), type(None): (type(None),)}


def _allowed(hint: Any) -> str:
    """What a type takes, in words."""
    said: list[str] = []
    for kind in _alternatives(hint):
        origin = get_origin(kind)
        if kind is type(None):
            continue
        if origin is Literal:
            said.append(", ".join(str(word) for word in get_args(kind) if word != ""))
        elif origin is tuple:
            said.append(f"a list of {_allowed(get_args(kind)[0])}")
        elif origin is dict:
            said.append(f"a mapping of names to {_allowed(get_args(kind)[1])}")
        elif hasattr(kind, "__metadata__"):
            base, meta = get_args(kind)
            if meta.pattern:
                said.append("a UUID such as 6f1f4c3e-0d5e-4b0f-9c53-2f1d8f0f7a11")
            elif meta.le is not None:
                said.append(f"{_WORDS[base]} from {meta.ge} to {meta.le}")
            else:
                said.append(f"{_WORDS[base]} from {meta.ge}")
        elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            said.append("a mapping of fields")
        else:
            said.append(_WORDS[kind])
    return " or ".join(filter(None, said))


def _type_differs(hint: Any, value: Any) -> bool:
    """Whether no alternative of the type is of the value's kind at all (as opposed to: right kind, wrong value)."""
    for kind in _alternatives(hint):
        origin = get_origin(kind)
        if origin is Literal:
            bases: tuple[type, ...] = tuple({type(word) for word in get_args(kind)})
        elif origin in (tuple, dict):
            bases = (list,) if origin is tuple else (dict,)
        else:
            base = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
            bases = _PYTHON.get(base, (object,))
        if isinstance(value, bases) and (not isinstance(value, bool) or bool in bases):
            return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
