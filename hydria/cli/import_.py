"""`hydria import`: what the Octavia API and its client print becomes one graph."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import compiler
from compiler import Problem, ProblemError, documents
from compiler.text_bounds import JSON_LIMIT
from hydria.cli import FINE, PROBLEMS
from hydria.cli.inputs import json_option
from hydria.cli.output import Output, sort, verdict
from hydria.imports import Piece, join

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPACE = " \t\r\n"


@click.command("import")
@click.argument("files", metavar="[FILE]…", nargs=-1, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--pool", metavar="ID", help="The pool of the members that nothing else places (`member list` does not tell).")
@click.option("--l7policy", metavar="ID", help="The policy of the rules that nothing else places (`l7rule list` does not tell).")
@json_option
@click.pass_obj
def import_(output: Output, *, files: tuple[str, ...], pool: str | None, l7policy: str | None) -> int:
    """Join FILEs into one graph, in YAML (in JSON with --json), on standard output. Without FILE, or for -, standard input is read.

    A FILE holds what the API answers, or what `openstack loadbalancer …` prints with `-f json`: show or list of the load balancer, its
    listeners, pools, members, health monitors, L7 policies and rules, one or several documents, in any order. Members and rules belong
    to the pool or policy whose id is in the name of their FILE, where nothing else says so. What is missing is told, by its id.
    """
    problems: list[Problem] = []
    pieces = [piece for file in files or ("-",) for piece in _pieces(file, problems)]
    owners = {kind: owner for kind, owner in (("member", pool), ("l7rule", l7policy)) if owner is not None}
    joined = join(pieces, owners)
    problems += joined.problems
    text = b""
    if joined.graph is not None and not problems:
        text = json.dumps(joined.graph, ensure_ascii=False).encode() if output.json else _yaml(joined.graph)
        try:
            compiler.load(text)
        except ProblemError as error:
            # The graph is not written, so its lines are nobody's.
            problems += [
                Problem(object=found.object, path=found.path, code=found.code, message=found.message, hint=found.hint)
                for found in error.problems
            ]
    source = ", ".join(files) or "<stdin>"
    if problems:
        if output.json:
            output.document(verdict(source, sort(problems)))
        else:
            output.problems(source, sort(problems), stderr=True)
        return PROBLEMS
    if joined.others:
        output.note(f"{joined.others} object{'s' if joined.others > 1 else ''} of other load balancers left out")
    click.echo(text.decode().rstrip("\n"))
    sys.stdout.flush()
    return FINE


def _pieces(file: str, problems: list[Problem]) -> Iterator[Piece]:
    """The documents of a file: JSON, one after the other, or one of YAML."""
    name = "<stdin>" if file == "-" else file
    limit = JSON_LIMIT + 1
    if file == "-":
        data = sys.stdin.buffer.read(limit)
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(limit)
    try:
        if documents.is_json(data) and documents.json_excess(data) is None:
            yield from (Piece(name, document) for document in _stream(data.decode()))
        else:
            yield Piece(name, documents.parse(data))
    except ProblemError as error:
        problems += [
            Problem(code=found.code, message=f"{name}: {found.message}", line=found.line, column=found.column) for found in error.problems
        ]
    except json.JSONDecodeError as error:
        problems.append(Problem(code="syntax", message=f"{name}: this is not JSON: {error.msg}", line=error.lineno, column=error.colno))
    except UnicodeDecodeError as error:
        problems.append(Problem(code="syntax", message=f"{name}: this is not UTF-8: {error.reason} at byte {error.start}"))
    except RecursionError:
        problems.append(Problem(code="too-large", message=f"{name}: nested too deeply"))


def _stream(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    place = 0
    while place < len(text):
        if text[place] in _SPACE:
            place += 1
            continue
        document, place = decoder.raw_decode(text, place)
        yield document


def _yaml(graph: dict[str, Any]) -> bytes:
    import yaml  # noqa: PLC0415 - not needed for JSON

    made: bytes = yaml.safe_dump(graph, sort_keys=False, allow_unicode=True, width=120, encoding="utf-8")
    return made
