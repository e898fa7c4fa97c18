"""What is shown of the generations of a load balancer: graphs, files, differences, history. Nothing that is secret."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Literal

import msgspec

import compiler
from agent.compiling import GRAPH, HINTS
from agent.drawing import drawn
from agent.errors import AgentError, NotFoundError, SystemFault
from agent.generations import OUTCOME, REFUSED
from agent.outcomes import FileInfo, GenerationInfo, Outcome
from compiler.errors import ProblemError
from compiler.moves import Side, families, moves

if TYPE_CHECKING:
    from agent.amphora_target import AmphoraTarget
    from agent.generations import Generation, Generations
    from agent.graph_request import GraphRequest
    from compiler.target import Target

#: Clients that are drawn to see who moves; lines of a difference that are answered.
_SAMPLE = 100_000
_MOST_LINES = 20_000


def graph(generations: Generations) -> tuple[bytes, str]:
    """The graph that serves, in JSON, and the ETag. Raises NotFoundError where there is none, or one that no graph has made."""
    current = generations.linked("current")
    if current is None or not current.has(GRAPH):
        raise NotFoundError("there is no load balancer here that was made from a graph")
    return current.read(GRAPH), current.about.etag


class _Additional(msgspec.Struct):
    ip_address: str


class _Vip(msgspec.Struct):
    vip_address: str
    additional_vips: tuple[_Additional, ...] = ()


class _Graph(msgspec.Struct):
    loadbalancer: _Vip


def vip(current: Generation | None) -> str | None:
    """The VIP of what serves; None where no graph has made it."""
    if current is None or not current.has(GRAPH):
        return None
    return msgspec.json.decode(current.read(GRAPH), type=_Graph).loadbalancer.vip_address


def vips(current: Generation) -> list[str]:
    """All VIPs of a generation that a graph has made, the primary one first."""
    found = msgspec.json.decode(current.read(GRAPH), type=_Graph).loadbalancer
    return [vip for vip in (found.vip_address, *(more.ip_address for more in found.additional_vips)) if vip]


def files(generations: Generations, number: int | None) -> list[FileInfo]:
    """The files of a generation; without `number`, of the one that serves. Raises NotFoundError."""
    found = generations.linked("current") if number is None else generations.get(number)
    if found is None:
        raise NotFoundError("nothing serves here")
    return [
        FileInfo(path=path, size=len(file.content), secret=file.secret, text=None if file.secret else file.content.decode(errors="replace"))
        for path, file in found.files().items()
    ]


def history(generations: Generations) -> list[GenerationInfo]:
    """Those that are kept, the latest first."""
    linked = {link: generations.linked(link) for link in ("current", "loading", "uploaded")}
    found = []
    for number in reversed(generations.numbers()):
        try:
            one = generations.get(number)
        except (NotFoundError, SystemFault):  # it has just been removed
            continue
        state: Literal["serving", "loading", "uploaded", "past", "refused"] = "past"
        if one == linked["current"]:
            state = "serving"
        elif one == linked["loading"]:
            state = "loading"
        elif one == linked["uploaded"]:
            state = "uploaded"
        elif one.has(REFUSED):
            state = "refused"
        about = one.about
        found.append(
            GenerationInfo(
                number=number,
                etag=about.etag,
                contract=about.contract,
                made=about.made,
                state=state,
                rolled_back_to=about.rolled_back_to,
                outcome=_outcome(one),
                refused=one.read(REFUSED).decode(errors="replace")[:4000] if one.has(REFUSED) else "",
            )
        )
    return found


def unchanged(lb: str, current: Generation, warnings: list[dict[str, Any]], taken: dict[str, float]) -> Outcome:
    """What comes of a write of what serves already."""
    return Outcome(loadbalancer=lb, way="noop", generation=current.number, etag=current.about.etag, warnings=warnings, steps_ms=taken)


def diff(current: Generation | None, new: Generation) -> str:
    """What changes in files that are not secret, as `diff -u` shows it; of secret ones only that they change."""
    before, after = (current.files() if current else {}), new.files()
    lines: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        old, other = before.get(path), after.get(path)
        if path in (GRAPH, HINTS) or (old and other and old.content == other.content):
            continue
        if any(file is not None and file.secret for file in (old, other)):
            lines.append(f"{path}: {'is new' if old is None else 'is gone' if other is None else 'changes'} (secret)\n")
            continue
        one, two = (file.content.decode(errors="replace").splitlines(keepends=True) if file else [] for file in (old, other))
        lines += difflib.unified_diff(one, two, f"a/{path}" if old else "/dev/null", f"b/{path}" if other else "/dev/null")
    more = len(lines) - _MOST_LINES
    return "".join(lines[:_MOST_LINES]) + (f"… and {more} lines more\n" if more > 0 else "")


def moved(current: Generation | None, request: GraphRequest, target: Target, machine: AmphoraTarget) -> dict[str, Any] | None:
    """Who goes elsewhere; None where there is no graph to compare with."""
    if current is None or not current.has(GRAPH):
        return None
    try:
        hints = msgspec.json.decode(current.read(HINTS))
        old, new = Side(compiler.load(current.read(GRAPH)), machine.target(hints)), Side(request.graph, target)
    except (AgentError, ProblemError, msgspec.DecodeError):
        return None
    found: dict[str, Any] = msgspec.to_builtins(moves(old, new, drawn(_SAMPLE, families(old, new))))
    return found


def _outcome(generation: Generation) -> Outcome | None:
    if not generation.has(OUTCOME):
        return None
    try:
        return msgspec.json.decode(generation.read(OUTCOME), type=Outcome)
    except msgspec.DecodeError:
        return None
