"""When certificates end: those of agents, and those that load balancers have. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compiler.index import walk
from compiler.lower.files import stem
from hydria.web import page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compiler.graph import LoadBalancer
    from hydria.web.seen import Expiry, Served, Sighting
    from hydria.web.words import Tone

#: Days before its end from which on somebody should look, and from which on it is late.
_SOON, _LATE = 30.0, 7.0

#: Fields of listeners and pools → what the file has for it after its name.
_KINDS = {
    "default_tls_container_ref": "",
    "sni_container_refs": "",
    "tls_container_ref": "",
    "client_ca_tls_container_ref": ".ca",
    "ca_tls_container_ref": ".ca",
    "client_crl_container_ref": ".crl",
    "crl_container_ref": ".crl",
}


def of_agents(sightings: Sequence[Sighting]) -> tuple[page.Certificate, ...]:
    """The agents' own, and the authorities that they trust; the first to end first."""
    return _sorted([_shown(each, one, f"agent's {one.name}") for each in sightings for one in _expiries(each) if one.of == "agent"])


def of_balancer(places: Sequence[tuple[Sighting, Served]]) -> tuple[page.Certificate, ...]:
    """A load balancer's, at each agent that has it; the first to end first."""
    found = []
    for sighting, served in places:
        known = names(served.graph) if served.graph is not None else {}
        found += [
            _shown(sighting, one, known.get(one.name, one.name))
            for one in _expiries(sighting)
            if one.of == "loadbalancer" and one.loadbalancer == served.status.loadbalancer
        ]
    return _sorted(found)


def names(graph: LoadBalancer) -> dict[str, str]:
    """The name of a file → who has it, and by which reference."""
    users: dict[tuple[str, str], list[str]] = {}
    for node, _ in walk(graph):
        for field, kind in _KINDS.items():
            given = getattr(node, field, None) or ()
            for reference in [given] if isinstance(given, str) else given:
                users.setdefault((f"{stem(reference)}{kind}", reference), []).append(node.name or node.id)
    return {file: f"{reference} ({', '.join(dict.fromkeys(those))})" for (file, reference), those in users.items()}


def _expiries(sighting: Sighting) -> Sequence[Expiry]:
    return sighting.now.expiries if sighting.now is not None else ()


def _shown(sighting: Sighting, expiry: Expiry, of: str) -> page.Certificate:
    tone: Tone = "bad" if expiry.days < _LATE else "warn" if expiry.days < _SOON else "good"
    return page.Certificate(amphora=sighting.name, of=of, days=round(expiry.days, 1), tone=tone)


def _sorted(found: list[page.Certificate]) -> tuple[page.Certificate, ...]:
    return tuple(sorted(found, key=lambda each: each.days))
