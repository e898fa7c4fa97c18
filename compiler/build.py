"""The whole way from a graph to a bundle: check → lower → render."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from compiler.bundle import Bundle, File, Origin, Origins, SourceMap, digest_of
from compiler.check import check
from compiler.errors import SystemFault
from compiler.graph import LoadBalancer
from compiler.index import Index, Object, reference
from compiler.lower import lower
from compiler.material import Material
from compiler.problems import has_errors
from compiler.quoting import Inexpressible
from compiler.render import render
from compiler.secrets import Secret, Secrets
from compiler.target import Target


def build(
    graph: LoadBalancer,
    target: Target | None = None,
    secrets: Mapping[str, Secret] | None = None,
    *,
    previous: Mapping[str, int] | None = None,
    now: dt.datetime | None = None,
) -> Bundle:
    """Everything that HAProxy needs to serve `graph` on `target`, or why it cannot be had.

    `secrets` maps each `*_container_ref` to its material; `previous` maps member ids to the server ids of the generation that runs,
    which they keep; `now`, with a time zone, is what certificates' dates are judged by, None for not at all. Problems of the graph come back in the bundle, which then has no files; an exception is a fault of Hydria's.
    """
    target = target or Target()
    index = Index(graph)
    material = Material(secrets if isinstance(secrets, Secrets) else Secrets(secrets))
    problems = target.problems() + check(index, target, material, now)
    if has_errors(problems):
        return Bundle({}, tuple(problems), SourceMap(), digest_of({}))
    try:
        lowered = lower(index, target, material, previous)
    except Inexpressible as error:
        raise SystemFault(f"a value passed the checks but cannot be expressed: {error}") from error
    files = {path: made.file for path, made in lowered.files.items()}
    origins = Origins()
    lines: dict[str, list[int]] = {}
    for path, rendered in render(lowered).items():
        files[path] = File(rendered.text.encode())
        shift = origins.extend(rendered.origins)
        lines[path] = [number + shift if number >= 0 else -1 for number in rendered.lines] if shift else rendered.lines
    owners: dict[str, tuple[Object, tuple[str, ...]]] = {path: (made.node, (made.field,)) for path, made in lowered.files.items()}

    def origin(node: Object, fields: tuple[str, ...]) -> Origin:
        return Origin(reference(node), index.path(node), fields)

    source_map = SourceMap(origins, lines, owners, origin)
    return Bundle(files, tuple(problems), source_map, digest_of(files))
