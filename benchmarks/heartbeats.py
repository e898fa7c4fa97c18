"""What a beat costs with 20 000 members: Hydria's heart and Octavia's sender in turn, before the same HAProxy."""

from __future__ import annotations

import csv
import json
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from agent.haproxy import Haproxy
from agent.heartbeat.heart import Heart
from agent.paths import Paths
from agent.settings import LiveSettings
from agent.stats_socket import StatsSocket
from benchmarks.many_servers import running
from benchmarks.measuring import Table

#: Even, because every other beat is a cheaper one.
ROUNDS = 8
OCTAVIA = Path(__file__).parents[1] / ".venv" / "octavia" / "bin" / "python"


def run() -> list[Table]:
    """CPU time of a beat: ours and HAProxy's."""
    lb = str(uuid.uuid4())
    with (
        running(Haproxy.find().binary) as there,
        tempfile.TemporaryDirectory() as directory,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as controller,
        subprocess.Popen(
            [OCTAVIA, "-W", "ignore", Path(__file__).with_name("octavia_beating.py"), directory, lb],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as octavia,
    ):
        assert octavia.stdin is not None
        assert octavia.stdout is not None
        controller.bind(("127.0.0.1", 0))
        base = Path(directory)
        (base / f"{lb}.sock").symlink_to(there.stats.path)
        conf = base / "agent.conf"
        conf.write_text(
            f"[health_manager]\ncontroller_ip_port_list = 127.0.0.1:{controller.getsockname()[1]}\nheartbeat_key = key\n"
            f"[amphora_agent]\namphora_id = {lb}\n"
        )
        heart = Heart(LiveSettings(conf), Paths(base, base, base, base, base / "state"), lambda: [lb], lambda: False)
        for _ in range(8):
            heart.beat()  # in the first ones each member is told once
        ours: list[tuple[float, float]] = []
        theirs: list[tuple[float, float]] = []
        twice: list[float] = []
        size = 0
        for _ in range(ROUNDS):
            before, begin = _haproxy(there.pid), time.process_time()
            heart.beat()
            ours.append((time.process_time() - begin, _haproxy(there.pid) - before))
            before = _haproxy(there.pid)
            octavia.stdin.write("\n")
            octavia.stdin.flush()
            seconds, size = json.loads(octavia.stdout.readline())
            theirs.append((seconds, _haproxy(there.pid) - before))
            twice.append(_dictionaries(there.stats))
        status = heart.status()
        octavia.stdin.close()
        heart.stop()
    mean = [1000 * sum(each) / ROUNDS for each in (*zip(*ours, strict=True), *zip(*theirs, strict=True), twice)]
    rows: list[tuple[str | float, ...]] = [
        ("Hydria's heart", mean[0], 1000 * max(each for each, _ in ours), mean[1], status.size / 1000),
        ("Octavia's sender", mean[2], 1000 * max(each for each, _ in theirs), mean[3], size / 1000),
        ("csv.DictReader, twice", mean[4], 1000 * max(twice), "", ""),
    ]
    columns = ("a beat of", "CPU, ms, mean", "worst", "HAProxy's CPU, ms, mean", "kB sent")
    return [Table("Heartbeats, 20 000 members: a tenth down, drained, in maintenance, unchecked each", columns, rows)]


def _haproxy(pid: int) -> float:
    """Seconds of CPU that it has had."""
    return sum(int((each / "schedstat").read_text().split()[0]) for each in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def _dictionaries(stats: StatsSocket) -> float:
    """Seconds that the standard library takes to read both answers that Octavia's sender asks for."""
    texts = [stats.ask(command)[2:] for command in ("show stat", "show stat -1 6 -1")]
    begin = time.process_time()
    for text in texts:
        list(csv.DictReader(text.splitlines()))
    return time.process_time() - begin
