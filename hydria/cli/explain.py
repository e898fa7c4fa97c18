"""`hydria explain`: the object and fields behind a rendered line, and the lines behind an object."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from compiler.index import walk
from compiler.line_map import LINE_MAP, Line, LineMap, line_map
from compiler.load import places
from hydria.cli import FINE, PROBLEMS, inputs
from hydria.cli.output import Output, colourful, verdict, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from compiler.text_bounds import Place

_LINE = re.compile(r"(?P<file>.+):(?P<line>[0-9]{1,9})")


class _Known(NamedTuple):
    """What there is to explain: the map, the text of a file that is not secret, where paths stand in the graph, and the paths of what a
    word means.
    """

    map: LineMap
    text: Callable[[str], bytes | None]
    places: Callable[[set[str], bool], dict[str, Place]]
    source: str | None
    paths: Callable[[str], list[str]]


@click.command()
@click.argument("given", metavar="GRAPH|DIR", type=click.Path())
@click.argument("asked", metavar="[FILE:LINE|OBJECT]", required=False)
@click.option("--object", "wanted", metavar="OBJECT", help="The object's id, name or path, where it could be taken for a FILE:LINE.")
@inputs.secrets_option
@inputs.target_option
@inputs.json_option
@click.pass_context
def explain(context: click.Context, *, given: str, asked: str | None, wanted: str | None, secrets: Path | None, target_text: str) -> int:
    """Say which object and which of its fields caused a line (haproxy.cfg:40), or which lines an object caused.

    GRAPH is a file (or - for standard input) that is rendered with --secrets and --target as `render` would. DIR is a directory that
    `render -o` wrote; then a line may be named in one word, DIR/haproxy.cfg:40. OBJECT is an id, a name, or a path such as
    loadbalancer.listeners[0], or of a field, loadbalancer.listeners[0].protocol_port.
    """
    output: Output = context.obj
    if asked is None and wanted is None:
        given, asked = _split(given)
    elif asked is not None and wanted is not None:
        raise click.UsageError("either FILE:LINE or --object, not both")
    known = _of_directory(Path(given)) if Path(given).is_dir() else _of_graph(context, given, secrets, target_text)
    if known is None:
        return PROBLEMS
    match = _LINE.fullmatch(asked) if asked is not None else None
    if match is not None and match["file"] in known.map.files.keys() | known.map.wholes.keys():
        lines = [_line(known.map, match["file"], int(match["line"]))]
    elif match is not None and "/" not in match["file"] and not known.paths(asked or ""):
        raise click.UsageError(f"there is no file {match['file']!r}; there are {', '.join(sorted(known.map.files | known.map.wholes))}")
    else:
        lines = _caused(known, wanted or asked or "")
    _tell(output, known, lines)
    return FINE


def _split(given: str) -> tuple[str, str]:
    """DIR/haproxy.cfg:40 → DIR, haproxy.cfg:40. DIR is the nearest above that has a map."""
    match = _LINE.fullmatch(given)
    if match is not None:
        path = Path(match["file"])
        for directory in path.parents:
            if (directory / LINE_MAP).is_file():
                return str(directory), f"{path.relative_to(directory)}:{match['line']}"
        raise click.UsageError(
            f"{path} is in no directory that `hydria render -o` wrote; name the graph: hydria explain GRAPH {path.name}:…"
        )
    raise click.UsageError("what is to be explained? FILE:LINE, or an object's name, id or path")


def _of_directory(directory: Path) -> _Known:
    try:
        found = msgspec.json.decode((directory / LINE_MAP).read_bytes(), type=LineMap)
    except FileNotFoundError:
        raise click.UsageError(f"{directory} holds no {LINE_MAP}: `hydria render -o {directory}` writes one") from None
    except msgspec.DecodeError as error:
        raise click.UsageError(f"{directory / LINE_MAP} is not what `hydria render` wrote ({error})") from error

    def text(path: str) -> bytes | None:
        return (directory / path).read_bytes() if path in found.files else None

    return _Known(found, text, lambda _paths, _exact: {}, None, found.paths)


def _of_graph(context: click.Context, given: str, secrets: Path | None, target_text: str) -> _Known | None:
    """None, with the problems told, where the graph cannot be rendered."""
    output: Output = context.obj
    source = inputs.read_graph(given, context)
    built = inputs.build(source, secrets, inputs.target(target_text))
    bundle, graph = built.bundle, built.graph
    if bundle is None or graph is None or not bundle.ok:
        if output.json:
            output.document(verdict(source.name, built.problems))
        else:
            output.problems(source.name, built.problems, stderr=True)
        return None
    made = line_map(bundle)

    def text(path: str) -> bytes | None:
        return bundle.files[path].content if path in made.files else None

    def paths(word: str) -> list[str]:
        return [path for node, path in walk(graph) if word in (node.id, node.name, path)]

    return _Known(made, text, lambda wanted, exact: places(source.text, wanted, exact=exact), source.name, paths)


def _line(known: LineMap, file: str, line: int) -> Line:
    if file in known.wholes:
        return Line(file=file, line=None, origin=known.at(file, line))
    count = len(known.files[file])
    if not 0 < line <= count:
        raise click.UsageError(f"{file} has {count} lines; there is no line {line}")
    return Line(file=file, line=line, origin=known.at(file, line))


def _caused(known: _Known, word: str) -> list[Line]:
    paths, field = known.paths(word), None
    if not paths:
        parent, _, field = word.rpartition(".")
        paths = [path for path in known.paths(parent) if path == parent]
    if not paths:
        raise click.UsageError(f"{word!r} is no object's name, id or path here, and no FILE:LINE")
    return [line for path in paths for line in known.map.caused_by(path, field)]


def _tell(output: Output, known: _Known, lines: Sequence[Line]) -> None:
    origins = [line.origin for line in lines if line.origin is not None]
    where = known.places({origin.path for origin in origins}, False)
    where |= known.places({f"{origin.path}.{field}" for origin in origins for field in origin.fields}, True)
    texts = {file: (known.text(file) or b"").decode(errors="backslashreplace").split("\n") for file in {line.file for line in lines}}
    described = [_described(line, where, texts) for line in lines]
    if output.json:
        output.document({"ok": True, "graph": known.source, "lines": described})
        return
    for entry in described:
        for line in _sentences(known, entry):
            click.echo(line, color=colourful(sys.stdout))
    if not described:
        output.note("it caused no line")


def _described(line: Line, where: dict[str, Place], texts: dict[str, list[str]]) -> dict[str, Any]:
    def place(path: str) -> dict[str, int | None]:
        at = where.get(path)
        return {"line": at.line if at else None, "column": at.column if at else None}

    text = texts[line.file][line.line - 1].strip() if line.line is not None else None
    entry: dict[str, Any] = {"file": line.file, "line": line.line, "text": text, "object": None, "path": None, "place": None, "fields": []}
    if line.origin is not None:
        origin = line.origin
        entry |= {"object": msgspec.to_builtins(origin.object), "path": origin.path, "place": place(origin.path)}
        entry["fields"] = [{"field": field, **place(f"{origin.path}.{field}")} for field in origin.fields]
    return entry


def _sentences(known: _Known, entry: dict[str, Any]) -> Iterator[str]:
    number = f":{entry['line']}" if entry["line"] is not None else ""
    text = entry["text"] if entry["text"] is not None else "(the whole file)"
    yield click.style(visible(f"{entry['file']}{number}"), bold=True) + visible(f"  {text}")
    if entry["object"] is None:
        yield "    no object of the graph: it is so for every load balancer"
        return
    shown = entry["object"]
    name = f" ({shown['name']})" if shown["name"] else ""
    yield visible(f"    {shown['type']} {shown['id']}{name}, {entry['path']}{_place(known, entry['place'])}")
    for field in entry["fields"]:
        yield visible(f"        {field['field']}{_place(known, field)}")


def _place(known: _Known, at: dict[str, Any]) -> str:
    return f", {known.source}:{at['line']}:{at['column']}" if at["line"] is not None else ""
