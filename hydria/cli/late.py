"""`Late`: a group of commands, each in a file of its own that is imported when it is used, so that --help is instant."""

from __future__ import annotations

import importlib
import keyword
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class Late(click.Group):
    """`listed`: command → what it does, in a line. Each is the function of this name in the module `hydria.cli.PREFIXNAME`; where Python has
    a word for itself (`import`), both end with an underscore. `elsewhere`: command → another module's last name. `called`: what one is called.
    """

    def __init__(
        self, *args: Any, listed: Mapping[str, str], called: str, prefix: str = "", elsewhere: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self._listed = listed
        self._called = called
        self._prefix = prefix
        self._elsewhere = elsewhere or {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All, in the order in which they are listed."""
        return list(self._listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Imports it. Fails, naming those that there are."""
        if cmd_name not in self._listed:
            ctx.fail(f"there is no {self._called} {cmd_name!r}; there are {', '.join(self._listed)}")
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        module = importlib.import_module(f"hydria.cli.{self._elsewhere.get(cmd_name, f'{self._prefix}{name}')}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """What each does, without importing it."""
        with formatter.section(f"{self._called.capitalize()}s"):
            formatter.write_dl(list(self._listed.items()))
