"""What `hydria web` and `hydria lab web` have in common: where the page is to be, and how long it is there."""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from agent.clock import SystemClock
from hydria.cli import FINE, SYSTEM
from hydria.cli.ending import ended_by_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydria.cli.output import Output
    from hydria.web.watching import Fleet

_Verb = TypeVar("_Verb", bound="Callable[..., int]")

#: Seconds: an end that somebody wants is seen at once all the same.
_LONG = 3600.0


class Place(NamedTuple):
    """Where the page is to be, by which names, and seconds between two looks."""

    address: str
    port: int
    names: tuple[str, ...]
    interval: float


def _address(_context: click.Context, _option: click.Parameter, value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} given; an IPv4 or IPv6 address of this machine is needed") from None


def place_options(verb: _Verb) -> _Verb:
    """Handed over as `place`."""

    @click.option(
        "--listen", "address", metavar="ADDRESS", default="127.0.0.1", show_default=True, callback=_address, help="Where the page is to be."
    )
    @click.option("--port", metavar="N", type=click.IntRange(0, 65535), default=8780, show_default=True, help="And at which port; 0: any.")
    @click.option("--host", "names", metavar="NAME", multiple=True, help="A name by which browsers reach it, too; may be given again.")
    @click.option(
        "--interval", metavar="SECONDS", type=click.FloatRange(0.5, 3600), default=2, show_default=True, help="Between two looks."
    )
    @functools.wraps(verb)
    def asking(*arguments: Any, address: str, port: int, names: tuple[str, ...], interval: float, **options: Any) -> int:
        return verb(*arguments, place=Place(address, port, names, interval), **options)

    return asking  # type: ignore[return-value] # it is to click what the verb is


def show_page(output: Output, fleet: Fleet, place: Place) -> int:
    """Serves the page until somebody wants an end, or there is nothing to look at any more. Raises AgentError."""
    # A web framework is needed only now.
    from hydria.web.serving import serving  # noqa: PLC0415

    lost: list[bool] = []
    with ended_by_signals() as ending:

        def ended() -> None:
            lost.append(True)
            ending.want()

        with serving(fleet, (place.address, place.port), place.interval, SystemClock(), names=place.names, ended=ended) as page:
            if not page.loopback:
                output.note("whoever reaches this address sees the page: it asks nobody who they are")
            if output.json:
                output.document({"ok": True, "url": page.url})
            else:
                click.echo(page.url)
            while not ending.wait(_LONG):
                pass
    if lost:
        output.note(f"{fleet.title} is no more")
    return SYSTEM if lost else FINE
