"""The agent's settings: Octavia's `amphora-agent.conf`, as its controller writes it (an INI file in oslo.config's manner).

`parse` turns the text into `Settings`; `LiveSettings` holds what is in force and follows an upload without a restart. Sections and keys that
Hydria has no use for are passed over, because controllers of any release write them.
"""

from __future__ import annotations

import configparser
import ipaddress
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from agent.errors import InvalidRequest
from agent.files import replace_file

_LOG = structlog.get_logger("agent.settings")

TlsVersion = Literal["TLSv1.2", "TLSv1.3"]


class Endpoint(msgspec.Struct, frozen=True):
    """An address and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What `amphora-agent.conf` says, with Octavia's defaults (contracts of its amphora agent; `octavia.common.config`)."""

    # In section DEFAULT:
    debug: bool = False
    # In section haproxy_amphora:
    base_path: Path = Path("/var/lib/octavia")
    base_cert_dir: Path = Path("/var/lib/octavia/certs")
    bind_host: str = "::"
    bind_port: int = 9443
    haproxy_cmd: Path = Path("/usr/sbin/haproxy")
    # In section health_manager:
    controllers: tuple[Endpoint, ...] = ()
    heartbeat_interval: int = 10
    heartbeat_key: str | None = None
    # In section amphora_agent:
    agent_server_ca: Path = Path("/etc/octavia/certs/client_ca.pem")
    agent_server_cert: Path = Path("/etc/octavia/certs/server.pem")
    agent_server_network_dir: Path = Path("/etc/octavia/interfaces")
    agent_request_read_timeout: int = 180
    agent_tls_protocol: TlsVersion = "TLSv1.2"
    amphora_id: str | None = None
    # In section controller_worker:
    loadbalancer_topology: Literal["SINGLE", "ACTIVE_STANDBY"] = "SINGLE"

    def __repr__(self) -> str:
        return f"Settings(amphora_id={self.amphora_id!r}, bind={self.bind_host!r}:{self.bind_port}, …)"

    @property
    def active_standby(self) -> bool:
        """Whether this amphora is one of a pair."""
        return self.loadbalancer_topology == "ACTIVE_STANDBY"


_SECTIONS: dict[str, tuple[str, ...]] = {
    "DEFAULT": ("debug",),
    "haproxy_amphora": ("base_path", "base_cert_dir", "bind_host", "bind_port", "haproxy_cmd"),
    "health_manager": ("controller_ip_port_list", "heartbeat_interval", "heartbeat_key"),
    "amphora_agent": (
        "agent_server_ca",
        "agent_server_cert",
        "agent_server_network_dir",
        "agent_request_read_timeout",
        "agent_tls_protocol",
        "amphora_id",
    ),
    "controller_worker": ("loadbalancer_topology",),
}

#: Inclusive bounds of numbers.
_BOUNDS = {"bind_port": (1, 65535), "heartbeat_interval": (1, 86_400), "agent_request_read_timeout": (1, 86_400)}


def parse(text: str) -> Settings:
    """The settings that a file's text gives. Raises InvalidRequest, which names section and key."""
    # oslo.config knows no interpolation, lets keys come twice, and its [DEFAULT] is a section like any other.
    parser = configparser.RawConfigParser(strict=False, default_section="\0", inline_comment_prefixes=None, empty_lines_in_values=False)
    try:
        parser.read_string(text)
    except configparser.ParsingError as error:
        # Its own words show the line, and the line may hold a key.
        number = getattr(error, "lineno", None) or error.errors[0][0]
        raise InvalidRequest(f"amphora-agent.conf, line {number}: neither a [section] nor key = value within one") from None
    given: dict[str, Any] = {}
    for section, keys in _SECTIONS.items():
        if parser.has_section(section):
            given |= _section(section, {key: parser.get(section, key) for key in keys if parser.has_option(section, key)})
    return msgspec.convert(given, Settings, dec_hook=_decode)


def _parse_file(content: bytes) -> Settings:
    try:
        return parse(content.decode())
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"amphora-agent.conf: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _section(section: str, values: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, text in values.items():
        value = text.strip()
        place = f"amphora-agent.conf [{section}] {key}"
        if key == "controller_ip_port_list":
            found["controllers"] = tuple(_endpoint(part.strip(), place) for part in value.split(",") if part.strip())
        elif key == "debug":
            found[key] = value.lower() in ("1", "true", "yes", "on")
        elif key in _BOUNDS:
            found[key] = _number(value, place, *_BOUNDS[key])
        elif value:
            # "None" is what Octavia's template writes for an option that is not set.
            found |= {} if value == "None" else {key: _word(key, value, place)}
    return found


def _word(key: str, value: str, place: str) -> str:
    allowed = {"agent_tls_protocol": ("TLSv1.2", "TLSv1.3"), "loadbalancer_topology": ("SINGLE", "ACTIVE_STANDBY")}.get(key)
    if allowed and value not in allowed:
        raise InvalidRequest(f"{place}: {value!r} given; one of {', '.join(allowed)} is allowed")
    if not value.isprintable():
        raise InvalidRequest(f"{place}: {value!r} given; control characters cannot be meant")
    if key == "bind_host":
        try:
            ipaddress.ip_address(value)
        except ValueError as error:
            raise InvalidRequest(f"{place}: {value!r} given; an IP address is needed") from error
    if key in ("base_path", "base_cert_dir", "agent_server_ca", "agent_server_cert", "agent_server_network_dir") and value[0] != "/":
        raise InvalidRequest(f"{place}: {value!r} given; an absolute path is needed")
    return value


def _number(value: str, place: str, lowest: int, highest: int) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 12 or not lowest <= int(value) <= highest:
        raise InvalidRequest(f"{place}: {value!r} given; a number from {lowest} to {highest} is needed")
    return int(value)


def _endpoint(text: str, place: str) -> Endpoint:
    """`address:port`, `[v6]:port`; a v6 address without brackets too, as Octavia's controllers of some releases write it."""
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError as error:
        raise InvalidRequest(f"{place}: {text!r} given; address:port or [IPv6 address]:port is needed") from error
    return Endpoint(str(address), _number(port, place, 1, 65535))


def _decode(wanted: type, value: Any) -> Any:
    return Path(value) if issubclass(wanted, Path) else value


class LiveSettings:
    """The settings in force, from the file at `path`. `current` may be read from any thread at any time. Raises OSError, InvalidRequest.

    Whoever must be able to live with new settings is one of `guards`: it raises InvalidRequest where it cannot, and nothing changes.
    Whoever has to act on them is one of `followers`, called when they are in force.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.guards: list[Callable[[Settings], None]] = []
        self.followers: list[Callable[[Settings], None]] = []
        self._lock = threading.Lock()
        self.current = _parse_file(path.read_bytes())

    def replace(self, content: bytes) -> list[str]:
        """Puts an uploaded file in force and in place; with nothing changed, raises InvalidRequest where it cannot be used, or OSError.

        Returns what followers could not make of it, in words: the file is in force all the same, for all others and at the next start.
        """
        settings = _parse_file(content)
        with self._lock:
            for guard in self.guards:
                guard(settings)
            replace_file(self.path, content, 0o600)
            self.current = settings
            return [problem for follower in list(self.followers) for problem in _followed(follower, settings)]


def _followed(follower: Callable[[Settings], None], settings: Settings) -> list[str]:
    try:
        follower(settings)
    except Exception as error:  # noqa: BLE001 - whatever it is, the settings are in force, and the others have to hear of them
        _LOG.exception("settings are in force, and not followed everywhere")
        return [f"the settings are in force, but not followed everywhere: {error}"]
    return []
