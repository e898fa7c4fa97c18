"""`python -m benchmarks.soak_inside commands|reloads CHANGES SECONDS`, in namespaces of its own (see `soak`): changes a load balancer under load.

The process namespace has the agent, its HAProxy, and what makes and answers the load; this program drives the agent and looks at them.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal, Self

from agent.client import AgentClient
from agent.clock import SystemClock, wait_until
from agent.errors import AgentError
from agent.outcomes import Outcome
from agent.paths import NAMESPACE
from benchmarks.agent_inside import AMPHORA, BASE, LB, PORT, SETTINGS
from benchmarks.soak_changes import ANSWERING, HTTP, HTTPS, Changes
from compiler.secrets import Secret
from hydria.lab.certificates import Authority

Way = Literal["commands", "reloads"]

SEED = 20
CERTIFICATES = 12
#: Long connections, half of them TCP, half upgraded HTTP.
LONG = 100
#: Connections that HAProxy is to be ready for: many workers have their place in memory then.
TARGET = {"maxconn": 5000}
#: Looks at processes and memory in one run.
LOOKS = 50

MEMBERS = f"""\
global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend members
  bind 127.0.0.1:{ANSWERING.start}-{ANSWERING.stop - 1}
  http-request return status 200 content-type text/plain string ok
"""

#: wrk asks as fast as it can unless a script holds it back (ms between an answer and the next request of a connection).
DELAY = """\
function delay()
  return 10
