"""Text → plain data (dict, list, str, int …), for JSON and YAML; and where in the text each field stands.

YAML is read from libyaml's events, not by a recursive loader: depth, repetition through aliases and repeated keys can then be
refused with a place, and no input can exhaust the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import yaml

from compiler.errors import ProblemError
from compiler.problems import Problem

#: Bytes of YAML and of JSON that are read at most: what takes about a second, right or wrong. YAML is for people; what is larger (some
#: 40 000 members) is better written as JSON, which is read sixty times as fast.
YAML_LIMIT = 4 * 1024**2
JSON_LIMIT = 64 * 1024**2
#: Bytes in which places are looked up. In larger texts, which programs write, a path must do.
PLACES_LIMIT = YAML_LIMIT
#: Levels of nesting (a graph has about ten) and values, after all YAML aliases are followed: an empty list takes 64 bytes of memory.
DEPTH_LIMIT = 64
VALUES_LIMIT = 5_000_000
#: Bytes of JSON that cannot hold too many values.
_FEW_VALUES = 8 * 1024**2

_TOO_DEEP = f"nested too deeply; {DEPTH_LIMIT} levels are read at most"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Scalars that stay the text they are: the API's timestamps are texts, "<<" is dealt with as a key, "=" means nothing to us.
_TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")
_VALUE_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_PLAIN_CONTAINERS = (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)")


class Place(NamedTuple):
    """Line and column, both from 1."""

    line: int
    column: int


def is_json(data: bytes) -> bool:
    """Whether this is to be read as JSON: the first character that is not white space opens an object or an array.

    YAML in flow style looks like that too; whoever writes it by hand may start it with `---`.
    """
    return data[:4096].lstrip()[:1] in (b"{", b"[")


def parse(data: bytes) -> Any:
    """The plain data that `data` holds; raises ProblemError ("syntax", "too-large" or "duplicate-field") with its place."""
    if is_json(data):
        return _parse_json(data)
    return _parse_yaml(data)


def json_excess(data: bytes) -> str | None:
    """Why this JSON is more than is read, None where it is not; seen without reading it: what is read may take twenty times as much memory."""
    if len(data) > JSON_LIMIT:
        return f"{len(data)} bytes of JSON given; {JSON_LIMIT} are read at most"
    if len(data) > _FEW_VALUES and sum(map(data.count, (b",", b"[", b"{"))) > VALUES_LIMIT:
        return f"more than {VALUES_LIMIT} values of JSON (commas and brackets) given; no more are read"
    return None


def _parse_json(data: bytes) -> Any:
    excess = json_excess(data)
    if excess:
        raise ProblemError([Problem(code="too-large", message=excess)])
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ProblemError([_json_syntax(data, error)]) from error


def _json_syntax(data: bytes, error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return Problem(code="too-large", message=f"the JSON is nested too deeply; {DEPTH_LIMIT} levels are read at most")
    match = re.search(r"\(byte (\d+)\)", str(error))
    offset = int(match[1]) if match else len(data)
    line = data.count(b"\n", 0, offset) + 1
    column = offset - (data.rfind(b"\n", 0, offset) + 1) + 1
    text = re.sub(r"\s*\(byte \d+\)", "", str(error))
    return Problem(code="syntax", message=f"this is not JSON: {text}", line=line, column=column)


class _Container(NamedTuple):
    """A mapping or sequence that is being read."""

    value: Any
    merged: dict[Any, Any]  # what `<<` brought, for what the mapping does not give itself
    anchor: str | None
    at: Place
    size: list[int]  # one number: values inside, aliases followed


def _parse_yaml(data: bytes) -> Any:
    if len(data) > YAML_LIMIT:
        message = f"{len(data)} bytes of YAML given; {YAML_LIMIT} are read at most. JSON may be larger: convert it"
        raise ProblemError([Problem(code="too-large", message=message)])
    try:
        return _YamlReader().read(yaml.parse(data, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (None, None)
        # libyaml reads ahead of its events, and since 0.2.6 has a limit of its own, which its scanner may meet before we meet ours.
        too_deep = "nesting depth" in str(error.problem)
        code = "too-large" if too_deep else "syntax"
        message = _TOO_DEEP if too_deep else f"this is not YAML: {error.problem or error.context}"
        raise ProblemError([Problem(code=code, message=message, line=place[0], column=place[1])]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"this is not YAML: {' '.join(str(error).split())}"
        raise ProblemError([Problem(code="syntax", message=message)]) from error


def _stop(code: str, message: str, at: Place) -> ProblemError:
    return ProblemError([Problem(code=code, message=message, line=at.line, column=at.column)])


class _YamlReader:
    """Builds data from events with a stack of its own."""

    def __init__(self) -> None:
        self._resolver = yaml.resolver.Resolver()
        self._constructor = yaml.constructor.SafeConstructor()
        self._stack: list[_Container] = []
        self._keys: list[Any] = []  # for each open container: the key that waits for its value, or _NO_KEY
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._result: Any = None
        self._documents = 0

    def read(self, events: Iterable[Any]) -> Any:
        """The one document that the events describe."""
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._put(self._scalar(event), 1, event)
            elif kind in (yaml.MappingStartEvent, yaml.SequenceStartEvent):
                self._open({} if kind is yaml.MappingStartEvent else [], event)
            elif kind in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
                self._close(event)
            elif kind is yaml.AliasEvent:
                if event.anchor not in self._anchors:
                    raise _stop("syntax", f"the alias *{event.anchor} refers to no anchor before it", _place(event))
                self._put(*self._anchors[event.anchor], event)
            elif kind is yaml.DocumentStartEvent:
                self._documents += 1
                if self._documents > 1:
                    raise _stop("syntax", "more than one YAML document; one load balancer is read from one document", _place(event))
        return self._result

    def _open(self, value: Any, event: Any) -> None:
        if event.tag not in _PLAIN_CONTAINERS:
            raise _stop("syntax", f"the tag {event.tag} is not known here; plain values are read", _place(event))
        if len(self._stack) >= DEPTH_LIMIT:
            raise _stop("too-large", _TOO_DEEP, _place(event))
        self._stack.append(_Container(value, {}, event.anchor, _place(event), [1]))
        self._keys.append(_NO_KEY)

    def _close(self, event: Any) -> None:
        container = self._stack.pop()
        self._keys.pop()
        for name, item in container.merged.items():
            container.value.setdefault(name, item)
        if container.anchor is not None:
            self._anchors[container.anchor] = (container.value, container.size[0])
        self._put(container.value, container.size[0], event)

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
        value = event.value
        if tag not in _TEXT_TAGS:
            if tag not in _VALUE_TAGS:
                raise _stop("syntax", f"the tag {tag} is not known here; plain values are read", _place(event))
            try:
                node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
                value = self._constructor.yaml_constructors[tag](self._constructor, node)
            except (ValueError, LookupError) as error:
                raise _stop("syntax", f"{event.value!r} is not a value of the type {tag.rpartition(':')[2]}", _place(event)) from error
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        return value

    def _put(self, value: Any, size: int, event: Any) -> None:
        if not self._stack:
            self._result = value
            return
        container = self._stack[-1]
        container.size[0] += size
        if container.size[0] > VALUES_LIMIT:
            raise _stop("too-large", f"more than {VALUES_LIMIT} values once the aliases are followed", _place(event))
        if isinstance(container.value, list):
            container.value.append(value)
        elif self._keys[-1] is _NO_KEY:
            if not isinstance(value, str | int | float | bool | None):
                raise _stop("syntax", "a mapping's key must be a plain word", _place(event))
            if value in container.value and value != "<<":
                raise _stop("duplicate-field", f"{value!r} is given twice here", _place(event))
            self._keys[-1] = value
        else:
            key, self._keys[-1] = self._keys[-1], _NO_KEY
            if key == "<<":
                _merge(container.merged, value, event)
            else:
                container.value[key] = value


def _merge(into: dict[Any, Any], value: Any, event: Any) -> None:
    """`<<: *other`: what is not given here is taken from there (YAML 1.1 merge keys)."""
    for mapping in value if isinstance(value, list) else [value]:
        if not isinstance(mapping, dict):
            raise _stop("syntax", "<< takes a mapping or a list of mappings", _place(event))
        for name, item in mapping.items():
            into.setdefault(name, item)


_NO_KEY = object()


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def locate(data: bytes, paths: Iterable[str], *, exact: bool = False) -> dict[str, Place]:
    """Where in the text each of `paths` (`loadbalancer.listeners[0].name`) stands: a field's key, an item's start.

    A path that is not in the text is given the place of its nearest ancestor that is, or, if it is to be `exact`, none. Costs a second
    reading of the text, so that a text above PLACES_LIMIT has no places.
    """
    if len(data) > PLACES_LIMIT:
        return {}
    wanted = set(paths)
    for path in paths:
        while path := _parent(path):
            wanted.add(path)
    found: dict[str, Place] = {}
    tokens = _json_tokens(data) if is_json(data) else _yaml_tokens(data)
    try:
        for path, place in _walk(tokens):
            if path in wanted:
                found.setdefault(path, place)
    except yaml.YAMLError:
        pass  # text that does not parse has its own problem, with its own place; what was found before it still holds
    if exact:
        return {path: found[path] for path in paths if path in found}
    return {path: found[near] for path in paths if (near := _nearest(path, found)) is not None}


def _parent(path: str) -> str:
    cut = max(path.rfind("."), path.rfind("["))
    return path[:cut] if cut > 0 else ""


def _nearest(path: str, found: dict[str, Place]) -> str | None:
    while path and path not in found:
        path = _parent(path)
    return path or None


# What both kinds of text are reduced to: ("{" | "[" | "}" | "]" | "value", text, place); text only for scalars, which may be keys.
_Token = tuple[str, str, Place]


def _walk(tokens: Iterator[_Token]) -> Iterator[tuple[str, Place]]:
    """(path, place) of every value: the place is the key's where it has one."""
    stack: list[tuple[str, int]] = []  # (path, next index) of each open container; index -1 in a mapping
    key: str | None = None
    key_place = Place(1, 1)
    for kind, text, place in tokens:
        if kind in "}]":
            stack.pop()
            key = None
            continue
        if stack and stack[-1][1] < 0:  # in a mapping
            if key is None and kind == "value":
                key, key_place = text, place
                continue
            path = f"{stack[-1][0]}.{key}" if stack[-1][0] else str(key)
            yield path, key_place
            key = None
        elif stack:
            parent, index = stack[-1]
            stack[-1] = (parent, index + 1)
            path = f"{parent}[{index}]"
            yield path, place
        else:
            path = ""
        if kind == "{":
            stack.append((path, -1))
        elif kind == "[":
            stack.append((path, 0))


