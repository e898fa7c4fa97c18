"""`hydria check`: what is wrong with a graph, as Hydria and the installed HAProxy see it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

import compiler
from agent import bundle_directory
from compiler.bundle import HAPROXY_CFG
from compiler.problems import Problem, has_errors
from hydria.cli import FINE, PROBLEMS, inputs
from hydria.cli.output import Output, verdict

if TYPE_CHECKING:
    from agent.haproxy import Haproxy
    from compiler.bundle import Bundle


@click.command()
@inputs.graph_argument
@inputs.secrets_option
@inputs.target_option
@inputs.haproxy_option
@inputs.json_option
@click.pass_obj
def check(output: Output, *, source: inputs.Source, secrets: Path | None, target_text: str, binary: Path | None) -> int:
    """Say everything that is wrong with GRAPH (a file, or - for standard input), each with its place.

    What Hydria finds nothing wrong with is given to `haproxy -c` of the installed HAProxy; its complaints are told in terms of the graph.
    Without haproxy=… in --target, the configuration is made for that HAProxy.
    """
    haproxy = inputs.find_haproxy(binary)
    version = inputs.version_text(haproxy.version)
    target = inputs.target(target_text, haproxy=version)
    if target.haproxy[:2] != haproxy.version[:2]:
        output.note(f"made for HAProxy {inputs.version_text(target.haproxy)}, but checked by {version}, which may see it differently")
    built = inputs.build(source, secrets, target)
    problems = built.problems
    asked = built.bundle is not None and built.bundle.ok and HAPROXY_CFG in built.bundle.files
    if built.bundle is not None and asked:
        with tempfile.TemporaryDirectory(prefix="hydria-", dir=inputs.private_parent()) as directory:
            complaints = validate(haproxy, built.bundle, Path(directory) / "bundle")
        problems = inputs.placed(source, problems + complaints)
    if output.json:
        checked = {"binary": str(haproxy.binary), "version": version, "asked": asked}
        output.document(verdict(source.name, problems) | {"target": {"haproxy": inputs.version_text(target.haproxy)}, "haproxy": checked})
    else:
        output.problems(source.name, problems, stderr=False)
    return PROBLEMS if has_errors(problems) else FINE


def validate(haproxy: Haproxy, bundle: Bundle, directory: Path) -> list[Problem]:
    """Writes the bundle into the new `directory` and says what `haproxy -c` makes of it, in terms of the graph."""
    directory.mkdir(mode=0o700)
    bundle_directory.write(bundle.files, directory)
    result = haproxy.check(directory)
    problems = list(compiler.blame(result.output, bundle))
    if not result.ok and not has_errors(problems):
        # It must not pass for fine because its words were not understood.
        words = result.output.strip() or "it gave no reason"
        problems.append(Problem(code="rejected-by-haproxy", message=f"{haproxy.binary} -c refused the configuration: {words}"))
    return problems
