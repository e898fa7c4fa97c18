"""What the driver takes from Octavia's configuration, and the one section that is its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oslo_config import cfg

from agent.errors import InvalidRequest
from hydria.octavia.graphs import Defaults

GROUP = "hydria"

OPTIONS = (
    cfg.StrOpt(
        "source_hash",
        default="consistent",
        choices=[
            ("consistent", "a change of members moves only the clients that it must"),
            (
                "address",
                "the same, and a member that is made anew with the same address and port gets its clients again; needs HAProxy 3.0",
            ),
            ("map", "each client has the member that Octavia's own amphorae give it"),
        ],
        help="How SOURCE_IP pools choose members at amphorae of Hydria.",
    ),
    cfg.StrOpt(
        "lab_directory", help="The lab that the compute and network drivers hydria_lab are of: a directory that `hydria lab` has made."
    ),
)


def register(configuration: Any) -> None:
    """Makes the section known to an oslo.config configuration; fine where it is."""
    configuration.register_opts(OPTIONS, GROUP)


def options() -> list[tuple[str, list[Any]]]:
    """For oslo-config-generator, which is told `--namespace hydria`."""
    return [(GROUP, list(OPTIONS))]


def defaults(configuration: Any) -> Defaults:
    """What the controller's configuration says of listeners that say nothing."""
    said = configuration.haproxy_amphora
    return Defaults(
        said.timeout_client_data,
        said.timeout_member_connect,
        said.timeout_member_data,
        said.timeout_tcp_inspect,
        said.default_connection_limit,
        configuration[GROUP].source_hash,
    )


def lab_directory(configuration: Any) -> Path:
    """Where the lab is that the drivers hydria_lab are of. Raises InvalidRequest."""
    register(configuration)
    if not configuration[GROUP].lab_directory:
        raise InvalidRequest(f"[{GROUP}] lab_directory is not set; the drivers hydria_lab are for labs that `hydria lab` makes")
    return Path(configuration[GROUP].lab_directory)
