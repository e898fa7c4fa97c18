"""octavia-tempest-plugin's API tests against a lab's control plane, and against the same one with Octavia's noop drivers: passed, failed, skipped, and why.

The lab has a Keystone, as the tests want users with roles. Networks are those of the lab: the tests are given its public one
instead of making some (their option `test_network_override`). With noop drivers they take networks that nobody has (`test_with_noop`).
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

from rich.console import Console

from agent.errors import SystemFault
from benchmarks.measuring import Table
from benchmarks.octavia_labs import load, octavia_lab, wait
from hydria.lab import keystone
from hydria.lab.octavia_lab import OctaviaLab
from hydria.lab.octavia_plan import CONFIGURATION

_TEMPEST = Path(__file__).parents[1] / ".venv" / "tempest" / "bin"
#: What the tests' service for networks is called.
_NETWORKS = "network-of-tests"
#: What is run where nothing else is said.
TESTS = r"octavia_tempest_plugin\.tests\.api"
_WORKERS = 3
#: Seconds for a run; what has not ended by then is not counted.
LONGEST = 7200.0
#: Of what the tests try with each protocol and each algorithm, one; all of the rest.
SHORT = (
    r"octavia_tempest_plugin\.tests\.api\.v2\.test_(?:"
    r"(?:load_balancer|l7policy|l7rule|provider|amphora|(?:flavor|availability_zone)(?:_profile|_capabilities)?)\."
    r"|listener\.ListenerAPITest\.test_http_|pool\.PoolAPITest.*HTTP_RR|healthmonitor\..*_RR_HTTP_|member\..*\.test_HTTP_RR_)"
)
#: All that `SHORT` leaves out.
REST = SHORT.replace("test_(?:", "test_(?!", 1)
#: Scenarios of which none wants servers of Nova's, by the same choice.
SCENARIOS = (
    r"octavia_tempest_plugin\.tests\.scenario\.v2\.test_(?:"
    r"(?:load_balancer|l7policy|l7rule)\.|listener\..*test_http_|pool\..*HTTP_RR|healthmonitor\..*_RR_HTTP_|member\..*\.test_HTTP_RR_)"
)
_RESULTS = ("passed", "failed", "skipped", "not ended")
#: What a failure says that says nothing.
_UNTOLD = "testtools.testresult.real._StringException"
#: Characters of a reason.
_TOLD = 300

#: Octavia's drivers that do nothing.
_NOOP = {
    "amphora_driver": "amphora_noop_driver",
    "compute_driver": "compute_noop_driver",
    "network_driver": "network_noop_driver",
}


class Test(NamedTuple):
    """One: its class and name, what came of it (`passed`, `failed`, `skipped`, `not ended`), and why."""

    name: str
    result: str
    reason: str


def run(tests: str = TESTS, seconds: float = LONGEST) -> Iterator[Table]:
    """The lab's drivers, then Octavia's that do nothing."""
    found = {
        title: measured(tests, seconds, noop=noop) for title, noop in (("the lab's amphorae", False), ("Octavia's noop drivers", True))
    }
    yield _counts(found)
    for title, several in found.items():
        yield _reasons(title, several)


def measured(tests: str, seconds: float, *, noop: bool) -> list[Test]:
    """Runs them, in a lab of their own."""
    with (
        tempfile.TemporaryDirectory() as directory,
        octavia_lab("noop" if noop else "tempest", with_keystone=True, members=2, beats=1) as lab,
        _networks(lab) as networks,
    ):
        kept = keystone.passwords(lab.directory)
        lab.identity.announce(lab.identity.token(keystone.ADMIN, kept.admin), _NETWORKS, networks)
        if noop:
            _do_nothing(lab)
        return _tempest(lab, Path(directory), kept.admin, tests, seconds, noop=noop)


@contextmanager
def _networks(lab: OctaviaLab) -> Iterator[str]:
    """A service for networks by itself: the lab's look-ups. The tests read a subnet from its answer with and without what it is in."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer = lab.ask(self.path)
                status = 200
            except SystemFault as error:
                answer, status = {"NeutronError": {"type": "NotFound", "message": str(error), "detail": ""}}, 404
            body = json.dumps({**answer.get("subnet", {}), **answer}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def _do_nothing(lab: OctaviaLab) -> None:
    """Has Octavia's processes make nothing."""
    path = lab.directory / CONFIGURATION
    found = _said(lab)
    found["controller_worker"].update(_NOOP)
    found["certificates"]["cert_manager"] = "noop_cert_manager"
    with path.open("w") as file:
        found.write(file)
    for role in lab.roles:
        if role != "keystone":
            lab.control("stop", name=role)
            lab.control("start", name=role)

    def answers() -> bool:
        try:
            lab.ask("/")
        except (OSError, SystemFault):
            return False
        return True

    wait(answers, "Octavia's API")


def _said(lab: OctaviaLab) -> configparser.ConfigParser:
    """Octavia's configuration."""
    found = configparser.ConfigParser(interpolation=None)
    found.read(lab.directory / CONFIGURATION)
    return found


def _tempest(lab: OctaviaLab, directory: Path, password: str, tests: str, seconds: float, *, noop: bool) -> list[Test]:
    there = directory / "tempest"
    there.mkdir()
    [package] = (_TEMPEST.parent / "lib").glob("python3*/site-packages/tempest")
    # How tests that are run together are told from others is as `tempest init` writes it.
    (there / ".stestr.conf").write_text(f"[DEFAULT]\ntest_path={package}/test_discover\ntop_dir={package}\ngroup_regex=([^\\.]*\\.)*\n")
    network = next(each for each in lab.ask("/v2.0/networks")["networks"] if each["name"] == "public")
    subnet = next(each for each in lab.ask("/v2.0/subnets")["subnets"] if each["name"] == "public-subnet")
    options: dict[str, dict[str, Any]] = {
        "oslo_concurrency": {"lock_path": there / "locks"},
        "auth": {
            "use_dynamic_credentials": True,
            "create_isolated_networks": False,
            "admin_username": "admin",
            "admin_password": password,
            "admin_project_name": "admin",
            "admin_domain_name": "Default",
        },
        "identity": {"uri_v3": lab.octavia.identity, "auth_version": "v3", "region": "lab", "v3_endpoint_type": "public"},
        "identity-feature-enabled": {"api_v2": False, "api_v3": True},
        "network": {"project_networks_reachable": True, "region": "lab", "catalog_type": _NETWORKS},
        # The tests ask whether there are these before they ask for networks of their own, which they do not.
        "service_available": {"load_balancer": True, "neutron": True, "nova": True, "glance": True, "cinder": False, "swift": False},
        "load_balancer": {
            "region": "lab",
            # Octavia's own, for both runs: ours wants a monitor's timeout to be shorter than its delay, as the API's reference does and these tests do not.
            "provider": "amphora",
            "availability_zone": "nova",
            "RBAC_test_type": "keystone_default_roles",
            "test_with_noop": noop,
            "test_with_ipv6": noop,
            "enabled_provider_drivers": _said(lab)["api_settings"]["enabled_provider_drivers"],
            "check_interval": 0.5,
            "check_timeout": 120,
            "lb_build_interval": 0.5,
            "lb_build_timeout": 300,
            # Any zone is one where nothing is done; the lab has one.
            **({"availability_zone2": "other", "availability_zone3": "third"} if noop else {}),
            **({} if noop else {"test_network_override": network["id"], "test_subnet_override": subnet["id"]}),
        },
    }
    (there / "tempest.conf").write_text(
        "".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in group.items()) for name, group in options.items())
    )
    run: list[str | Path] = [_TEMPEST / "stestr", "run", "--concurrency", str(_WORKERS), "--subunit", tests]
    path = f"{_TEMPEST}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "TEMPEST_CONFIG_DIR": str(there), "TEMPEST_CONFIG": "tempest.conf"}
    with (
        (directory / "results.subunit").open("wb") as results,
        (directory / "tempest.log").open("wb") as log,
        subprocess.Popen(run, cwd=there, env=environment, stdout=results, stderr=log, start_new_session=True) as process,
    ):
        # What failed, and what there was no time for, is in the results, or not in them.
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
    if kept := os.environ.get("HYDRIA_TEMPEST_KEPT"):
        name = "noop" if noop else "lab"
        Path(kept, f"{name}.subunit").write_bytes((directory / "results.subunit").read_bytes())
        Path(kept, f"{name}.log").write_bytes((directory / "tempest.log").read_bytes())
        Path(kept, f"{name}-control.log").write_bytes((lab.directory / "control.log").read_bytes())
    with (directory / "results.subunit").open("rb") as found:
        text = subprocess.run([_TEMPEST / "subunit2junitxml", "--no-passthrough"], stdin=found, capture_output=True, check=False).stdout
    return [_test(each) for each in ET.fromstring(text).iter("testcase")]


