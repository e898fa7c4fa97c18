"""`hydria web` and `hydria lab web`: the status page, of real agents; in a real browser in the slow suite."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from support.chromium import Browser
from support.driven import PORT, VIP, Driven
from support.labs import get, graph, lab
from support.pages import HYDRIA, page
from support.polling import eventually

from hydria.lab import failing
from hydria.lab.client import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydria.lab.lab import Lab


@pytest.fixture
def driven() -> Iterator[Driven]:
    # A path of a socket is short.
    with TemporaryDirectory(prefix="hy") as directory, ExitStack() as stack:
        yield Driven(stack, Path(directory))


def test_an_agents_page_tells_of_traffic_changes_and_its_end(driven: Driven) -> None:
    with ExitStack() as stack:
        driven.call("put_loadbalancer", driven.graph(1, 1))
        driven.call("put_loadbalancer", driven.graph(1, 1, 1))
        # A process has the network of the thread that starts it, and so has a socket.
        stack.enter_context(driven.amphora.machine.entered())
        shown = stack.enter_context(page("web", *driven.options))
        eventually(shown.balancer, "a load balancer", 60)
        found = shown.balancer()
        assert (found["name"], found["vips"], found["status"]) == ("lb", [VIP], "ONLINE")
        assert [(one["id"], one["role"], one["error"]) for one in found["amphorae"]] == [(driven.amphora.id, "master", "")]
        assert [member["name"] for member in found["listeners"][0]["pools"][0]["members"]] == ["m0", "m1", "m2"]
        latest, first = found["applies"]
        assert (latest["number"], latest["state"], first["number"], first["state"]) == (2, "serving", 1, "past")
        [moves] = latest["moves"]
        # A third of all clients goes to a third member, and a consistent hash moves hardly any other.
        assert moves["pool"] == "pool"
        assert [moves["share"], moves["least"]] == pytest.approx([1 / 3, 1 / 3], abs=0.05)
        assert {one["of"] for one in shown.document()["certificates"]} == {"agent's certificate", "agent's authority"}

        def flows() -> bool:
            with driven.amphora.traffic.entered():
                assert fetch((VIP, PORT)).status == 200
            return max(filter(None, shown.balancer()["listeners"][0]["history"]), default=0) > 0

        eventually(flows, "traffic that is seen", 60)
        assert shown.get("/", Host="attacker.example")[0] == 421
        assert shown.get("/", "POST")[0] == 405
        status, text = shown.get("/")
        assert status == 200
        assert "of clients moved" in text
        driven.amphora.stop()
        eventually(lambda: shown.balancer()["amphorae"][0]["error"], "an agent that does not answer", 60)
        assert shown.balancer()["status"] == "UNKNOWN"
        assert shown.end() == 0


def test_a_place_that_is_taken_is_told(driven: Driven) -> None:
    with ExitStack() as stack:
        stack.enter_context(driven.amphora.machine.entered())
        shown = stack.enter_context(page("web", *driven.options))
        port = shown.host.rpartition(":")[2]
        done = subprocess.run([HYDRIA, "web", *driven.options, "--port", port], capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr == f"hydria: 127.0.0.1:{port} cannot be had: Address already in use\n"


# --- a pair, and a browser ---


@pytest.fixture(scope="module")
def made() -> Iterator[Lab]:
    described = graph()
    described["pools"][0] |= {"lb_algorithm": "SOURCE_IP"}
    with lab("web", described=described) as found:
        yield found


def change(lab: Lab, weight: int) -> None:
    """A member's weight, at both amphorae."""
    with lab.driving() as clients:
        for client in clients.values():
            [lb] = client.loadbalancers()
            document = json.loads(client.loadbalancer_graph(lb).text)
            document["loadbalancer"]["pools"][0]["members"][0]["weight"] = weight
            document["loadbalancer"]["listeners"] = [
                one for one in document["loadbalancer"]["listeners"] if one["protocol"] != "TERMINATED_HTTPS"
            ]
            client.put_loadbalancer(lb, json.dumps(document).encode(), target=lab.plan.hints)


