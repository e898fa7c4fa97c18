"""Metrics of 20 000 members through a PROMETHEUS listener: the translation in the agent beside Octavia's proxy, at the same HAProxy.

Either runs in a process of its own, so that its time and memory are seen alone. CPU in s, memory as the most that was resident less what was
before anybody asked.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.clock import SystemClock, wait_until
from agent.haproxy import Haproxy
from benchmarks.measuring import Table

ROOT = Path(__file__).resolve().parents[1]
OCTAVIA = ROOT / ".venv/octavia/bin/python"
LISTENERS, SERVERS = 20, 1000

OURS = """
import sys, time
from agent.metrics.exporters import Exporters
from agent.metrics.places import Place, Places
running = Exporters()
running.follow([Places(Place("127.0.0.1", int(sys.argv[1])), Place("127.0.0.1", int(sys.argv[2])))])
time.sleep(86400)
"""
THEIRS = """
import sys
import octavia.cmd.prometheus_proxy as proxy
proxy.METRICS_URL = f"http://127.0.0.1:{sys.argv[1]}/metrics"
proxy.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), proxy.PrometheusProxy).serve_forever()
"""


def run() -> list[Table]:
    haproxy = Haproxy.find()
    rows: list[tuple[str | float, ...]] = []
    with tempfile.TemporaryDirectory() as directory, _serving(haproxy, Path(directory)) as exporter:
        size, seconds = _pull(exporter)
        rows.append(("HAProxy's exporter alone", size / 1e6, seconds, "-", "-"))
        rows.append(("Hydria's translation", *_measured([sys.executable, "-c", OURS], exporter)))
        rows.append(("Octavia's proxy", *_measured([str(OCTAVIA), "-W", "ignore", "-c", THEIRS], exporter)))
    columns = ("metrics of 20 000 members", "MB told", "s", "CPU of the translator, s", "its memory besides, MB")
    return [Table("A scrape of a PROMETHEUS listener", columns, rows)]


def _measured(command: list[str], exporter: int) -> tuple[float, ...]:
    port = _free_port()
    process = subprocess.Popen([*command, str(exporter), str(port)], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port), 30, SystemClock())
        before, cpu = _memory(process.pid, "VmRSS"), _cpu(process.pid)
        size, seconds = _pull(port)
        return size / 1e6, seconds, _cpu(process.pid) - cpu, _memory(process.pid, "VmHWM") - before
    finally:
        process.kill()
        process.wait()


def _pull(port: int) -> tuple[int, float]:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    size = 0
    while piece := answer.read(1 << 18):
        size += len(piece)
    connection.close()
    return size, time.perf_counter() - began


@contextmanager
def _serving(haproxy: Haproxy, directory: Path) -> Iterator[int]:
    port = _free_port()
    lines = ["global", " maxconn 1000", "defaults", " mode http", " timeout connect 5s", " timeout client 600s", " timeout server 600s"]
    lines += ["frontend prometheus-exporter-internal-endpoint", f" bind 127.0.0.1:{port}", " http-request use-service prometheus-exporter"]
    for number in range(LISTENERS):
        pool, listener = uuid.uuid4(), uuid.uuid4()
        lines += [f"frontend {listener}", f" bind unix@{directory}/{number}", f" default_backend {pool}:{listener}"]
        lines += [f"backend {pool}:{listener}", *(f" server {uuid.uuid4()} 127.0.0.1:9" for _ in range(SERVERS))]
    configuration = directory / "haproxy.cfg"
    configuration.write_text("\n".join([*lines, ""]))
    process = subprocess.Popen([haproxy.binary, "-db", "-f", configuration], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(port), 60, SystemClock())
        yield port
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def _cpu(pid: int) -> float:
    """Seconds, of threads that have ended too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int, what: str) -> float:
    found = re.search(rf"^{what}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
