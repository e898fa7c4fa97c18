"""`AgentClient`: every call of the 1.0 contract as a method, for controllers and for the command; those of 2.0 are `agent.client_graphs`.

What the agent refuses is raised as what it raised there, with what it said: `agent.errors`. That no connection came about is tried again, as
often as is wanted; nothing else is, because only who called knows whether a call may be made twice.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from agent import client_requests
from agent.answers import Details, Digest, Done, Info, Interface, Listener, Version
from agent.client_connection import AgentConnection, Answer, client_context
from agent.client_graphs import GraphCalls
from agent.client_refusals import refusal
from agent.clock import Clock, SystemClock
from agent.errors import InvalidRequest, UnexpectedAnswer
from agent.identifiers import certificate_name, object_id
from agent.network.requests import NetworkPlug, Rule, VipPlug
from agent.settings import Endpoint
from agent.statistics import Statistics

#: Where agents listen unless their settings say otherwise.
PORT = 9443

#: Seconds for a call. An agent that reloads an HAProxy with very many servers takes some.
TIMEOUT = 120.0

T = TypeVar("T")


class AgentClient(GraphCalls):
    """An agent, over mutual TLS. Its methods may be called from several threads at once.

    `address` is an IPv4 or IPv6 address (a link-local one with its zone), or a host name. The agent must have a certificate of an authority
    in `ca` for the DNS name `amphora_id`, wherever it is. `certificate` is ours, with its key. `timeout` are the seconds that a call has,
    once connected; `retries` says how often to try again where no connection comes about, at intervals of two seconds.

    Making one raises OSError and InvalidRequest where the files cannot be used. Every call raises

    * AgentUnreachable: no connection, or none that lasted until a whole answer had come;
    * UntrustedAgent: it is not who it should be, and was told nothing; NotAllowed: it takes us for nobody that may ask;
    * UnexpectedAnswer: it does not speak the contract;
    * InvalidRequest, NotFoundError, ConflictError, SystemFault and what is below them, as the agent said; InvalidRequest also where an
      argument cannot be meant, before anything is sent.
    """

    def __init__(
        self,
        address: str,
        port: int = PORT,
        *,
        amphora_id: str,
        ca: Path,
        certificate: Path,
        timeout: float = TIMEOUT,
        retries: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self.amphora_id = object_id(amphora_id, "amphora")
        self.place = Endpoint(address, port)
        context = client_context(ca, certificate)
        self._connection = AgentConnection(
            self.place, self.amphora_id, context, timeout=timeout, retries=retries, clock=clock or SystemClock()
        )

    def __repr__(self) -> str:
        return f"AgentClient({self.place}, amphora {self.amphora_id})"

    # --- the amphora ---

    def version(self) -> str:
        """The contract that it speaks: `1.0`."""
        return self._get("/", Version).api_version

    def info(self) -> Info:
        """What it is."""
        return self._get("/1.0/info", Info)

    def details(self) -> Details:
        """What it is and how it fares."""
        return self._get("/1.0/details", Details)

    def listeners(self) -> list[Listener]:
        """All its listeners."""
        return self._get("/1.0/listeners", list[Listener])

    def statistics(self) -> Statistics:
        """Those of its listeners, pools and members; Hydria's agents have them, Octavia's do not. Raises NotFoundError then."""
        return self._get("/2.0/statistics", Statistics)

    def metrics(self) -> str:
        """Its own metrics, as Prometheus reads them; Hydria's agents have them, Octavia's do not. Raises NotFoundError then."""
        return self._call("GET", "/metrics").content.decode(errors="replace")

    def rotate_certificate(self, pem: bytes) -> None:
        """Another certificate and key for the agent itself, for connections from now on."""
        self._put("/1.0/certificate", pem)

    def configure(self, settings: bytes) -> None:
        """Another `amphora-agent.conf`."""
        self._put("/1.0/config", settings)

    # --- load balancers ---

    def upload_certificate(self, lb: str, name: str, content: bytes) -> None:
        """A certificate, a revocation list or a list of certificates, called `name` (it ends in .pem)."""
        self._upload(_certificate(lb, name), content)

    def certificate_md5(self, lb: str, name: str) -> str:
        """The MD5 of such a file, in hexadecimal digits: what is not different need not be uploaded."""
        return self._get(_certificate(lb, name), Digest).md5sum

    def delete_certificate(self, lb: str, name: str) -> None:
        """Removes such a file; an absent one is fine."""
        self._call("DELETE", _certificate(lb, name))

    def upload_haproxy(self, lb: str, text: bytes) -> None:
        """HAProxy's configuration, to be checked and put in place. Raises RejectedByHaproxy."""
        self._upload(f"/1.0/loadbalancer/{self.amphora_id}/{object_id(lb, 'load balancer')}/haproxy", text)

    def haproxy_config(self, lb: str) -> bytes:
        """HAProxy's configuration as it was uploaded."""
        return self._call("GET", f"/1.0/loadbalancer/{object_id(lb, 'load balancer')}/haproxy").content

    def start(self, identifier: str) -> str:
        """Makes a load balancer, or an LVS listener, run; what was done."""
        return self._act(identifier, "start")

    def stop(self, identifier: str) -> str:
        """Makes a load balancer, or an LVS listener, not run; what was done."""
        return self._act(identifier, "stop")

    def reload(self, identifier: str) -> str:
        """Makes a load balancer, or an LVS listener, serve what was uploaded, starting it where it does not run; what was done."""
        return self._act(identifier, "reload")

    def delete(self, identifier: str) -> None:
        """Stops a load balancer, or an LVS listener, and removes all that there is of it; an absent one is fine."""
        self._call("DELETE", f"/1.0/listeners/{object_id(identifier)}")

    def upload_lvs(self, listener: str, text: bytes) -> None:
        """Keepalived's configuration for a UDP or SCTP listener, to be checked and put in place. Raises RejectedByKeepalived."""
        self._upload(f"/1.0/listeners/{self.amphora_id}/{object_id(listener, 'listener')}/udp_listener", text)

    def lvs_config(self, listener: str) -> bytes:
        """Keepalived's configuration for such a listener as it was uploaded."""
        return self._call("GET", f"/1.0/listeners/{object_id(listener, 'listener')}/udp_listener").content

    # --- VRRP ---

    def upload_vrrp(self, text: bytes) -> None:
        """Keepalived's configuration for VRRP, to be checked and put in place. Raises RejectedByKeepalived."""
        self._upload("/1.0/vrrp/upload", text)

    def start_vrrp(self) -> str:
        """Makes VRRP's keepalived run, or reload where it does; what was done."""
        return self._put("/1.0/vrrp/start").details

    def stop_vrrp(self) -> str:
        """Makes VRRP's keepalived not run; what was done."""
        return self._put("/1.0/vrrp/stop").details

    def reload_vrrp(self) -> str:
        """Makes VRRP's keepalived follow what was uploaded; what was done."""
        return self._put("/1.0/vrrp/reload").details

    # --- the network ---

    def plug_vip(self, plan: VipPlug) -> str:
        """Makes an interface the VIP's; what was done. Raises InterfaceNotReady where it may still come, ConflictError where it is so already."""
        path = f"/1.0/plug/vip/{_address(plan.vip.addresses[0].ip_address)}"
        return _decode(self._call("POST", path, *_json(client_requests.vip_body(plan))), Done).details

    def plug_network(self, plan: NetworkPlug) -> str:
        """Gives an interface its addresses; what was done. Raises InterfaceNotReady where it may still come."""
        return _decode(self._call("POST", "/1.0/plug/network", *_json(client_requests.network_body(plan))), Done).details

    def interface_of(self, address: str) -> str:
        """The name of the interface that has an address."""
        return self._get(f"/1.0/interface/{_address(address)}", Interface).interface

    def set_rules(self, address: str, rules: Sequence[Rule]) -> None:
        """Lets in, at the interface that has an address, what the rules say and nothing else."""
        self._put(f"/1.0/interface/{_address(address)}/rules", *_json(client_requests.rules_body(rules)))

    # --- how ---

    def _act(self, identifier: str, action: str) -> str:
        return self._put(f"/1.0/loadbalancer/{object_id(identifier)}/{action}").details

    def _get(self, path: str, wanted: type[T]) -> T:
        return _decode(self._call("GET", path), wanted)

    def _put(self, path: str, content: bytes = b"", content_type: str | None = None) -> Done:
        return _decode(self._call("PUT", path, content, content_type), Done)

    def _upload(self, path: str, content: bytes) -> None:
        answer = self._call("PUT", path, content)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if answer.headers.get("etag", digest).strip('"') != digest:
            raise UnexpectedAnswer(f"{self.place}: PUT {path}: what the agent has stored is not what was sent")

    def _call(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        answer = self._connection.exchange(method, path, content, content_type, headers)
        if not 200 <= answer.status < 300:
            raise refusal(f"{self.place}: {method} {path}: {answer.status}", answer)
        return answer


def _certificate(lb: str, name: str) -> str:
    return f"/1.0/loadbalancer/{object_id(lb, 'load balancer')}/certificates/{certificate_name(name)}"


def _address(text: str) -> str:
    try:
        return quote(str(ipaddress.ip_address(text)), safe=":")
    except ValueError as error:
        raise InvalidRequest(f"address: {text[:100]!r} given; an IPv4 or IPv6 address is needed") from error


def _json(body: Any) -> tuple[bytes, str]:
    return msgspec.json.encode(body), "application/json"


def _decode(answer: Answer, wanted: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=wanted, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnexpectedAnswer(f"the agent's answer cannot be understood: {error}") from error