end
"""


class Load:
    """wrk's requests over connections that stay; `requests`, and `failed` of them, when it has been ended."""

    def __init__(self, script: Path, connections: int, url: str) -> None:
        command = ["wrk", "-t1", f"-c{connections}", "-d86400s", "--timeout", "10s", "-s", str(script), url]
        self._process = subprocess.Popen(inside(command), stdout=subprocess.PIPE, text=True)
        self.said = ""
        self.requests = self.failed = 0

    def end(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self.said, _ = self._process.communicate(timeout=60)
        self.requests = int(re.search(r"(\d+) requests in", self.said)[1])  # type: ignore[index]
        if errors := re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", self.said):
            self.failed += sum(map(int, errors.groups()))
        if answers := re.search(r"Non-2xx or 3xx responses: (\d+)", self.said):
            self.failed += int(answers[1])


class Processes:
    """The agent and the HAProxy that it looks after, as /proc shows them; `others` are none of theirs."""

    def __init__(self, agent: int, others: set[int]) -> None:
        self.agent = agent
        self._others = others

    def haproxies(self) -> list[int]:
        """The master and its workers; not one that looks at a configuration."""
        found = []
        for path in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
            with suppress(FileNotFoundError, ProcessLookupError):
                pid = int(path.name)
                if (
                    (path / "comm").read_text().strip() == "haproxy"
                    and pid not in self._others
                    and b"\0-W\0" in (path / "cmdline").read_bytes()
                ):
                    found.append(pid)
        return found

    def look(self) -> dict[str, float]:
        """Workers, and memory (in MB): what is theirs alone, because what others map, too, changes with the others."""
        haproxies = self.haproxies()
        return {
            "workers": len(haproxies) - 1,
            "haproxy_mb": sum(map(_memory, haproxies)),
            "agent_mb": _memory(self.agent),
        }

    def cpu(self) -> dict[str, float]:
        """Seconds, of those too that have ended and were waited for (proc(5), stat)."""
        haproxies = self.haproxies()
        return {"agent": _cpu(self.agent), "haproxy": sum(map(_cpu, haproxies))}


def inside(command: list[str]) -> list[str]:
    """Where the traffic is."""
    return ["ip", "netns", "exec", NAMESPACE, *command]


def _memory(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        if size := re.search(r"^Pss_Anon:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE):
            return int(size[1]) / 1000
    return 0.0


def _cpu(pid: int) -> float:
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


class Site:
    """An agent with nothing to do yet."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        agents, controllers = Authority("agents"), Authority("controllers")
        names = ("server.pem", "client_ca.pem", "ca.pem", "client.pem")
        server, client_ca, ca, client = (directory / name for name in names)
        server.write_bytes(agents.server(AMPHORA).bundle_pem)
        client_ca.write_bytes(controllers.certificate_pem)
        ca.write_bytes(agents.certificate_pem)
        client.write_bytes(controllers.client("controller").bundle_pem)
        self._secrets = [Secret(agents.server("soak.example").bundle_pem) for _ in range(CERTIFICATES)]
        settings = directory / "agent.conf"
        settings.write_text(SETTINGS.format(base=BASE, port=PORT, controller=9, directory=directory, amphora=AMPHORA))
        command = [
            str(Path(sys.executable).with_name("hydria-agent")),
            "--octavia-conf",
            str(settings),
            "--services",
            "supervised",
            "serve",
        ]
        self.log = directory / "agent.log"
        said = stack.enter_context(self.log.open("wb"))
        self.agent = subprocess.Popen(command, cwd="/", stdout=said, stderr=said)
        stack.callback(self._end)
        self.client = AgentClient("127.0.0.1", PORT, amphora_id=AMPHORA, ca=ca, certificate=client)
        if not wait_until(self._answers, 60, SystemClock()):
            raise RuntimeError(f"the agent does not serve:\n{self.log.read_text()}")

    def put(self, dice: Changes, timeout: int = 50_000) -> Outcome:
        secrets = {"certificate": self._secrets[dice.certificate]}
        return self.client.put_loadbalancer(LB, dice.graph(timeout), secrets, target=TARGET)

    def _answers(self) -> bool:
        with suppress(AgentError):
            return bool(self.client.version())
        return False

    def _end(self) -> None:
        self.agent.terminate()
        self.agent.wait()


class LongConnections:
    """Members that echo, and clients that have long connections to them: see `soak_traffic`."""

    def __enter__(self) -> Self:
        command = inside([sys.executable, "-m", "benchmarks.soak_traffic", str(LONG)])
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._said() != "ready\n":
            raise RuntimeError("no members")
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self) -> None:
        """The load balancer serves now."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def end(self) -> dict[str, Any]:
        """What they have seen."""
        self._process.send_signal(signal.SIGTERM)
        seen: dict[str, Any] = json.loads(self._said())
        return seen

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def soak(way: Way, changes: int, at_most: float) -> dict[str, Any]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = Site(stack, directory)
        (directory / "members.cfg").write_text(MEMBERS)
        script = directory / "delay.lua"
        script.write_text(DELAY)
        members = subprocess.Popen(inside(["/usr/sbin/haproxy", "-db", "-f", str(directory / "members.cfg")]), stderr=subprocess.DEVNULL)
        stack.callback(members.kill)
        long = stack.enter_context(LongConnections())
        dice = Changes(SEED, CERTIFICATES)
        site.put(dice)
        processes = Processes(site.agent.pid, {members.pid})
        long.begin()
        loads = [Load(script, 12, f"http://127.0.0.1:{HTTP}/"), Load(script, 4, f"https://127.0.0.1:{HTTPS}/")]
        # Until all long connections are there, and everything has got as large as it is when it has something to do.
        time.sleep(3)
        seen = _changed(way, (changes, at_most), dice, site, processes)
        for load in loads:
            load.end()
        return seen | {
            "requests": sum(load.requests for load in loads),
            "failed": sum(load.failed for load in loads),
            "wrk": [load.said for load in loads],
            "long": long.end(),
            "leaving": len(site.client.loadbalancer_status(LB).leaving),
        }


def _changed(way: Way, limits: tuple[int, float], dice: Changes, site: Site, processes: Processes) -> dict[str, Any]:
    """So many, one change after the other, or as many as so many seconds suffice for."""
    changes, at_most = limits
    ways: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    seconds: list[float] = []
    looks = [processes.look()]
    cpu = processes.cpu()
    begun = time.monotonic()
    for number in range(1, changes + 1):
        kind = dice.change()
        began = time.monotonic()
        # A timeout is nothing that a running HAProxy can be told.
        outcome = site.put(dice, 50_000 + number % 10_000 if way == "reloads" else 50_000)
        seconds.append(time.monotonic() - began)
        ways[outcome.way] += 1
        if outcome.way != "runtime" and way == "commands":
            reasons[f"{kind}: {outcome.way}: {'; '.join(map(str, outcome.reasons))[:300]}"] += 1
        if number % max(1, changes // LOOKS) == 0:
            looks.append(processes.look())
            print(f"{way}: {number} of {changes}", file=sys.stderr, flush=True)
        if time.monotonic() - begun > at_most:
            break
    took = time.monotonic() - begun
    after = processes.cpu()
    seconds.sort()
    return {
        "way": way,
        "changes": len(seconds),
        "kinds": dict(dice.made),
        "ways": dict(ways),
        "reasons": dict(reasons.most_common(20)),
        "seconds": took,
        "median_ms": seconds[len(seconds) // 2] * 1000,
        "p99_ms": seconds[int(len(seconds) * 0.99)] * 1000,
        "cpu": {name: after[name] - cpu[name] for name in cpu},
        "looks": looks,
    }


if __name__ == "__main__":
    print(json.dumps(soak("commands" if sys.argv[1] == "commands" else "reloads", int(sys.argv[2]), float(sys.argv[3]))))
