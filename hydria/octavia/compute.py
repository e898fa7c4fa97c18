"""`LabCompute`: what Octavia calls to have amphorae where there is no Nova (`compute_driver = hydria_lab`). They are machines of a lab."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import yaml
from octavia.common import constants, data_models, exceptions
from octavia.compute import compute_base
from oslo_config import cfg
from oslo_log import log

from agent.errors import AgentError, ConflictError, NotFoundError
from hydria.lab.lab import Lab
from hydria.octavia import converting, settings
from hydria.octavia.cloud import FILE, Cloud
from hydria.octavia.cloud_things import COMPUTE, Flavor, Network, SecurityGroup, Server, Wanted, Zone
from hydria.octavia.machines import Machines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOG = log.getLogger(__name__)


class LabCompute(compute_base.ComputeBase):  # type: ignore[misc] # Octavia has no types
    """Octavia calls it as `octavia.compute.compute_base.ComputeBase` says.

    A flavor says what a machine is made of; an image makes no difference.
    """

    def __init__(self) -> None:
        directory = settings.lab_directory(cfg.CONF)
        self._cloud = Cloud(directory / FILE)
        self._machines = Machines(Lab(directory), self._cloud)

    def build(  # noqa: PLR0917 - Octavia's words
        self,
        name: str = "amphora_name",
        amphora_flavor: str | None = None,
        image_tag: str | None = None,
        image_owner: str | None = None,  # noqa: ARG002 - there is one image
        key_name: str | None = None,  # noqa: ARG002 - nobody logs in
        sec_groups: Sequence[str] | None = None,
        network_ids: Sequence[str] | None = None,
        port_ids: Sequence[str] | None = None,
        config_drive_files: Mapping[str, Any] | None = None,
        user_data: Any = None,
        server_group_id: str | None = None,
        availability_zone: Mapping[str, Any] | None = None,
    ) -> str:
        """Boots an amphora with these files; its id. Its agent may take a moment more to answer. Raises ComputeBuildException."""
        try:
            server = self._machines.build(
                name,
                network_ids or (),
                port_ids or (),
                [self._group(each) for each in sec_groups or ()],
                {**_written(user_data), **{path: _text(content) for path, content in (config_drive_files or {}).items()}},
                flavor_id=amphora_flavor or "",
                image_id=_image(image_tag),
                zone=(availability_zone or {}).get(constants.COMPUTE_ZONE) or "",
                server_group_id=server_group_id,
            )
        except (AgentError, OSError) as error:
            _LOG.exception("Hydria: %s cannot be built", name)
            raise exceptions.ComputeBuildException(fault=error) from error
        return server.id

    def delete(self, compute_id: str) -> None:
        """Ends an amphora; one that is not there is fine. Raises ComputeDeleteException."""
        try:
            if not self._machines.delete(compute_id):
                _LOG.warning("Hydria: there is no server %s; it counts as deleted", compute_id)
        except (AgentError, OSError) as error:
            raise exceptions.ComputeDeleteException(compute_msg=error) from error

    def status(self, compute_id: str) -> str:
        """UP or DOWN. Raises ComputeStatusException."""
        try:
            found, _ = self.get_amphora(compute_id)
        except exceptions.ComputeGetException as error:
            raise exceptions.ComputeStatusException from error
        return str(constants.UP if found.status == constants.ACTIVE else constants.DOWN)

    def get_amphora(self, compute_id: str, management_network_id: str | None = None) -> tuple[Any, str | None]:
        """The amphora as it is now, with its address on the management network, and what is wrong with it. Raises ComputeGetException."""
        boot = [management_network_id] if management_network_id else cfg.CONF.controller_worker.amp_boot_network_list
        try:
            server = self._machines.status(self._cloud.get(Server, compute_id))
            ports = [port for port in self._cloud.ports_of(compute_id) if not boot or port.network_id in boot]
        except (AgentError, OSError) as error:
            raise exceptions.ComputeGetException(err=error, id=compute_id) from error
        addresses = [each.ip_address for port in ports for each in port.fixed_ips]
        amphora = data_models.Amphora(
            compute_id=server.id,
            status=server.status,
            lb_network_ip=addresses[0] if addresses else None,
            cached_zone=server.zone or None,
            image_id=server.image_id or None,
            compute_flavor=server.flavor_id or None,
        )
        return amphora, server.fault

    def create_server_group(self, name: str, policy: str) -> Any:
        """A server group; it has an `id`."""
        return self._cloud.create_server_group(name, policy)

    def delete_server_group(self, server_group_id: str) -> None:
        """Forgets one; one that is not there is fine."""
        try:
            self._cloud.delete_server_group(server_group_id)
        except NotFoundError:
            _LOG.warning("Hydria: there is no server group %s; it counts as deleted", server_group_id)

    def attach_network_or_port(
        self, compute_id: str, network_id: str | None = None, ip_address: str | None = None, port_id: str | None = None
    ) -> Any:
        """Plugs a port, or a new one on a network, into an amphora that runs. The agent finds it by its hardware address.

        Raises NotFound, ComputePortInUseException, ComputeUnknownException.
        """
        server = self._server(compute_id)
        made = None
        try:
            if port_id is None:
                made = self._cloud.create_port(
                    self._network(network_id), device_owner=COMPUTE, fixed_ips=[Wanted(ip_address=ip_address)] if ip_address else ()
                )
            plugged = self._machines.cabling.plug(port_id or str(made and made.id), server)
        except NotFoundError as error:
            raise exceptions.NotFound(resource="Port", id=port_id) from error
        except ConflictError as error:
            raise exceptions.ComputePortInUseException(port=port_id or ip_address) from error
        except (AgentError, OSError) as error:
            if made is not None:
                self._cloud.delete_port(made.id)
            raise exceptions.ComputeUnknownException(exc=error) from error
        return converting.interface(plugged)

    def detach_port(self, compute_id: str, port_id: str) -> None:
        """Unplugs a port; where that does not work, the log says why, and that is all, as Octavia's own driver has it."""
        try:
            port = self._machines.cabling.unplug(port_id)
            if port.device_owner == COMPUTE:
                self._cloud.delete_port(port_id)
        except (AgentError, OSError):
            _LOG.exception("Hydria: port %s cannot be detached from server %s", port_id, compute_id)

    def validate_flavor(self, flavor_id: str) -> None:
        """Raises InvalidSubresource where there is no such flavor."""
        if not self._cloud.find(Flavor, identity=flavor_id):
            raise exceptions.InvalidSubresource(resource="Nova flavor", id=flavor_id)

    def validate_availability_zone(self, availability_zone: str) -> None:
        """Raises InvalidSubresource where there is no such zone."""
        if not self._cloud.find(Zone, identity=availability_zone):
            raise exceptions.InvalidSubresource(resource="Nova availability zone", id=availability_zone)

    def _server(self, identity: str) -> Server:
        try:
            return self._cloud.get(Server, identity)
        except NotFoundError as error:
            raise exceptions.NotFound(resource="Instance", id=identity) from error

    def _network(self, identity: str | None) -> str:
        try:
            return self._cloud.get(Network, str(identity)).id
        except NotFoundError as error:
            raise exceptions.NotFound(resource="Network", id=identity) from error

    def _group(self, name: str) -> str:
        """The id of a security group that is said by its name or its id, as Nova takes both."""
        return self._cloud.named(SecurityGroup, name).id


def _text(content: Any) -> str:
    """A file's content, which Octavia may also give as something to read from."""
    return str(content.read() if hasattr(content, "read") else content)


def _image(tag: str | None) -> str:
    """The id of the image of this tag: a lab has none, and Octavia's API shows only what is a UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, tag)) if tag else ""


def _written(user_data: Any) -> dict[str, str]:
    """The files that cloud-init would write: Octavia's `user_data_config_drive` puts all of them there."""
    document = yaml.safe_load(_text(user_data)) if user_data else None
    files = document.get("write_files") if isinstance(document, dict) else None
    return {each["path"]: each["content"] for each in files or ()}
