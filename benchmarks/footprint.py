"""What the agent takes of an amphora beside Octavia's: memory, time to start."""

from __future__ import annotations

import compileall
import json
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import Table

ROOT = Path(__file__).parent.parent
PACKAGES = ("agent", "compiler", "fastpath", "hydria", "templates")
ROUNDS = 9
AGENTS = {"hydria": "Hydria's agent", "octavia": "Octavia's agent"}

#: A machine as far as an agent can see: its own processes and network, nothing in /run, /var/lib and /var/log.
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
MACHINE = """\
for place in /run /var/lib /var/log; do mount -t tmpfs none $place; done
mkdir -p /run/netns /run/rsyslog/octavia /var/lib/octavia/certs
ip link set lo up
exec "$@"
"""


def run() -> Iterator[Table]:
    with tempfile.TemporaryDirectory() as directory:
        commands = {"hydria": installed(Path(directory)), "octavia": ROOT / ".venv" / "octavia" / "bin" / "amphora-agent"}
        found: dict[str, list[dict[str, Any]]] = {agent: [] for agent in AGENTS}
        for _ in range(ROUNDS):
            for agent, rounds in found.items():
                rounds.append(_measured(agent, commands[agent]))
    yield _memory(found)
    yield _start(found)


def installed(directory: Path) -> Path:
    """The agent's command as pip installs it, which Octavia's is: compiled, without the hooks of an editable installation."""
    venv.create(directory, symlinks=True)
    there = Path(sysconfig.get_path("purelib", vars={"base": str(directory)}))
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.suffix != ".pth" and not path.name.startswith("__editable__"):
            (there / path.name).symlink_to(path)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, there / package)
        compileall.compile_dir(there / package, quiet=1)
    command = directory / "bin" / "hydria-agent"
    command.write_text(f"#!{directory}/bin/python\nfrom agent.main import main\n\nmain()\n")
    command.chmod(0o755)
    return command


def _measured(agent: str, command: Path) -> dict[str, Any]:
    inside = [sys.executable, "-m", "benchmarks.agent_inside", agent, str(command)]
    done = subprocess.run([*NAMESPACES, "sh", "-ec", MACHINE, "sh", *inside], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _memory(found: dict[str, list[dict[str, Any]]]) -> Table:
    """Of the round in which it was least."""
    least = {agent: min((each["memory"] for each in rounds), key=_total) for agent, rounds in found.items()}
    rows: list[tuple[str | float, ...]] = [
        (
            AGENTS[agent],
            len(sizes),
            _total(sizes),
            " + ".join(f"{size / 1000:.1f}" for _, size in sizes),
            _total(sizes) / _total(least["octavia"]),
        )
        for agent, sizes in least.items()
    ]
    columns = ("of", "processes", "MB together", "MB each", "share of Octavia's")
    return Table("Memory (proportional set size), idle, one load balancer, after the first requests and heartbeats", columns, rows)


def _total(sizes: list[tuple[str, int]]) -> float:
    return sum(size for _, size in sizes) / 1000


def _start(found: dict[str, list[dict[str, Any]]]) -> Table:
    """Time, and what the processors did in it, which tells more where others have work for them, too."""
    seconds = {agent: [each["seconds"] for each in rounds] for agent, rounds in found.items()}
    cpu = {agent: min(each["cpu"] for each in rounds) for agent, rounds in found.items()}
    rows: list[tuple[str | float, ...]] = [
        (
            AGENTS[agent],
            min(each),
            statistics.median(each),
            min(each) / min(seconds["octavia"]),
            statistics.median(each) / statistics.median(seconds["octavia"]),
            cpu[agent],
            cpu[agent] / cpu["octavia"],
        )
        for agent, each in seconds.items()
    ]
    columns = ("of", "best s", "median s", "share of Octavia's, best", "share, median", "CPU, best s", "share")
    return Table("From start to the first answer over mutual TLS", columns, rows)
