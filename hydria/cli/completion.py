"""`hydria completion`: what makes a shell complete the command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from hydria.cli import COMPLETION, FINE
from hydria.cli.inputs import json_option
from hydria.cli.output import Output

_WHERE = """\b
bash: hydria completion bash > ~/.local/share/bash-completion/completions/hydria
zsh:  hydria completion zsh > "${fpath[1]}/_hydria"
fish: hydria completion fish > ~/.config/fish/completions/hydria.fish"""


@click.command(epilog=_WHERE)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
@click.pass_context
def completion(context: click.Context, *, shell: str) -> int:
    """Print what makes SHELL complete this command: its verbs, its options, and files."""
    output: Output = context.obj
    made = get_completion_class(shell)
    if made is None:  # click has all three
        raise click.UsageError(f"there is no completion for {shell}")
    script = made(context.find_root().command, {}, "hydria", COMPLETION).source().strip()
    if output.json:
        output.document({"ok": True, "shell": shell, "script": script})
    else:
        click.echo(script)
    return FINE
