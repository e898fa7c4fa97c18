"""`octavia.conf` of a lab. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hydria.lab.octavia_plan import CONTROLLER, DRIVERS, HEARTBEATS, SECRETS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hydria.lab.octavia_plan import OctaviaPlan

#: File of Octavia's database, in the lab's directory.
DATABASE = "octavia.sqlite"

#: Seconds that somebody who wants to write waits for others who do.
_WRITERS = 60
#: Tries, and seconds between two of them: a machine is there after a second or two.
_BOOTING = (120, 1)
_CONNECTING = (120, 1)


class Cloud(NamedTuple):
    """What amphorae need of it: the ids of the management network, of their security group, and of what they are to be."""

    management: str
    group: str
    flavor: str


def text(directory: Path, plan: OctaviaPlan, cloud: Cloud, heartbeat_key: str, passphrase: str) -> str:
    """The file. `passphrase`: with which certificates of agents are kept in the database, 32 characters."""
    sections = _sections(directory, plan, cloud, heartbeat_key, passphrase)
    return "\n".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items()) for name, options in sections.items())


def _sections(directory: Path, plan: OctaviaPlan, cloud: Cloud, heartbeat_key: str, passphrase: str) -> Mapping[str, Mapping[str, object]]:
    pki = directory / "pki"
    driving = pki / "controllers" / "lab"
    return {
        "DEFAULT": {"transport_url": "fake://", "host": plan.name, "use_stderr": True},
        "api_settings": {
            # Who asks is what `hydria.octavia.control.front` says. With "noauth", Octavia does not count quotas.
            "auth_strategy": "testing",
            "enabled_provider_drivers": "hydria:Amphorae of the lab,amphora:The same as far as Octavia's own can,octavia:As amphora",
            "default_provider_driver": "hydria" if plan.driver == "hydria" else "amphora",
            "allow_ping_health_monitors": True,
            "allow_prometheus_listeners": True,
            "allow_tls_terminated_listeners": True,
        },
        "database": {
            "connection": f"sqlite:///{directory / DATABASE}?timeout={_WRITERS}",
            # Has no meaning for SQLite, which refuses it; this is "none".
            "pool_timeout": "",
            # Nobody waits for a disk: a lab does not outlive its machine's power.
            "sqlite_synchronous": False,
        },
        "certificates": {
            "cert_manager": "local_cert_manager",
            "storage_path": directory / SECRETS,
            "cert_generator": "local_cert_generator",
            "ca_certificate": pki / "server_ca.pem",
            "ca_private_key": pki / "server_ca.key",
            "server_certs_key_passphrase": passphrase,
        },
        "controller_worker": {
            "amphora_driver": DRIVERS[plan.driver],
            "compute_driver": "hydria_lab",
            "network_driver": "hydria_lab",
            "image_driver": "image_noop_driver",
            "volume_driver": "volume_noop_driver",
            "amp_image_tag": "hydria",
            "amp_flavor_id": cloud.flavor,
            "amp_boot_network_list": cloud.management,
            "amp_secgroup_list": cloud.group,
            "amp_active_retries": _BOOTING[0],
            "amp_active_wait_sec": _BOOTING[1],
            "client_ca": pki / "client_ca.pem",
            "loadbalancer_topology": "ACTIVE_STANDBY" if plan.pair else "SINGLE",
            "workers": 1,
            "event_notifications": False,
        },
        "haproxy_amphora": {
            "server_ca": driving / "server_ca.pem",
            "client_cert": driving / "client.pem",
            "connection_max_retries": _CONNECTING[0],
            "connection_retry_interval": _CONNECTING[1],
            "active_connection_max_retries": 5,
            "active_connection_retry_interval": 1,
            "failover_connection_max_retries": 2,
            "failover_connection_retry_interval": 1,
        },
        "health_manager": {
            "bind_ip": CONTROLLER,
            "bind_port": HEARTBEATS,
            "controller_ip_port_list": f"{CONTROLLER}:{HEARTBEATS}",
            "heartbeat_key": heartbeat_key,
            "heartbeat_interval": plan.beats,
            "heartbeat_timeout": plan.patience,
            "health_update_threads": 1,
            "stats_update_threads": 1,
        },
        "hydria": {"lab_directory": directory},
    }
