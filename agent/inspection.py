"""`hydria-agent check`: what an operator wants to know before the agent is started, and why it would not start."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import NamedTuple

from cryptography import x509

from agent.errors import AgentError
from agent.haproxy import Haproxy
from agent.identity import Identity
from agent.keepalived import Keepalived
from agent.machine import KEEPALIVED
from agent.options import Options
from agent.settings import LiveSettings, Settings


class Finding(NamedTuple):
    """Something that was looked at."""

    fine: bool
    text: str


def inspect(options: Options) -> list[Finding]:
    """Everything that can be looked at."""
    try:
        settings = LiveSettings(options.octavia_conf)
    except (AgentError, OSError, UnicodeDecodeError) as error:
        return [Finding(False, f"settings: {error}")]
    current = settings.current
    looks: list[tuple[str, Callable[[], str]]] = [
        ("certificate", lambda: _certificate(settings)),
        ("clients' authority", lambda: _authority(current)),
        ("HAProxy", lambda: f"{'.'.join(map(str, Haproxy(current.haproxy_cmd).version))}, {current.haproxy_cmd}"),
        ("keepalived", lambda: f"{Keepalived(KEEPALIVED).version}, {KEEPALIVED}"),
    ]
    return [Finding(True, f"settings: {options.octavia_conf}, {_described(current)}"), *(_looked(what, look) for what, look in looks)]


def _looked(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(True, f"{what}: {look()}")
    except (AgentError, OSError, ValueError) as error:
        return Finding(False, f"{what}: {error}")


def _described(settings: Settings) -> str:
    controllers = ", ".join(map(str, settings.controllers)) or "nobody"
    return (
        f"amphora {settings.amphora_id or 'without an id'}, {settings.loadbalancer_topology}, "
        f"at {settings.bind_host} port {settings.bind_port}, {settings.agent_tls_protocol} or newer, heartbeats to {controllers}"
    )


def _certificate(settings: LiveSettings) -> str:
    identity = Identity(settings)
    identity.check(settings.current)
    found = x509.load_der_x509_certificate(identity.certificate())
    left = found.not_valid_after_utc - dt.datetime.now(dt.UTC)
    return f"{settings.current.agent_server_cert}, valid until {found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC ({left.days} days)"


def _authority(settings: Settings) -> str:
    found = x509.load_pem_x509_certificates(settings.agent_server_ca.read_bytes())
    now = dt.datetime.now(dt.UTC)
    if ended := [authority for authority in found if not authority.not_valid_before_utc <= now <= authority.not_valid_after_utc]:
        raise ValueError(f"{settings.agent_server_ca}: {ended[0].subject.rfc4514_string()} is not valid now")
    return f"{settings.agent_server_ca}, {', '.join(authority.subject.rfc4514_string() for authority in found)}"