def _yaml_tokens(data: bytes) -> Iterator[_Token]:
    events: Iterable[Any] = yaml.parse(data, Loader=_LOADER)
    for event in events:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            yield "value", event.value, _place(event)
        elif kind is yaml.AliasEvent:
            yield "value", "", _place(event)
        elif kind is yaml.MappingStartEvent:
            yield "{", "", _place(event)
        elif kind is yaml.SequenceStartEvent:
            yield "[", "", _place(event)
        elif kind is yaml.MappingEndEvent:
            yield "}", "", _place(event)
        elif kind is yaml.SequenceEndEvent:
            yield "]", "", _place(event)


_JSON_TOKEN = re.compile(r'[{}\[\]\n]|"((?:[^"\\]|\\.)*)"|[^\s{}\[\],:"]+', re.DOTALL)


def _json_tokens(data: bytes) -> Iterator[_Token]:
    line, start = 1, 0
    for match in _JSON_TOKEN.finditer(data.decode("utf-8", "replace")):
        text = match[0]
        if text == "\n":
            line, start = line + 1, match.end()
            continue
        place = Place(line, match.start() - start + 1)
        if text in "{}[]":
            yield text, "", place
        else:
            yield "value", _ESCAPE.sub(_unescape, match[1]) if match[1] is not None else text, place


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(match[2], match[2])
