"""From a request of the 2.0 contract to the files of a generation, and what the programs that will load them say about these."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

import compiler
from agent.apply import text_of
from agent.errors import GraphRefused, RejectedByHaproxy
from compiler.bundle import Bundle, File
from compiler.haproxy_file import UnreadableFile
from compiler.previous_ids import previous_ids
from compiler.problems import Problem, has_errors
from compiler.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agent.amphora_target import AmphoraTarget
    from agent.beside import BundleBeside
    from agent.generations import Generation
    from agent.graph_request import GraphRequest
    from agent.haproxy_process import HaproxyProcess

GRAPH, HINTS = "graph.json", "target.json"
#: Our own configurations say all themselves; HAProxy is always given two files.
_ADDITIONS = b"# Made by Hydria: nothing is added to a configuration of its own.\n"


class Compiled(NamedTuple):
    """A bundle, the target that it is for, and the files of the generation that it becomes."""

    bundle: Bundle
    target: Target
    files: dict[str, File]


def compiled(request: GraphRequest, machine: AmphoraTarget, running: Generation | None) -> Compiled:
    """The configuration for a graph on this machine; members keep the server ids that they have. Raises GraphRefused."""
    target = machine.target(request.target)
    bundle = compiler.build(request.graph, target, request.secrets, previous=_server_ids(running), now=dt.datetime.now(dt.UTC))
    if not bundle.ok:
        raise GraphRefused("the graph has problems", as_json(bundle.problems))
    own = {
        "amphora.cfg": File(_ADDITIONS),
        GRAPH: File(request.text, 0o600),
        HINTS: File(msgspec.json.encode(request.target), 0o600),
    }
    return Compiled(bundle, target, bundle.files | own)


def checked(bundle: Bundle, staged: Generation, process: HaproxyProcess, beside: BundleBeside) -> list[Problem]:
    """All problems of the staged bundle that do not stop it. Raises GraphRefused with what HAProxy says, by object; RejectedByKeepalived."""
    try:
        said = process.check(staged.path)
    except RejectedByHaproxy as error:
        problems = [*bundle.problems, *compiler.blame(error.output, bundle)]
        if not has_errors(problems):
            problems.append(Problem(code="rejected-by-haproxy", message=error.output.strip()[:2000]))
        raise GraphRefused("HAProxy does not take this configuration", as_json(problems)) from error
    beside.check(staged)
    return [*bundle.problems, *compiler.blame(said, bundle)]


def as_json(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Problems as they are answered."""
    return [msgspec.to_builtins(problem) for problem in problems]


def _server_ids(running: Generation | None) -> Mapping[str, int] | None:
    """Member → the id that it has in what runs."""
    if running is None or running.about.contract != "2.0":
        return None
    try:
        return previous_ids(text_of(running))
    except UnreadableFile:
        return None
