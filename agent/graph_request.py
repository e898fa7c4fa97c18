"""What comes with a write of the 2.0 contract: `{"loadbalancer": …, "secrets": {…}, "target": {…}}`."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

import compiler
from agent.errors import GraphRefused, InvalidRequest
from compiler.errors import ProblemError
from compiler.graph import LoadBalancer
from compiler.secrets import Secret

_BASE64 = "base64:"


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A graph, the material for what it refers to, and what the machine cannot know of itself."""

    loadbalancer: msgspec.Raw
    secrets: dict[str, str | dict[str, str]] = {}
    target: dict[str, Any] = {}


class GraphRequest(msgspec.Struct, frozen=True):
    """`text`: the graph as it is kept, in JSON, with its id."""

    graph: LoadBalancer
    text: bytes
    secrets: dict[str, Secret]
    target: dict[str, Any]

    def __repr__(self) -> str:
        return f"GraphRequest({self.graph.id})"

    @classmethod
    def decode(cls, lb: str, content: bytes) -> GraphRequest:
        """What a body says of the load balancer `lb`. Raises InvalidRequest where it is none, GraphRefused where the graph has problems."""
        try:
            body = msgspec.json.decode(content, type=Body)
            document = msgspec.json.decode(body.loadbalancer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequest(f'a body {{"loadbalancer": …, "secrets": {{…}}, "target": {{…}}}} is needed: {error}') from error
        if isinstance(document, dict) and document.get("id") is None:
            document["id"] = lb
        text = msgspec.json.encode({"loadbalancer": document})
        try:
            graph = compiler.load(text)
        except ProblemError as error:
            raise GraphRefused("the graph cannot be read", [msgspec.to_builtins(problem) for problem in error.problems]) from error
        if graph.id != lb:
            raise InvalidRequest(f"loadbalancer.id: {graph.id!r} given, in a request for {lb}")
        return cls(graph, text, {name: _secret(name, given) for name, given in body.secrets.items()}, body.target)


def _secret(name: str, given: str | dict[str, str]) -> Secret:
    parts = {"bundle": given} if isinstance(given, str) else given
    try:
        return Secret({part: _content(text) for part, text in parts.items()})
    except ValueError as error:
        raise InvalidRequest(f"secrets[{name[:100]!r}]: {error}") from error


def _content(text: str) -> bytes:
    if not text.startswith(_BASE64):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix(_BASE64), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from error