@pytest.mark.slow
def test_a_browser_shows_a_pair_as_it_fares(made: Lab, tmp_path: Path) -> None:
    with page("lab", "web", "--name", made.name) as shown, Browser(tmp_path) as browser:
        eventually(lambda: len(shown.balancer().get("amphorae", ())) == 2, "both amphorae", 60)
        [master] = made.holders()
        browser.go(shown.url)
        text = "document.body.innerText"
        roles = "[...document.querySelectorAll('.amphorae li')].map(each => each.innerText.split(/\\s+/).slice(0, 2).join(' ')).sort()"
        browser.until(f"{text}.includes('pair')")
        standby = {"amphora-1", "amphora-2"} - {master}
        assert browser.says(roles) == sorted([f"{master} master", f"{standby.pop()} standby"])
        assert browser.says(f"{text}.includes('shop (secure)')")
        # The page brings itself up to date; what somebody has closed stays closed, what has the focus keeps it.
        browser.says("window.mark = 'the same page'")
        first, second = "document.querySelectorAll('details')[0]", "document.querySelectorAll('details')[1]"
        browser.says(f"{first}.open = false; {second}.querySelector('summary').focus()")
        seen = browser.says("Number(document.getElementById('content').dataset.refreshed || 0)")
        for _ in range(20):
            assert get(made).status == 200
        browser.until(f"Number(document.getElementById('content').dataset.refreshed) > {seen} + 2")
        browser.until("document.querySelectorAll('polyline').length > 0")
        assert browser.says("window.mark") == "the same page"
        assert browser.says(f"{first}.open") is False
        assert browser.says(f"{second}.open") is True
        assert browser.says(f"document.activeElement === {second}.querySelector('summary')")
        # A member that fails, and a master.
        failing.kill(made, "m1")
        browser.until(f"{text}.includes('DEGRADED') && {text}.includes('ERROR')")
        failing.heal(made)
        browser.until(f"!{text}.includes('DEGRADED')")
        failing.kill(made, master)
        browser.until(f"{text}.includes('no answer') && {roles}.some(each => each.endsWith(' master') && !each.startsWith('{master}'))")
        failing.heal(made)
        browser.until(f"!{text}.includes('no answer')")
        # A change, with its plan and whose clients moved.
        change(made, 3)
        browser.until(f"{text}.includes('of clients moved')")
        browser.says("document.querySelectorAll('.apply').forEach(each => { each.open = true })")
        assert browser.says(f"{text}.includes('no algorithm could move fewer than')")
        assert browser.complaints == []
        # What is old is said to be.
        assert shown.end() == 0
        browser.until("document.getElementById('news').innerText.includes('does not answer')")


@pytest.mark.slow
def test_light_and_dark_narrow_and_without_scripts(made: Lab, tmp_path: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with page("lab", "web", "--name", made.name) as shown, Browser(tmp_path) as browser:
        eventually(lambda: shown.balancer().get("listeners"), "listeners", 60)
        grounds = []
        for scheme in ("light", "dark"):
            browser.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            browser.go(shown.url)
            grounds.append(sum(map(int, browser.says(f"{ground}.match(/\\d+/g).slice(0, 3)"))))
        assert grounds[0] > 600
        assert grounds[1] < 150
        browser.tell("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=True)
        browser.go(shown.url)
        assert browser.says("document.documentElement.scrollWidth") <= 360
        browser.tell("Emulation.setScriptExecutionDisabled", value=True)
        browser.go(shown.url)
        at = "document.querySelector('.at time').innerText"
        first = browser.says(at)
        browser.until(f"{at} !== {json.dumps(first)}")
        assert browser.says("document.getElementById('content').dataset.refreshed") is None
        assert browser.says("document.querySelectorAll('.listener').length") == len(shown.balancer()["listeners"])
        assert browser.complaints == []


@pytest.mark.slow
def test_the_page_ends_with_its_lab() -> None:
    with ExitStack() as stack:
        with lab("ends") as found:
            shown = stack.enter_context(page("lab", "web", "--name", found.name))
            eventually(lambda: shown.balancer().get("amphorae"), "amphorae", 60)
        assert shown.process.wait(timeout=60) == 3
