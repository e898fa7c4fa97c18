"""`octavia.conf` of a lab. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from hydria.lab.octavia_plan import CONTROLLER, DRIVERS, HEARTBEATS, REGION, SECRETS
from hydria.lab.octavia_servers import namespace, user_and_password

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hydria.lab.octavia_plan import OctaviaPlan
    from hydria.lab.octavia_servers import Servers

#: Files of Octavia's database, and of what TaskFlow keeps of jobs, in the lab's directory.
DATABASE, JOBS = "octavia.sqlite", "jobs.sqlite"

#: Seconds that somebody who wants to write waits for others who do.
_WRITERS = 60
#: Seconds until a worker that is silent has lost its job to another one.
_CLAIMED = 15
#: Seconds that RabbitMQ keeps the queue of somebody who has gone.
_FORGOTTEN = 60
#: Tries, and seconds between two of them: a machine is there after a second or two.
_BOOTING = (120, 1)
_CONNECTING = (120, 1)


class Cloud(NamedTuple):
    """What amphorae need of it: the ids of the management network, of their security group, and of what they are to be."""

    management: str
    group: str
    flavor: str


class Secrets(NamedTuple):
    """`passphrase`: with which certificates of agents are kept in the database, 32 characters. `service`: Octavia's password with Keystone."""

    heartbeat_key: str
    passphrase: str
    service: str = ""


def text(directory: Path, plan: OctaviaPlan, cloud: Cloud, servers: Servers, secret: Secrets) -> str:
    """The file. `servers`: as they are reached in the lab."""
    sections = {
        **_sections(directory, plan, cloud, secret),
        **_own_or_given(directory, plan, servers),
        **(_keystone(plan, secret.service) if plan.keystone else {}),
    }
    # What begins with a dollar is an option's name to oslo.config.
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n".replace("$", "$$") for key, value in options.items())
        for name, options in sections.items()
    )


def _own_or_given(directory: Path, plan: OctaviaPlan, servers: Servers) -> Mapping[str, Mapping[str, object]]:
    own = {
        "connection": f"sqlite:///{directory / DATABASE}?timeout={_WRITERS}",
        # Has no meaning for SQLite, which refuses it; this is "none".
        "pool_timeout": "",
        # Nobody waits for a disk: a lab does not outlive its machine's power.
        "sqlite_synchronous": False,
    }
    transport = {"transport_url": servers.transport or "fake://", "host": plan.name, "use_stderr": True}
    return {
        "DEFAULT": transport,
        "database": {"connection": servers.db} if servers.db else own,
        # A queue that nobody has any more goes soon, for `down` to leave nothing.
        **({"oslo_messaging_rabbit": {"rabbit_transient_queues_ttl": _FORGOTTEN}} if servers.transport else {}),
        **({"task_flow": _job_board(directory, plan, servers.jobboard)} if servers.jobboard else {}),
    }


def _job_board(directory: Path, plan: OctaviaPlan, url: str) -> Mapping[str, object]:
    split, (user, password) = urlsplit(url), user_and_password(url)
    return {
        "jobboard_enabled": True,
        "jobboard_backend_driver": "redis_taskflow_driver",
        "jobboard_backend_hosts": split.hostname,
        "jobboard_backend_port": split.port,
        "jobboard_redis_backend_db": split.path.strip("/") or 0,
        **({"jobboard_backend_username": user} if user else {}),
        **({"jobboard_backend_password": password} if password else {}),
        "jobboard_backend_namespace": namespace(plan.name),
        "jobboard_expiration_time": _CLAIMED,
        # Beside Octavia's tables it cannot be: both keep their version in a table of the same name.
        "persistence_connection": f"sqlite:///{directory / JOBS}?timeout={_WRITERS}",
    }


def _keystone(plan: OctaviaPlan, password: str) -> Mapping[str, Mapping[str, object]]:
    return {
        "keystone_authtoken": {
            "www_authenticate_uri": plan.identity,
            "auth_url": plan.identity,
            "auth_type": "password",
            "username": "octavia",
            "password": password,
            "project_name": "service",
            "user_domain_id": "default",
            "project_domain_id": "default",
            "region_name": REGION,
            "service_token_roles_required": True,
        }
    }


def _sections(directory: Path, plan: OctaviaPlan, cloud: Cloud, secret: Secrets) -> Mapping[str, Mapping[str, object]]:
    pki = directory / "pki"
    driving = pki / "controllers" / "lab"
    return {
        "api_settings": {
            # Who asks is what Keystone says, or else `hydria.octavia.control.front`. With "noauth", Octavia does not count quotas.
            "auth_strategy": "keystone" if plan.keystone else "testing",
            "enabled_provider_drivers": "hydria:Amphorae of the lab,amphora:The same as far as Octavia's own can,octavia:As amphora",
            "default_provider_driver": "hydria" if plan.driver == "hydria" else "amphora",
            "allow_ping_health_monitors": True,
            "allow_prometheus_listeners": True,
            "allow_tls_terminated_listeners": True,
        },
        "certificates": {
            "cert_manager": "local_cert_manager",
            "storage_path": directory / SECRETS,
            "cert_generator": "local_cert_generator",
            "ca_certificate": pki / "server_ca.pem",
            "ca_private_key": pki / "server_ca.key",
            "server_certs_key_passphrase": secret.passphrase,
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
            "heartbeat_key": secret.heartbeat_key,
            "heartbeat_interval": plan.beats,
            "heartbeat_timeout": plan.patience,
            "health_update_threads": 1,
            "stats_update_threads": 1,
        },
        "hydria": {"lab_directory": directory},
    }
