"""The demonstration: `python -m hydria.lab.demo [FILE.svg]`.

A load balancer (`examples/demo/loadbalancer.yaml`) is compiled, checked and run over small real backends; real requests are made; a table shows
what was asked, what was expected, who answered, and whether that is right. Where a lab can be made, it is asked the same as a pair of
amphorae, whose master dies under load: FILE.svg shows that. Exit codes: 0 all right, 1 something is not, 3 it could not be run. Nothing is
left behind, also after Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

import compiler
from agent import bundle_directory
from agent.errors import AgentError
from agent.haproxy import Haproxy
from agent.supervised import SupervisedHaproxy
from compiler.errors import CompilerError
from compiler.secrets import Secret
from compiler.target import Target
from hydria.lab import fitness, record
from hydria.lab.backends import HttpBackend
from hydria.lab.building import build
from hydria.lab.certificates import Authority, Certificate
from hydria.lab.pair_tour import PairTour, quickened
from hydria.lab.ports import HeldPort
from hydria.lab.topology import Wishes
from hydria.lab.tour import Finding, Place, tour

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "demo" / "loadbalancer.yaml"
ADDRESS = "127.0.0.1"

FINE, WRONG, FAILED = 0, 1, 3

#: Connections of the whole process: few are made, and no machine's limit of open files is met.
_MAXCONN = 500

#: Columns where there is no terminal to say.
_WIDTH = 150


class Demo:
    """The running demonstration. `stack` owns everything that is started or made."""

    def __init__(self, stack: ExitStack, console: Console, example: Path) -> None:
        self._stack = stack
        self._console = console
        self._document = yaml.safe_load(example.read_text(encoding="utf-8"))
        self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hydria-demo-")))
        self._haproxy = Haproxy.find()
        self._secrets: dict[str, Secret] = {}
        self._target = Target(
            haproxy=self._haproxy.version,
            run_directory=str(self._directory),
            user=None,
            group=None,
            bind_address=ADDRESS,
            maxconn=_MAXCONN,
            log=None,
        )

    def run(self) -> list[Finding]:
        """Everything, from the start of the backends to the last request. Raises CompilerError and AgentError."""
        balancer = self._document["loadbalancer"]
        with self._step("start backends") as done:
            members = [member for pool in balancer["pools"] for member in pool["members"]]
            for member in members:
                backend = self._stack.enter_context(HttpBackend(member["name"], address=ADDRESS))
                member["address"], member["protocol_port"] = backend.address, backend.port
            done(f"{len(members)} of them, on {ADDRESS}")
        with self._step("make certificates") as done:
            authority = Authority()
            certificates = _certificates(authority)
            self._secrets = {name: Secret(certificate.bundle_pem) for name, certificate in certificates.items()}
            done(", ".join(certificates))
        for listener in balancer["listeners"]:
            listener["protocol_port"] = self._stack.enter_context(HeldPort((ADDRESS,))).port
        graph = self._put_in_place()
        with self._step("start HAProxy") as done:
            bundle = self._directory / "bundle"
            process = self._stack.enter_context(SupervisedHaproxy(self._haproxy, bundle, self._directory, graph.id))
            process.start()
            done("it serves")

        def reload() -> None:
            self._put_in_place()
            with self._step("reload HAProxy"):
                process.reload()

        ports = {listener["name"]: (ADDRESS, listener["protocol_port"]) for listener in balancer["listeners"]}
        place = Place(ports, authority, certificates, {pool["name"]: pool for pool in balancer["pools"]}, reload)
        return self._told(tour(place))

    def run_pair(self, picture: Path) -> list[Finding]:
        """The same with a pair of amphorae, and what can go wrong with those. Raises CompilerError and AgentError."""
        authority = Authority()
        certificates = _certificates(authority)
        secrets = {name: Secret(certificate.bundle_pem) for name, certificate in certificates.items()}
        text = yaml.safe_dump({"loadbalancer": quickened(self._document["loadbalancer"])}).encode()
        name = f"demo-{os.getpid()}"
        self._stack.callback(record.end, name)
        with self._step("make a lab") as done:
            lab = build(name, text, Wishes(), secrets, lambda _: None)
            done(f"{len(lab.plan.amphorae)} amphorae, {len(lab.plan.backends)} members, VIP {lab.plan.vips[0]}: {lab.holders()[0]} has it")
        pair = PairTour(lab, authority, certificates, secrets)
        findings = self._told(pair.findings())
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_text(pair.picture, encoding="utf-8")
        self._console.print(f"· the failover as a picture: {picture}", highlight=False)
        return findings

    def _told(self, asked: Iterator[Finding]) -> list[Finding]:
        findings = []
        for finding in asked:
            self._console.print(
                f"  {'✓' if finding.right else '✗'} {finding.asked}", style=None if finding.right else "red", highlight=False
            )
            findings.append(finding)
        return findings

    def _put_in_place(self) -> compiler.LoadBalancer:
        """Compiles the document as it is now, has HAProxy check it, and puts it where HAProxy reads."""
        with self._step("compile the graph") as done:
            graph = compiler.load(yaml.safe_dump(self._document))
            bundle = compiler.build(graph, self._target, self._secrets)
            if not bundle.ok:
                raise compiler.ProblemError(bundle.problems)
            bundle_directory.replace(bundle, self._directory / "bundle")
            lines = bundle.files["haproxy.cfg"].content.count(b"\n")
            done(f"{len(graph.listeners)} listeners, {len(graph.pools)} pools → {len(bundle.files)} files, {lines} lines of haproxy.cfg")
        with self._step("haproxy -c") as done:
            checked = self._haproxy.check(self._directory / "bundle")
            if not checked.ok:
                raise compiler.ProblemError(compiler.blame(checked.output, bundle))
            done(f"HAProxy {'.'.join(map(str, self._haproxy.version))} finds it valid")
        return graph

    @contextmanager
    def _step(self, what: str) -> Iterator[Any]:
        """Says what is being done, and when it is done how long it took."""
        said: list[str] = []
        begun = time.monotonic()
        with self._console.status(f"{what} …"):
            yield said.append
        self._console.print(f"· {what}: {' '.join(said) or 'done'} ({(time.monotonic() - begun) * 1000:.0f} ms)", highlight=False)


def _certificates(authority: Authority) -> dict[str, Certificate]:
    """Those that the example refers to."""
    return {
        "default": authority.server("default.example"),
        "shop": authority.server("shop.example", "www.shop.example"),
        "blog": authority.server("*.blog.example"),
    }


def table(findings: list[Finding]) -> Table:
    """What was asked and what came of it."""
    shown = Table(title="What was asked, and who answered", title_justify="left", expand=False)
    for heading in ("asked", "expected", "answered", ""):
        shown.add_column(heading, overflow="fold")
    for finding in findings:
        verdict = Text("right", "green") if finding.right else Text("WRONG", "bold red")
        shown.add_row(Text(finding.asked), Text(finding.expected), Text(finding.answered), verdict)
    return shown


def main(example: Path = EXAMPLE, picture: Path | None = None) -> int:
    """Runs the demonstration and says how it went; with a `picture`, of a failover, its second part too."""
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    begun = time.monotonic()
    try:
        with _ending_tidily(), ExitStack() as stack:
            demo = Demo(stack, console, example)
            findings = demo.run()
            why_not = fitness.why_not()
            if picture is not None and why_not is None:
                findings += Demo(stack, console, example).run_pair(picture)
            elif picture is not None:
                console.print(f"There is no second part, with a pair of amphorae: {why_not}.", style="yellow", highlight=False)
    except (AgentError, CompilerError, OSError) as error:
        console.print(f"The demonstration could not be run: {error}", style="red", markup=False, highlight=False)
        return FAILED
    except _EndedError as ended:
        console.print("Interrupted; everything that was started has ended.", highlight=False)
        return 128 + ended.number
    wrong = sum(not finding.right for finding in findings)
    console.print(table(findings))
    took = f"{time.monotonic() - begun:.1f} s"
    if wrong:
        console.print(f"{wrong} of {len(findings)} answers are WRONG ({took}).", style="bold red", highlight=False)
        return WRONG
    console.print(f"All {len(findings)} answers are right ({took}).", style="green", highlight=False)
    return FINE


class _EndedError(BaseException):
    """A signal has ended the demonstration; as with KeyboardInterrupt, nobody below is to take it for a fault."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def _ending_tidily() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end the block; further ones do not stop it from ending all that was started."""

    def interrupt(number: int, _: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise _EndedError(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main(picture=Path(sys.argv[1] if len(sys.argv) > 1 else "build/failover.svg")))
