"""What the verbs are given: the graph, the secrets, the target, the HAProxy; and the one way from these to a bundle."""

from __future__ import annotations

import datetime as dt
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click
from click.shell_completion import CompletionItem
from msgspec.structs import replace

import compiler
from agent.haproxy import Haproxy
from compiler import ProblemError, Target, documents
from compiler.bundle import HAPROXY_CFG
from compiler.haproxy_file import UnreadableFile
from compiler.previous_ids import previous_ids
from compiler.text_bounds import JSON_LIMIT
from hydria import secret_files
from hydria.cli.output import Output, sort

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from compiler import Bundle, LoadBalancer, Problem

_Verb = TypeVar("_Verb", bound="Callable[..., Any]")

#: Bytes that are read of a graph: one more than may be, for `compiler.load` to say so.
_LIMIT = JSON_LIMIT + 1


class Source(NamedTuple):
    """A graph as it was given: what to call it, its text, and the directory that its relative `file:` references start from."""

    name: str
    text: bytes
    base: Path


class Built(NamedTuple):
    """What became of a graph. With errors there may be no graph, or a bundle without files. The problems are in order, with their places."""

    graph: LoadBalancer | None
    bundle: Bundle | None
    problems: list[Problem]


def graph_argument(verb: _Verb) -> _Verb:
    """GRAPH, handed over as a `Source`."""
    return click.argument("source", metavar="GRAPH", type=_GraphType())(verb)


def secrets_option(verb: _Verb) -> _Verb:
    """--secrets DIR."""
    return click.option(
        "--secrets",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Where the certificates, keys and lists that the graph refers to are: DIR/<name>, DIR/<name>.pem, .p12, .pfx, a directory "
        "DIR/<name>, or as DIR/secrets.yaml says. References that are file: URLs need no DIR.",
    )(verb)


def target_option(verb: _Verb) -> _Verb:
    """--target KEY=VALUE,… or @FILE, as text; see `target`."""
    return click.option(
        "--target",
        "target_text",
        metavar="KEY=VALUE,…|@FILE",
        default="",
        help="The machine to make the configuration for: haproxy=3.0,cpus=4,mem=2G,topology=SINGLE,run_directory=…,user=…,group=…,maxconn=…,log=…; "
        "or @FILE, the same and more (amphorae, vrrp, networks) as YAML or JSON.",
    )(verb)


def haproxy_option(verb: _Verb) -> _Verb:
    """--haproxy FILE; see `find_haproxy`."""
    return click.option(
        "--haproxy",
        "binary",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The HAProxy to use, in place of the first on the PATH.",
    )(verb)


def previous_option(verb: _Verb) -> _Verb:
    """--previous FILE or DIR; see `previous`."""
    return click.option(
        "--previous",
        metavar="FILE|DIR",
        type=click.Path(exists=True, path_type=Path),
        help="What was rendered before: a haproxy.cfg, or a directory with one. Members keep the server ids, and so the clients, that they have in it.",
    )(verb)


def previous(place: Path | None) -> dict[str, int] | None:
    """The server ids of what was rendered before. Raises BadParameter."""
    if place is None:
        return None
    file = place / HAPROXY_CFG if place.is_dir() else place
    try:
        return previous_ids(file.read_bytes())
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be read: {error.strerror}", param_hint="--previous") from error
    except UnreadableFile as error:
        raise click.BadParameter(f"{file} is no configuration that Hydria has written: {error}", param_hint="--previous") from error


def json_option(verb: _Verb) -> _Verb:
    """--json: switches the `Output` over."""

    def switch(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
        if wanted:
            ctx.ensure_object(Output).json = True

    return click.option("--json", is_flag=True, is_eager=True, expose_value=False, callback=switch, help="Answer in JSON.")(verb)


def target(text: str, **defaults: object) -> Target:
    """What --target says, with these defaults; a mistake in it is one of usage."""
    given = ",".join(f"{key}={value}" for key, value in defaults.items())
    try:
        if not text.startswith("@"):
            return Target.parse(f"{given},{text}")
        data = Path(text[1:]).read_bytes()
        described = Target.read(data)
        missing = defaults.keys() - documents.parse(data).keys()
        return replace(described, **{key: getattr(Target.parse(given), key) for key in missing})
    except ProblemError as error:
        message = "; ".join(f"{problem.message}" + (f" ({problem.hint})" if problem.hint else "") for problem in error.problems)
        raise click.BadParameter(message, param_hint="--target") from error
    except OSError as error:
        raise click.BadParameter(f"{text[1:]!r} cannot be read: {error.strerror}", param_hint="--target") from error


def find_haproxy(binary: Path | None) -> Haproxy:
    """The HAProxy that was named, or the installed one; raises ProgramMissing."""
    return Haproxy.find() if binary is None else Haproxy(binary.absolute())


def version_text(version: tuple[int, ...]) -> str:
    """(2, 6, 12) → 2.6.12."""
    return ".".join(map(str, version))


def build(source: Source, secrets: Path | None, target: Target, previous: Mapping[str, int] | None = None) -> Built:
    """Load → resolve secrets → build, with all the problems of the stage that it came to. `previous` as `compiler.build` has it."""
    try:
        graph = compiler.load(source.text)
    except ProblemError as error:
        return Built(None, None, sort(error.problems))
    found = secret_files.resolve(compiler.secret_references(graph), secrets, source.base)
    bundle = compiler.build(graph, target, found, previous=previous, now=dt.datetime.now(dt.UTC))
    return Built(graph, bundle, placed(source, bundle.problems))


def placed(source: Source, problems: tuple[Problem, ...] | list[Problem]) -> list[Problem]:
    """The problems with their lines and columns, in the order of these."""
    return sort(compiler.locate(source.text, problems))


def read_graph(value: str, context: click.Context) -> Source:
    """The graph that an argument names, as `graph_argument` does, for verbs whose argument may be something else too."""
    return _GraphType().convert(value, None, context)


class _GraphType(click.ParamType[Source]):
    name = "graph"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002 - click's signature
        return [CompletionItem(incomplete, type="file")]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Source:
        if isinstance(value, Source):
            return value
        if value == "-":
            if sys.stdin.isatty():
                click.echo("hydria: reading the graph from the terminal; end it with Ctrl-D", err=True)
            return Source("<stdin>", sys.stdin.buffer.read(_LIMIT), Path.cwd())
        if not value:
            self.fail("there is no file ''", param, ctx)
        path = Path(value)
        try:
            # Not only regular files: a shell's <(command) is a pipe.
            with path.open("rb") as file:
                return Source(str(path), file.read(_LIMIT), path.absolute().parent)
        except FileNotFoundError:
            self.fail(f"there is no file {value!r}", param, ctx)
        except (IsADirectoryError, NotADirectoryError):
            self.fail(f"{value!r} is {'a directory, not a file' if path.is_dir() else 'below a file'}", param, ctx)
        except ValueError as error:
            self.fail(f"{value!r} is not a file's name: {error}", param, ctx)


def private_parent() -> str | None:
    """Where temporary directories with secrets go: into memory where the machine has such a place; None for the usual one."""
    for place in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):  # noqa: S108 - only fresh 0700 directories are made there
        if place and os.path.isabs(place) and os.access(place, os.W_OK | os.X_OK) and stat.S_ISDIR(Path(place).stat().st_mode):  # noqa: PTH117
            return place
    return None
