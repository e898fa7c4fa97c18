"""YAML → plain data, and its tokens with their places. Apart from `documents`, so that the library comes only with a text that needs it.

It is read from libyaml's events, not by a recursive loader: depth, repetition through aliases and repeated keys can then be
refused with a place, and no input can exhaust the stack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import yaml

from compiler.errors import ProblemError
from compiler.problems import Problem
from compiler.text_bounds import DEPTH_LIMIT, VALUES_LIMIT, YAML_LIMIT, Place, Token

_TOO_DEEP = f"nested too deeply; {DEPTH_LIMIT} levels are read at most"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Scalars that stay the text they are: the API's timestamps are texts, "<<" is dealt with as a key, "=" means nothing to us.
_TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")
_VALUE_TAGS = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_PLAIN_CONTAINERS = (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class _Container(NamedTuple):
    """A mapping or sequence that is being read."""

    value: Any
    merged: dict[Any, Any]  # what `<<` brought, for what the mapping does not give itself
    anchor: str | None
    at: Place
    size: list[int]  # one number: values inside, aliases followed


def parse(data: bytes) -> Any:
    """As `documents.parse`."""
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


def tokens(data: bytes) -> Iterator[Token]:
    """Those up to the place, if there is one, from which on it is no YAML: that has a problem of its own."""
    try:
        yield from _tokens(yaml.parse(data, Loader=_LOADER))
    except yaml.YAMLError:
        return


def _tokens(events: Iterable[Any]) -> Iterator[Token]:
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
