"""Text → plain data (dict, list, str, int …), for JSON and YAML; and where in the text each field stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from compiler.errors import ProblemError
from compiler.problems import Problem
from compiler.text_bounds import DEPTH_LIMIT, JSON_LIMIT, VALUES_LIMIT, YAML_LIMIT, Place, Token

#: Bytes in which places are looked up. In larger texts, which programs write, a path must do.
PLACES_LIMIT = YAML_LIMIT
#: Bytes of JSON that cannot hold too many values.
_FEW_VALUES = 8 * 1024**2

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\(.)")


def is_json(data: bytes) -> bool:
    """Whether this is to be read as JSON: the first character that is not white space opens an object or an array.

    YAML in flow style looks like that too; whoever writes it by hand may start it with `---`.
    """
    return data[:4096].lstrip()[:1] in (b"{", b"[")


def parse(data: bytes) -> Any:
    """The plain data that `data` holds; raises ProblemError ("syntax", "too-large" or "duplicate-field") with its place."""
    if is_json(data):
        return _parse_json(data)
    from compiler import yaml_text  # noqa: PLC0415 - most texts are written by programs, as JSON

    return yaml_text.parse(data)


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
    for path, place in _walk(_tokens(data)):
        if path in wanted:
            found.setdefault(path, place)
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


def _tokens(data: bytes) -> Iterator[Token]:
    if is_json(data):
        return _json_tokens(data)
    from compiler import yaml_text  # noqa: PLC0415 - as in `parse`

    return yaml_text.tokens(data)


def _walk(tokens: Iterator[Token]) -> Iterator[tuple[str, Place]]:
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


_JSON_TOKEN = re.compile(r'[{}\[\]\n]|"((?:[^"\\]|\\.)*)"|[^\s{}\[\],:"]+', re.DOTALL)


def _json_tokens(data: bytes) -> Iterator[Token]:
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
