"""Who is not a controller gets nothing: no answer, no line in the log of requests; and nobody else notices."""

from __future__ import annotations

import datetime as dt
import json
import ssl
from typing import TYPE_CHECKING

import pytest
from support.agents import Trust

from hydria.lab.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.attacked import Attacked

    from hydria.lab.certificates import Certificate

NOW = dt.datetime.now(dt.UTC)

STRANGERS: dict[str, Callable[[Trust], Certificate | None]] = {
    "no certificate": lambda _: None,
    "another authority": lambda _: Authority("Elsewhere").client("controller"),
    "another authority of the same name": lambda _: Authority("Controllers").client("controller"),
    "the agents' authority": lambda trust: trust.agents.client("controller"),
    "an agent": lambda trust: trust.agents.server("2b1a2e0c-1f0c-4bb2-9a0e-6f5d2a1b3c4d"),
    "expired": lambda trust: trust.controllers.client("controller", issued=NOW - dt.timedelta(days=60)),
    "not yet valid": lambda trust: trust.controllers.client("controller", issued=NOW + dt.timedelta(days=2)),
    "for servers only": lambda trust: trust.controllers.server("controller"),
}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
@pytest.mark.parametrize("who", STRANGERS)
def test_a_stranger_is_refused(machine: Attacked, who: str, version: ssl.TLSVersion) -> None:
    certificate = STRANGERS[who](machine.trust)
    context = machine.trust.context(certificate)
    context.minimum_version = context.maximum_version = version
    before = requests(machine)
    with pytest.raises(ssl.SSLError, match="alert"):
        greet(machine, context)
    assert requests(machine) == before


def test_who_is_served_is_not_the_machines_own_list_of_authorities(machine: Attacked) -> None:
    # A certificate of any public authority must not do; only what the setting names counts.
    assert machine.authority.read_bytes() == machine.trust.controllers.certificate_pem
    with pytest.raises(ssl.SSLError, match="alert"):
        machine.ask_as(Trust().controller(), "GET", "/")


def test_a_controller_notices_an_agent_of_another_name(machine: Attacked) -> None:
    context = machine.trust.context(machine.controller)
    with machine.machine.entered(), machine.plain() as raw, pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        context.wrap_socket(raw, server_hostname="2b1a2e0c-1f0c-4bb2-9a0e-6f5d2a1b3c4d")


def greet(machine: Attacked, context: ssl.SSLContext) -> None:
    with machine.machine.entered(), machine.plain() as raw, context.wrap_socket(raw, server_hostname=machine.id) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        # With TLS 1.3 a client learns only now what the agent thinks of its certificate.
        assert not connection.recv(1)


def requests(machine: Attacked) -> int:
    return sum(json.loads(line)["event"] == "request" for line in machine.log.read_text().splitlines())
