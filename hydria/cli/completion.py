"""`hydria completion`: what makes a shell complete the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from hydria.cli import COMPLETION, FINE

if TYPE_CHECKING:
    from typing import Literal


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, *, shell: Literal["bash", "zsh", "fish"]) -> int:
    """Print what makes SHELL complete this command: its verbs, options and files.

    \b
    bash  hydria completion bash > ~/.local/share/bash-completion/completions/hydria
    zsh   hydria completion zsh > "${fpath[1]}/_hydria"
    fish  hydria completion fish > ~/.config/fish/completions/hydria.fish
    """
    made = get_completion_class(shell)
    if made is None:  # click has all three
        raise click.UsageError(f"there is no completion for {shell}")
    click.echo(made(context.find_root().command, {}, "hydria", COMPLETION).source().strip())
    return FINE
