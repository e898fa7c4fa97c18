"""`hydria render`: a graph becomes configuration files, in a directory or on standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent import bundle_directory
from agent.errors import ConflictError
from compiler.bundle import HAPROXY_CFG
from compiler.line_map import with_line_map
from hydria.cli import FINE, PROBLEMS, inputs
from hydria.cli.output import Output, verdict

if TYPE_CHECKING:
    from compiler.bundle import Bundle, File


@click.command()
@inputs.graph_argument
@click.option(
    "-o",
    "--output",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Write all files into DIR, in one step. What `render` wrote there before is replaced; anything else there is refused.",
)
@click.option("--file", "wanted", metavar="NAME", help=f"The file to write to standard output, without -o.  [default: {HAPROXY_CFG}]")
@inputs.secrets_option
@inputs.target_option
@inputs.previous_option
@inputs.json_option
@click.pass_obj
def render(
    output: Output,
    *,
    source: inputs.Source,
    directory: Path | None,
    wanted: str | None,
    secrets: Path | None,
    target_text: str,
    previous: Path | None,
) -> int:
    """Turn GRAPH (a file, or - for standard input) into configuration files.

    Same graph and target, same bytes, on every machine: nothing is looked up, HAProxy need not be installed. Without --target, the files
    are made for the oldest HAProxy that is supported. With --previous, the ids of servers depend on what was rendered before, too, as an
    agent has them depend on what serves: where the ids of two members clash, the one that was there first keeps its clients.
    """
    if directory is not None and wanted is not None:
        raise click.UsageError("--file picks what goes to standard output, so it cannot go with -o")
    built = inputs.build(source, secrets, inputs.target(target_text), inputs.previous(previous))
    bundle = built.bundle
    if bundle is None or not bundle.ok:
        if output.json:
            output.document(verdict(source.name, built.problems))
        else:
            output.problems(source.name, built.problems, stderr=True)
        return PROBLEMS
    if built.problems and not output.json:
        output.problems(source.name, built.problems, stderr=True)
    if directory is not None:
        _write(bundle, directory)
        output.note(f"{directory}: {len(bundle.files)} file{'s' if len(bundle.files) > 1 else ''}")
    elif not output.json:
        _print(output, bundle, wanted)
    if output.json:
        document = verdict(source.name, built.problems) | {"digest": bundle.digest}
        document |= {"directory": str(directory) if directory else None}
        output.document(document | {"files": [_file(path, file, directory is None) for path, file in sorted(bundle.files.items())]})
    return FINE


def _write(bundle: Bundle, directory: Path) -> None:
    try:
        bundle_directory.replace(with_line_map(bundle), directory)
    except ConflictError as error:
        raise click.BadParameter(str(error), param_hint="-o") from error


def _print(output: Output, bundle: Bundle, wanted: str | None) -> None:
    name = wanted or HAPROXY_CFG
    others = sorted(set(bundle.files) - {name})
    if name not in bundle.files:
        raise click.BadParameter(f"there is no file {name!r} in this bundle; it holds {', '.join(others) or 'none'}", param_hint="--file")
    file = bundle.files[name]
    if file.secret and sys.stdout.isatty():
        raise click.BadParameter(f"{name!r} is secret and not shown on a terminal; redirect it", param_hint="--file")
    sys.stdout.buffer.write(file.content)
    sys.stdout.buffer.flush()
    if others and wanted is None:
        output.note(f"this is {name}; the bundle also holds {', '.join(others)} (-o DIR writes all, --file NAME shows one)")


def _file(path: str, file: File, with_content: bool) -> dict[str, Any]:
    described = {"path": path, "mode": f"{file.mode:04o}", "secret": file.secret, "size": len(file.content)}
    if with_content and not file.secret:
        described["content"] = file.content.decode(errors="backslashreplace")
    return described
