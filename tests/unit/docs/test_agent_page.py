"""docs/agent.md and docs/applying.md name every route, and no other; the bounds there are those that hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.fake_agent import FakeAgent

from agent import worker
from agent.app import make_app
from agent.main import command
from agent.routes import bodies

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "agent.md").read_text()
ROUTES = PAGE + (DOCS / "applying.md").read_text()


def test_every_route(tmp_path: Path) -> None:
    app = make_app(FakeAgent(tmp_path).agent)
    served = {
        f"{method} {rule.rule.removeprefix('/1.0')}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method != "HEAD"
    }
    assert set(re.findall(r"^\| `((?:GET|PUT|POST|DELETE) [^`]+)`", ROUTES, re.MULTILINE)) == served


def test_every_verb_and_option() -> None:
    assert set(re.findall(r"^# hydria-agent ([\w-]+)", PAGE, re.MULTILINE)) == set(command.commands)
    options = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"^\| `(--[\w-]+)`", PAGE, re.MULTILINE)) == options


@pytest.mark.parametrize(
    ("route", "limit"),
    [
        ("PUT /certificate", bodies.OWN),
        ("PUT /config", bodies.OWN),
        ("PUT /loadbalancer/<lb>/certificates/<name>", bodies.CERTIFICATE),
        ("PUT /loadbalancer/<amphora>/<lb>/haproxy", bodies.CONFIGURATION),
        ("PUT /vrrp/upload", bodies.CONFIGURATION),
        ("POST /plug/network", bodies.DESCRIPTION),
        ("PUT /interface/<address>/rules", bodies.DESCRIPTION),
    ],
)
def test_the_bounds_of_bodies(route: str, limit: int) -> None:
    told = f"{limit >> 20} MiB" if limit >> 20 else f"{limit >> 10} KiB"
    assert f"| `{route}` | {told} |" in PAGE


def test_the_bounds_of_connections() -> None:
    for what, count in (
        ("not completed their handshake", worker.STRANGERS),
        ("wait for a request", worker.IDLE),
        ("in progress", worker.BUSY),
    ):
        assert re.search(rf"\|[^|]*{what} \| {count}\b", PAGE)
