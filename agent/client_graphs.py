"""The calls of the 2.0 contract, which Hydria's agents alone speak: whole graphs, their generations, and what becomes of them."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from agent.errors import UnexpectedAnswer
from agent.identifiers import object_id
from agent.outcomes import Drain, FileInfo, Forecast, GenerationInfo, Outcome, Progress, Resigned, Status, Trial
from compiler import documents

if TYPE_CHECKING:
    from agent.client_connection import Answer
    from compiler.secrets import Secret

T = TypeVar("T")


class Graph(NamedTuple):
    """What a load balancer was last told to be: the JSON text, and the ETag of its generation."""

    text: bytes
    etag: str


class GraphCalls(ABC):
    """Part of `AgentClient`, which says how an agent is called. `lb` is the id of a load balancer. What is raised, beside what each call there raises:

    * GraphRefused: problems of the graph, all of them;
    * PreconditionFailed: what serves is not what `if_match` says;
    * RejectedByHaproxy, RejectedByKeepalived: what serves is what served before.
    """

    def put_loadbalancer(
        self,
        lb: str,
        graph: bytes,
        secrets: Mapping[str, Secret] | None = None,
        *,
        target: Mapping[str, Any] | None = None,
        if_match: str | None = None,
        confirm_within: float | None = None,
    ) -> Outcome:
        """Makes a load balancer what `graph` says, JSON or YAML. `target`: fields of `compiler.Target` that the agent cannot know.

        With `confirm_within` (seconds) the agent takes it back by itself unless `confirm` is called in time.
        """
        content = _body(graph, secrets, target)
        query = "" if confirm_within is None else f"?confirm_within={confirm_within:g}"
        return _decode(self._ask("PUT", f"/2.0/loadbalancers/{_id(lb)}{query}", content, if_match), Outcome)

    def confirm(self, lb: str, *, if_match: str | None = None) -> Trial:
        """What was put with `confirm_within` stays. Raises NotFoundError where nothing is on trial (any more)."""
        return _decode(self._ask("POST", f"/2.0/loadbalancers/{_id(lb)}/confirm", b"", if_match), Trial)

    def loadbalancers(self) -> list[str]:
        """The ids of the load balancers that the agent has."""
        return _decode(self._ask("GET", "/2.0/loadbalancers"), list[str])

    def plan_loadbalancer(
        self, lb: str, graph: bytes, secrets: Mapping[str, Secret] | None = None, *, target: Mapping[str, Any] | None = None
    ) -> Forecast:
        """What `put_loadbalancer` would do; changes nothing."""
        content = _body(graph, secrets, target)
        return _decode(self._ask("PUT", f"/2.0/loadbalancers/{_id(lb)}?dry_run=1", content), Forecast)

    def loadbalancer_graph(self, lb: str) -> Graph:
        """The graph that serves."""
        answer = self._ask("GET", f"/2.0/loadbalancers/{_id(lb)}")
        return Graph(answer.content, answer.headers.get("etag", ""))

    def loadbalancer_files(self, lb: str, generation: int | None = None) -> list[FileInfo]:
        """The files of what serves, or of another generation; secret ones without what is in them."""
        return _decode(self._ask("GET", f"/2.0/loadbalancers/{_id(lb)}/files{_of(generation)}"), list[FileInfo])

    def generations(self, lb: str) -> list[GenerationInfo]:
        """Those that are kept, the latest first, each with what its coming into force was like."""
        return _decode(self._ask("GET", f"/2.0/loadbalancers/{_id(lb)}/generations"), list[GenerationInfo])

    def rollback(self, lb: str, generation: int | None = None, *, if_match: str | None = None) -> Outcome:
        """Makes a load balancer what it was: in this generation, or in the one that served before the one that serves."""
        return _decode(self._ask("POST", f"/2.0/loadbalancers/{_id(lb)}/rollback{_of(generation)}", b"", if_match), Outcome)

    def delete_loadbalancer(self, lb: str, *, if_match: str | None = None) -> None:
        """Ends a load balancer, and removes all that there is of it; an absent one is fine."""
        self._ask("DELETE", f"/2.0/loadbalancers/{_id(lb)}", None, if_match)

    def loadbalancer_status(self, lb: str) -> Status:
        """How it fares: each listener, pool and member."""
        return _decode(self._ask("GET", f"/2.0/loadbalancers/{_id(lb)}/status"), Status)

    def drain(self, lb: str, member: str, deadline: float) -> Drain:
        """Gives a member no new clients; after `deadline` seconds the connections that it still has are ended. Returns at once."""
        path = f"/2.0/loadbalancers/{_id(lb)}/members/{_id(member)}/drain?deadline={deadline:g}"
        return _decode(self._ask("POST", path, b""), Drain)

    def drain_progress(self, lb: str, member: str) -> Drain:
        """How far a drain has come. Raises NotFoundError where there is none."""
        return _decode(self._ask("GET", f"/2.0/loadbalancers/{_id(lb)}/members/{_id(member)}/drain"), Drain)

    def undrain(self, lb: str, member: str) -> None:
        """Gives a drained member its share again. Raises NotFoundError where it is not drained."""
        self._ask("DELETE", f"/2.0/loadbalancers/{_id(lb)}/members/{_id(member)}/drain")

    def resign(self, lb: str, within: float = 1.0) -> Resigned:
        """Has the amphora give the VIPs of a pair away, when no request is in progress or after `within` seconds. Raises ConflictError."""
        return _decode(self._ask("POST", f"/2.0/loadbalancers/{_id(lb)}/resign?within={within:g}", b""), Resigned)

    def watch(self, lb: str, after: int = 0, *, wait: float = 20.0) -> Progress:
        """Where changes are; returns when there is something that came after the event `after`, or after `wait` seconds."""
        return _decode(self._ask("GET", f"/2.0/loadbalancers/{_id(lb)}/progress?after={after}&wait={wait:g}"), Progress)

    def _ask(self, method: str, path: str, content: bytes | None = None, if_match: str | None = None) -> Answer:
        headers = {} if if_match is None else {"If-Match": if_match}
        return self._call(method, path, content, "application/json" if content else None, headers)

    @abstractmethod
    def _call(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request and its answer; an answer that refuses it is raised."""


def secret_body(secret: Secret) -> dict[str, str]:
    """A secret as JSON has it: its parts as text, those that are none in base64 after `base64:`."""
    return {part: _text(content) for part, content in secret.parts.items()}


def _text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(content).decode()}"
    return text if not text.startswith("base64:") else f"base64:{base64.b64encode(content).decode()}"


def _body(graph: bytes, secrets: Mapping[str, Secret] | None, target: Mapping[str, Any] | None) -> bytes:
    document = documents.parse(graph)
    inside = document["loadbalancer"] if isinstance(document, dict) and set(document) == {"loadbalancer"} else document
    whole: dict[str, Any] = {"loadbalancer": inside}
    if secrets:
        whole["secrets"] = {reference: secret_body(secret) for reference, secret in secrets.items()}
    if target:
        whole["target"] = dict(target)
    return msgspec.json.encode(whole)


def _id(text: str) -> str:
    return object_id(text)


def _of(generation: int | None) -> str:
    return "" if generation is None else f"?generation={generation}"


def _decode(answer: Answer, wanted: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnexpectedAnswer(f"the agent's answer cannot be understood: {error}") from error
