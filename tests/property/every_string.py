"""Every string of a graph and of a target: which fields can hold one, as the structs say; and where they are in plain data.

So a field that is added to a struct is known here without anybody thinking of it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import inspect as types

if TYPE_CHECKING:
    from collections.abc import Iterator

#: (name of the struct, name of the field)
Field = tuple[str, str]


class Spot(NamedTuple):
    """A string in plain data: its path as problems tell it, the way there, and the field that it is (a part of)."""

    path: str
    way: tuple[str | int, ...]
    field: Field


def fields_of(struct: type) -> set[Field]:
    """Every field that may hold a string, in this struct and in all that it is made of. What may be anything may be a string."""
    found: set[Field] = set()
    for inner in _structs(struct):
        found |= {(inner.__name__, field.name) for field in msgspec.structs.fields(inner) if _holds_text(types.type_info(field.type))}
    return found


def _structs(struct: type) -> set[type]:
    seen: set[type] = set()
    waiting = [struct]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting += [
                found.cls
                for field in msgspec.structs.fields(one)
                for found in alternatives(types.type_info(field.type))
                if isinstance(found, types.StructType)
            ]
    return seen


def alternatives(kind: types.Type) -> Iterator[types.Type]:
    """The types that a value, or an item of it, may have."""
    match kind:
        case types.UnionType():
            for one in kind.types:
                yield from alternatives(one)
        case types.VarTupleType() | types.ListType():
            yield from alternatives(kind.item_type)
        case types.DictType():
            yield from alternatives(kind.key_type)
            yield from alternatives(kind.value_type)
        case types.Metadata():
            yield from alternatives(kind.type)
        case _:
            yield kind


def _holds_text(kind: types.Type) -> bool:
    return any(
        isinstance(one, types.StrType | types.AnyType | types.EnumType)
        or (isinstance(one, types.LiteralType) and any(isinstance(v, str) for v in one.values))
        for one in alternatives(kind)
    )


def spots(struct: type, data: Any, path: str) -> list[Spot]:
    """Every string in the plain data of a struct; the path of the data itself is given."""
    found: list[Spot] = []
    for field in msgspec.structs.fields(struct):
        if field.name in data:
            inner = next((one.cls for one in alternatives(types.type_info(field.type)) if isinstance(one, types.StructType)), None)
            here = f"{path}.{field.name}".lstrip(".")
            found += _spots(inner, data[field.name], here, (field.name,), (struct.__name__, field.name))
    return found


def _spots(inner: type | None, value: Any, path: str, way: tuple[str | int, ...], field: Field) -> list[Spot]:
    if isinstance(value, list | tuple):
        return [spot for n, item in enumerate(value) for spot in _spots(inner, item, f"{path}[{n}]", (*way, n), field)]
    if isinstance(value, dict) and inner is not None:
        return [Spot(spot.path, way + spot.way, spot.field) for spot in spots(inner, value, path)]
    if isinstance(value, dict):
        return [spot for key, item in value.items() for spot in _spots(None, item, f"{path}.{key}", (*way, key), field)]
    return [Spot(path, way, field)] if isinstance(value, str) else []


def objects(struct: type, data: Any, path: str, way: tuple[str | int, ...] = ()) -> Iterator[tuple[type, str, tuple[str | int, ...]]]:
    """Every struct in plain data: its type, its path as problems tell it, the way there."""
    yield struct, path, way
    for field in msgspec.structs.fields(struct):
        inner = next((one.cls for one in alternatives(types.type_info(field.type)) if isinstance(one, types.StructType)), None)
        value = data.get(field.name)
        if inner is not None and isinstance(value, dict):
            yield from objects(inner, value, f"{path}.{field.name}", (*way, field.name))
        elif inner is not None and isinstance(value, list):
            for n, item in enumerate(value):
                yield from objects(inner, item, f"{path}.{field.name}[{n}]", (*way, field.name, n))


def with_string(data: Any, spot: Spot, text: str) -> Any:
    """The same data but for one string."""
    changed = copy.deepcopy(data)
    place = changed
    for step in spot.way[:-1]:
        place = place[step]
    place[spot.way[-1]] = text
    return changed


def at(data: Any, spot: Spot) -> str:
    """The string."""
    for step in spot.way:
        data = data[step]
    return str(data)


def filled(struct: type, data: Any, text: str = "harmless") -> Any:
    """The same data, in which every string field that no object has, has `text` in all."""
    missing = fields_of(struct) - {spot.field for spot in spots(struct, data, "")}

    def fill(inner: type, value: Any) -> Any:
        done = dict(value)
        if set(done) == {"name"}:
            return done  # a reference to what is described elsewhere
        for field in msgspec.structs.fields(inner):
            deeper = next((one.cls for one in alternatives(types.type_info(field.type)) if isinstance(one, types.StructType)), None)
            if (inner.__name__, field.name) in missing:
                done[field.name] = [text] if _is_sequence(types.type_info(field.type)) else text
            elif deeper is not None and isinstance(done.get(field.name), dict):
                done[field.name] = fill(deeper, done[field.name])
            elif deeper is not None and isinstance(done.get(field.name), list):
                done[field.name] = [fill(deeper, item) for item in done[field.name]]
        return done

    return fill(struct, data)


def _is_sequence(kind: types.Type) -> bool:
    if isinstance(kind, types.UnionType):
        return any(map(_is_sequence, kind.types))
    return isinstance(kind, types.VarTupleType | types.ListType)
