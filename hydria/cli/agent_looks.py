"""What `hydria agent top` makes of two looks at an agent: how much a second. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from agent.answers import Details, Listener, Processors, Traffic


class Look(NamedTuple):
    """What an agent said of itself at `moment`, in seconds of a clock that never goes back."""

    moment: float
    details: Details
    listeners: list[Listener]


class Flow(msgspec.Struct, frozen=True):
    """Bytes a second of an interface."""

    sent: float
    received: float


class Shares(msgspec.Struct, frozen=True):
    """Of the time of all processors, what went into these: 1 is all of it."""

    user: float
    system: float
    soft_irq: float


class Rates(msgspec.Struct, frozen=True):
    """What went on in `seconds`. Without `cpu`, and without an interface, where counters began anew: its machine, or it, is another one."""

    seconds: float
    cpu: Shares | None
    networks: dict[str, Flow]


def rates(before: Look, now: Look) -> Rates:
    """What went on between two looks at the same agent."""
    seconds = now.moment - before.moment
    were = before.details.networks
    flows = {name: _flow(were[name], counted, seconds) for name, counted in now.details.networks.items() if name in were}
    return Rates(seconds, _shares(before.details.cpu, now.details.cpu), {name: flow for name, flow in flows.items() if flow is not None})


def _flow(before: Traffic, now: Traffic, seconds: float) -> Flow | None:
    sent, received = now.network_tx - before.network_tx, now.network_rx - before.network_rx
    return Flow(sent / seconds, received / seconds) if seconds > 0 and sent >= 0 and received >= 0 else None


def _shares(before: Processors, now: Processors) -> Shares | None:
    total = now.total - before.total
    parts = now.user - before.user, now.system - before.system, now.soft_irq - before.soft_irq
    return Shares(*(part / total for part in parts)) if total > 0 and min(parts) >= 0 else None
