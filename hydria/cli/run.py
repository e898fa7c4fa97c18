"""`hydria run`: HAProxy in the foreground with a graph, on this machine, watched until somebody ends it."""

from __future__ import annotations

import ipaddress
import os
import resource
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

import compiler
from agent.clock import SystemClock, wait_until
from agent.errors import RejectedByHaproxy, SocketFault, SystemFault
from agent.supervised import SupervisedHaproxy
from compiler.problems import has_errors
from hydria.cli import FINE, PROBLEMS, inputs
from hydria.cli.check import validate
from hydria.cli.ending import ended_by_signals
from hydria.cli.output import Output, verdict
from hydria.cli.traffic import COLUMNS, Names, Row, changes, rows
from hydria.cli.watching import Watcher, watcher

if TYPE_CHECKING:
    from compiler import Bundle

#: Seconds between two looks at the statistics.
_INTERVAL = 1.0

#: Seconds for the connections that there are when `run` is asked to end; a second Ctrl-C ends them at once.
_GRACE = 5.0

#: Connections of the whole process unless --target says otherwise: plenty for trying, and within what machines allow to open.
_MAXCONN = 10_000


def _address_or_vip(_ctx: click.Context, _option: click.Parameter, value: str) -> str | None:
    """An address to bind, None for the graph's own."""
    if value == "vip":
        return None
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} given; an IPv4 or IPv6 address is needed, or `vip`") from error


@click.command()
@inputs.graph_argument
@click.option(
    "--bind",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    callback=_address_or_vip,
    help="Listen here; `vip`: on the graph's own addresses.",
)
@click.option("--port-offset", metavar="N", default=0, show_default=True, help="Listen on ports that are higher by N.")
@inputs.secrets_option
@inputs.target_option
@inputs.haproxy_option
@inputs.json_option
@click.pass_obj
def run(
    output: Output,
    *,
    source: inputs.Source,
    bind: str | None,
    port_offset: int,
    secrets: Path | None,
    target_text: str,
    binary: Path | None,
) -> int:
    """Run HAProxy with GRAPH (a file, or - for standard input) until Ctrl-C, showing members and traffic.

    On a terminal a table is shown; otherwise a line for each change of a member's status. Everything that is made (sockets, files) is in
    a temporary directory of its own, which is removed at the end.
    """
    haproxy = inputs.find_haproxy(binary)
    with tempfile.TemporaryDirectory(prefix="hydria-", dir=inputs.private_parent()) as directory:
        target = inputs.target(
            target_text,
            haproxy=inputs.version_text(haproxy.version),
            run_directory=directory,
            **({"bind_address": bind} if bind else {}),
            port_offset=port_offset,
            maxconn=_affordable_maxconn(),
            log="",
            **({} if os.geteuid() == 0 else {"user": "", "group": ""}),
        )
        built = inputs.build(source, secrets, target)
        problems = built.problems
        bundle = built.bundle
        if bundle is not None and bundle.ok:
            output.note(f"compiled {source.name} for HAProxy {inputs.version_text(target.haproxy)}")
            problems = inputs.placed(source, problems + validate(haproxy, bundle, Path(directory) / "bundle"))
        if output.json:
            output.document({"event": "checked"} | verdict(source.name, problems))
        elif problems:
            output.problems(source.name, problems, stderr=True)
        if built.graph is None or bundle is None or has_errors(problems):
            return PROBLEMS
        output.note(f"HAProxy {inputs.version_text(haproxy.version)} finds it valid")
        run_directory = Path(target.run_directory)
        with SupervisedHaproxy(haproxy, Path(directory) / "bundle", run_directory, built.graph.id) as supervised:
            _start(supervised, bundle)
            with watcher(output, Names(built.graph, target)) as watch:
                _watch(supervised, watch)
            output.note(f"ending; connections get {_GRACE:g} s, Ctrl-C ends them at once")
            with suppress(KeyboardInterrupt):
                supervised.stop(_GRACE)
            watch.stopped()
    return FINE


def _start(supervised: SupervisedHaproxy, bundle: Bundle) -> None:
    try:
        supervised.start()
    except RejectedByHaproxy as error:
        # The configuration is valid; what remains is the machine: a port that is taken, an address that is not there, a limit.
        blamed = [f"{problem.object}: {problem.message}" for problem in compiler.blame(error.output, bundle) if problem.object]
        message = "\n".join(["HAProxy cannot serve this here:", *(blamed or [error.output.rstrip()])])
        if "cannot bind" in error.output:
            message += "\nuse --port-offset N for other ports, --bind ADDRESS for another address"
        raise SystemFault(message) from error


def _watch(supervised: SupervisedHaproxy, watch: Watcher) -> None:
    """Looks and shows until somebody wants an end; raises SystemFault when HAProxy has come to one by itself."""
    seen: list[Row] = []
    ended = False
    with ended_by_signals() as ending:
        watch.started()
        while True:
            now = rows(_statistics(supervised), watch.names)
            watch.looked(now, list(changes(seen, now, watch.names)))
            if ended:  # that was the last look, for the totals
                return
            seen = now
            ended = ending.wait(_INTERVAL)


def _statistics(supervised: SupervisedHaproxy) -> list[dict[str, str]]:
    try:
        return supervised.stats.show_stat(COLUMNS)
    except SocketFault:
        # The worker goes first, its master some milliseconds after it.
        if wait_until(lambda: not supervised.alive(), _INTERVAL, SystemClock()):
            raise SystemFault(f"HAProxy exited by itself; its last words:\n{supervised.words()}") from None
        raise


def _affordable_maxconn() -> int:
    """What the limit of open files allows: a connection takes two, and HAProxy some for itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAXCONN if hard == resource.RLIM_INFINITY else max(1, min(_MAXCONN, (hard - 200) // 2))