def _test(case: ET.Element) -> Test:
    name = f"{case.get('classname', '').rpartition('.')[2]}.{case.get('name', '').partition('[')[0]}".lstrip(".")
    for kind, result in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
        if (found := case.find(kind)) is not None:
            # One that was going on when there was no time left has nothing to tell.
            if kind == "failure" and (found.text or "").strip() == _UNTOLD:
                return Test(name, "not ended", "")
            lines = [
                line for line in (found.text or found.get("message") or "").strip().splitlines() if line.strip() and line.strip() != "}}}"
            ]
            return Test(name, result, (lines[-1] if lines else "")[:_TOLD])
    return Test(name, "passed", "")


def _counts(found: dict[str, list[Test]]) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for title, several in found.items():
        counts = Counter(one.result for one in several)
        rows.append((title, *(counts[result] for result in _RESULTS)))
    return Table(f"octavia-tempest-plugin; load {load()}", ("drivers", *_RESULTS), rows)


def _reasons(title: str, several: list[Test]) -> Table:
    grouped: dict[tuple[str, str], list[str]] = {}
    for one in several:
        if one.result != "passed":
            grouped.setdefault((one.result, one.reason), []).append(one.name)
    rows: list[tuple[str | float, ...]] = [
        (result, len(names), reason, " ".join(names)) for (result, reason), names in sorted(grouped.items())
    ]
    return Table(f"With {title}: not passed", ("result", "tests", "reason", "which"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.octavia_tempest", description="Runs octavia-tempest-plugin's tests.")
    parser.add_argument("--tests", default=TESTS, help="a regular expression")
    parser.add_argument(
        "--short", dest="tests", action="store_const", const=SHORT, help="one of each kind that differs in protocol and algorithm only"
    )
    parser.add_argument("--rest", dest="tests", action="store_const", const=REST, help="what that leaves out")
    parser.add_argument(
        "--scenarios", dest="tests", action="store_const", const=SCENARIOS, help="such as want no servers, of each kind one"
    )
    parser.add_argument("--only", choices=("lab", "noop"), help="one of the two runs")
    parser.add_argument("--seconds", type=float, default=LONGEST, help="for each run")
    options = parser.parse_args()
    console = Console(width=220)
    began = time.monotonic()
    if options.only:
        found = measured(options.tests, options.seconds, noop=options.only == "noop")
        tables = [_counts({options.only: found}), _reasons(options.only, found)]
    else:
        tables = list(run(options.tests, options.seconds))
    for table in tables:
        console.print(table.rendered())
    console.print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
