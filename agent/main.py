"""The `hydria-agent` command. Exit codes: 0 fine, 1 something was found wrong, 2 wrong usage, 3 the agent or the system failed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from agent import logs
from agent.clock import SystemClock
from agent.errors import AgentError
from agent.files import replace_file
from agent.instance import only_one
from agent.options import Options
from agent.paths import NAMESPACE, RUN, STATE
from agent.server import Server
from agent.settings import Endpoint, LiveSettings

if TYPE_CHECKING:
    from agent.assembly import Assembly

FINE, WRONG, FAILED = 0, 1, 3

_PATH = click.Path(path_type=Path)


@click.group(context_settings={"auto_envvar_prefix": "HYDRIA_AGENT", "help_option_names": ["-h", "--help"]})
@click.option("--octavia-conf", type=_PATH, default=Path("/etc/octavia/amphora-agent.conf"), show_default=True, help="The settings.")
@click.option("--namespace", default=NAMESPACE, show_default=True, help="The network namespace that the traffic lives in.")
@click.option("--run-dir", type=_PATH, default=RUN, show_default=True, help="For what ends with the machine's uptime.")
@click.option("--state-dir", type=_PATH, default=STATE, show_default=True, help="For what survives a reboot.")
@click.option(
    "--services", type=click.Choice(["systemd", "supervised"]), default="systemd", show_default=True, help="Who keeps programs running."
)
@click.option("--log-format", type=click.Choice(["json", "console"]), help="Default: console on a terminal, json elsewhere.")
@click.pass_context
def command(context: click.Context, /, *, log_format: str | None, **given: Any) -> None:
    """Runs load balancers on this machine for an OpenStack Octavia controller.

    Each option can be given in the environment too: --run-dir as HYDRIA_AGENT_RUN_DIR.
    """
    as_json = log_format == "json" if log_format else not sys.stderr.isatty()
    logs.configure(debug=False, as_json=as_json)
    context.obj = Options(**given)


@command.command()
@click.pass_obj
def serve(options: Options) -> NoReturn:
    """Serve the HTTP interface until a signal says to stop. What runs, runs on."""
    settings = LiveSettings(options.octavia_conf).current
    logs.set_level(debug=settings.debug)
    options.run_dir.mkdir(0o755, parents=True, exist_ok=True)
    with only_one(options.run_dir, SystemClock()):
        Server(lambda: _assembly(options).take_over(), Endpoint(settings.bind_host, settings.bind_port)).run()


@command.command()
@click.pass_obj
def restore(options: Options) -> NoReturn:
    """Bring everything back after a reboot: the network, then all programs that should run."""
    assembly = _assembly(options)
    with only_one(options.run_dir, SystemClock()):
        problems = assembly.restore()
    for problem in problems:
        click.echo(problem, err=True)
    raise SystemExit(WRONG if problems else FINE)


@command.command()
@click.pass_obj
def announce(options: Options) -> None:
    """Tell the neighbours again which addresses are here."""
    _assembly(options).network.announce()


@command.command()
@click.pass_obj
def check(options: Options) -> NoReturn:
    """Look at settings, certificates and programs, and say what is wrong. Changes nothing."""
    # What it reads certificates with is none of the other verbs' business.
    from agent.inspection import inspect  # noqa: PLC0415

    findings = inspect(options)
    for finding in findings:
        click.echo(f"{click.style('ok     ', fg='green') if finding.fine else click.style('problem', fg='red')}  {finding.text}")
    raise SystemExit(FINE if all(finding.fine for finding in findings) else WRONG)


@command.command()
@click.argument("directory", type=_PATH)
@click.pass_obj
def units(options: Options, directory: Path) -> None:
    """Write the agent's own systemd units into DIRECTORY, for these options."""
    # Templates are none of the other verbs' business.
    from agent.units import unit_texts  # noqa: PLC0415

    settings = LiveSettings(options.octavia_conf).current
    for name, text in unit_texts(options, settings, Path(sys.argv[0]).absolute()).items():
        replace_file(directory / name, text, 0o644)


@command.command("first-boot")
@click.pass_obj
def first_boot(options: Options) -> None:
    """Make this machine the one that the cloud's drive tells of, where it is not yet. For images, before the network is there."""
    # None of the other verbs has to do with drives.
    from agent.first_boot import become  # noqa: PLC0415

    for line in become(options, Path(sys.argv[0]).absolute()):
        click.echo(line)


@command.command()
def openapi() -> None:
    """Print the OpenAPI document of the HTTP interface."""
    # Flask is none of the other verbs' business.
    from agent import openapi as description  # noqa: PLC0415

    click.echo(description.text(), nl=False)


def _assembly(options: Options) -> Assembly:
    """The agent. All that it is made of is imported now: `serve` has something done meanwhile, and `--help` needs none of it."""
    from agent.assembly import Assembly  # noqa: PLC0415

    return Assembly(options)


def main() -> NoReturn:
    """Runs the command."""
    try:
        command.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        raise SystemExit(ended.exit_code) from None
    except click.ClickException as wrong:
        wrong.show()
        raise SystemExit(wrong.exit_code) from None
    except click.Abort:
        raise SystemExit(130) from None
    except (AgentError, OSError) as error:
        click.echo(f"hydria-agent: {error}", err=True)
        raise SystemExit(FAILED) from None
    raise SystemExit(FINE)
