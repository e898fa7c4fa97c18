"""A line at the bottom of a terminal that says where something is, and is gone afterwards; nothing where there is no terminal."""

from __future__ import annotations

import shutil
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from agent.errors import AgentError
from hydria.cli.output import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.client import AgentClient
    from hydria.cli.output import Output

#: Seconds for which an agent is asked to wait for news.
_WAIT = 5.0


@contextmanager
def status_line(output: Output) -> Iterator[Callable[[str], None]]:
    """What writes the line: on standard error, which nobody takes for the answer."""
    if output.json or not sys.stderr.isatty():
        yield lambda _: None
        return

    def write(text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        click.echo(f"\r\x1b[K{visible(text)[:width]}", err=True, nl=False)

    try:
        yield write
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)


@contextmanager
def steps_shown(output: Output, client: AgentClient, lb: str, title: str) -> Iterator[None]:
    """While something is changed there, the line says which step is done."""
    with status_line(output) as write:
        write(f"{title} …")
        over = threading.Event()
        if not output.json and sys.stderr.isatty():
            threading.Thread(target=_follow, args=(client, lb, title, write, over), name="steps", daemon=True).start()
        try:
            yield
        finally:
            over.set()


def _follow(client: AgentClient, lb: str, title: str, write: Callable[[str], None], over: threading.Event) -> None:
    """Ends with what it follows; that the agent does not answer is told by whoever changes something."""
    try:
        seen = client.watch(lb, wait=0)
        while not over.is_set():
            seen = client.watch(lb, seen.event, wait=_WAIT)
            if seen.step and not over.is_set():
                write(f"{title}: {seen.step}, {seen.running_ms / 1000:.1f} s")
    except AgentError:
        return
