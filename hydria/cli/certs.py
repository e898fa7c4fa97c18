"""`hydria certs`: the certificates by which agents and those who drive them know each other."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agent.errors import InvalidRequest
from agent.files import create_file
from agent.identifiers import object_id
from hydria import pki
from hydria.cli import FINE
from hydria.cli.inputs import json_option
from hydria.cli.output import Output, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hydria.authority import Authority, Certificate

_Verb = TypeVar("_Verb", bound="Callable[..., Any]")

#: Days. Octavia's own agents get 30 and a new one in time; who makes certificates by hand wants to do so once a year.
_AUTHORITY_DAYS, _DAYS = 3650, 365


def _days_option(default: int) -> Callable[[_Verb], _Verb]:
    return click.option(
        "--days", metavar="N", type=click.IntRange(1, 36500), default=default, show_default=True, help="How long they are good for."
    )


_directory_argument = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
_made_directory_argument = click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
_output_option = click.option(
    "-o", "--output", "place", metavar="OUT", type=click.Path(path_type=Path), help="Where the files go, in place of a directory in DIR."
)


def _amphora(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str:
    try:
        return object_id(value, "amphora") if value is not None else str(uuid.uuid4())
    except InvalidRequest as error:
        raise click.BadParameter(str(error), param_hint="AMPHORA") from error


def _name(_ctx: click.Context, _option: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,63}", value, re.ASCII):
        raise click.BadParameter(
            f"{value!r} given; up to 64 letters, digits and ._- are allowed, beginning with a letter or a digit", param_hint="NAME"
        )
    return value


@click.group(subcommand_metavar="WHAT …")
def certs() -> None:
    """Make the certificates by which agents and those who drive them know each other, with keys on P-256.

    `init` makes two authorities in DIR: one for agents, one for controllers. `agent` and `controller` have them issue what goes to a
    machine. Nothing that is there is ever overwritten.
    """


@certs.command(short_help="Make the two authorities.")
@_directory_argument
@_days_option(_AUTHORITY_DAYS)
@json_option
@click.pass_obj
def init(output: Output, *, directory: Path, days: int) -> int:
    """Make an authority for agents (server_ca.pem) and one for controllers (client_ca.pem) in DIR, with their keys (.key).

    The keys are what makes a certificate an agent's or a controller's: DIR belongs on no machine that carries traffic.
    """
    made = pki.authorities(days)
    _put(output, directory, pki.authority_files(made), {"valid_until": made["server"].certificate.not_valid_after_utc.isoformat()})
    return FINE


@certs.command(short_help="Make what an agent needs.")
@_made_directory_argument
@click.argument("amphora", metavar="[AMPHORA]", required=False, callback=_amphora)
@_days_option(_DAYS)
@_output_option
@json_option
@click.pass_obj
def agent(output: Output, *, directory: Path, amphora: str, days: int, place: Path | None) -> int:
    """Make what the agent with the id AMPHORA (a UUID; a new one if none is given) needs, with the authorities in DIR.

    server.pem is its certificate and key, client_ca.pem the authority of those who may drive it: agent_server_cert and agent_server_ca of
    its amphora-agent.conf, whose amphora_id must be AMPHORA.
    """
    issued, files = pki.agent_files(_authorities(directory), amphora, days)
    _put(output, place or directory / "agents" / amphora, files, {"amphora": amphora} | _until(issued))
    return FINE


@certs.command(short_help="Make what a controller needs.")
@_made_directory_argument
@click.argument("name", metavar="[NAME]", default="controller", callback=_name)
@_days_option(_DAYS)
@_output_option
@json_option
@click.pass_obj
def controller(output: Output, *, directory: Path, name: str, days: int, place: Path | None) -> int:
    """Make what a controller, or a person with `hydria agent`, needs to drive agents, with the authorities in DIR.

    client.pem is its certificate and key, server_ca.pem the authority of agents: client_cert and server_ca in section haproxy_amphora of
    Octavia's configuration, --cert and --ca of `hydria agent`. NAME, `controller` if none is given, is what agents see of it.
    """
    issued, files = pki.controller_files(_authorities(directory), name, days)
    _put(output, place or directory / "controllers" / name, files, {"name": name} | _until(issued))
    return FINE


def _authorities(directory: Path) -> dict[str, Authority]:
    return {role: _authority(directory, role) for role in pki.ROLES}


def _authority(directory: Path, role: str) -> Authority:
    certificate = directory / f"{role}_ca.pem"
    try:
        return pki.read_authority(directory, role)
    except FileNotFoundError as error:
        raise click.BadParameter(f"there is no {error.filename}; `hydria certs init {directory}` makes it", param_hint="DIR") from error
    except ValueError as error:
        raise click.BadParameter(f"{certificate} and {role}_ca.key cannot be used: {error}", param_hint="DIR") from error


def _until(issued: Certificate) -> dict[str, str]:
    return {"valid_until": issued.certificate.not_valid_after_utc.isoformat()}


def _put(output: Output, directory: Path, files: Mapping[str, tuple[bytes, int]], about: Mapping[str, str]) -> None:
    """Writes all files, or none where one is there already, and tells of them."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise click.UsageError(f"{directory} cannot be a directory: there is a file") from error
    written: list[Path] = []
    try:
        for name, (content, mode) in files.items():
            create_file(directory / name, content, mode)
            written.append(directory / name)
    except BaseException as error:
        for path in written:
            path.unlink()
        if isinstance(error, FileExistsError):
            there = [name for name in files if (directory / name).exists()]
            raise click.UsageError(f"{directory} holds {', '.join(there)} already, and nothing is overwritten") from error
        raise
    if output.json:
        described = [{"path": str(directory / name), "mode": f"{mode:04o}"} for name, (_, mode) in files.items()]
        output.document({"ok": True, **about, "files": described})
        return
    for path in written:
        click.echo(visible(str(path)))
    words = {"amphora": "for amphora", "name": "for controller", "valid_until": "good until"}
    output.note(", ".join(f"{words[key]} {value.partition('T')[0]}" for key, value in about.items()))
