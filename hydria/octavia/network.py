"""`LabNetwork`: what Octavia calls to have networks and ports where there is no Neutron (`network_driver = hydria_lab`).

They are a lab's (`hydria.octavia.cloud`, `hydria.octavia.cabling`). VIPs are a port each, as allowed address pairs are at amphorae's ports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octavia.common import constants, exceptions
from octavia.network import base
from oslo_config import cfg

from agent.errors import AgentError, NotFoundError
from hydria.lab.lab import Lab
from hydria.octavia import converting, settings
from hydria.octavia.asking import failing, found
from hydria.octavia.cabling import Cabling
from hydria.octavia.cloud import FILE, Cloud
from hydria.octavia.cloud_things import OCTAVIA, AddressPair, Network, Port, QosPolicy, SecurityGroup, Subnet, Wanted
from hydria.octavia.vips import LabVips

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class LabNetwork(LabVips):
    """Octavia calls it as `octavia.network.base.AbstractNetworkDriver` says, and as its workers call Neutron's driver besides."""

    #: Octavia's worker asks this of its network driver.
    sec_grp_enabled = True

    def __init__(self) -> None:
        directory = settings.lab_directory(cfg.CONF)
        cloud = Cloud(directory / FILE)
        super().__init__(cloud, Cabling(Lab(directory), cloud))

    # --- look-ups; `context` says who asks, and all may see all ---

    def get_network_by_name(self, network_name: str) -> Any:
        """Raises NetworkNotFound."""
        return self.network_of(found(self.cloud, Network, name=network_name))

    def get_subnet_by_name(self, subnet_name: str) -> Any:
        """Raises SubnetNotFound."""
        return converting.subnet(found(self.cloud, Subnet, name=subnet_name))

    def get_port_by_name(self, port_name: str) -> Any:
        """Raises PortNotFound."""
        return converting.port(found(self.cloud, Port, name=port_name))

    def get_port_by_net_id_device_id(self, network_id: str, device_id: str) -> Any:
        """Raises PortNotFound."""
        for each in self.cloud.ports_of(device_id):
            if each.network_id == network_id:
                return converting.port(each)
        raise base.PortNotFound(f"{device_id} has no port on network {network_id}")

    def get_security_group(self, sg_name: str) -> Any:
        """Raises SecurityGroupNotFound."""
        return converting.security_group(found(self.cloud, SecurityGroup, name=sg_name)) if sg_name else None

    def get_security_group_by_id(self, sg_id: str, context: Any = None) -> Any:  # noqa: ARG002
        """Raises SecurityGroupNotFound."""
        return converting.security_group(found(self.cloud, SecurityGroup, sg_id))

    def get_network_ip_availability(self, network: Any) -> Any:
        """Raises NetworkNotFound."""
        one = found(self.cloud, Network, network.id)
        return converting.availability(one, self.cloud.availability(one.id))

    # --- policies: they are kept, and limit nobody ---

    def qos_enabled(self) -> bool:
        """Load balancers may have a policy."""
        return True

    def get_qos_policy(self, qos_policy_id: str, context: Any = None) -> Any:  # noqa: ARG002
        """Raises QosPolicyNotFound."""
        return converting.qos_policy(found(self.cloud, QosPolicy, qos_policy_id))

    def apply_qos_on_port(self, qos_id: str | None, port_id: str) -> None:
        """Has a port have a policy, or none. Raises PortNotFound, NetworkException."""
        with failing(base.NetworkException, base.PortNotFound):
            self.cloud.update_port(port_id, qos_policy_id=qos_id)

    # --- ports ---

    def create_port(  # noqa: PLR0917 - Octavia's words
        self,
        network_id: str,
        name: str | None = None,
        fixed_ips: Sequence[Mapping[str, str]] = (),
        secondary_ips: Sequence[str] = (),
        security_group_ids: Sequence[str] = (),
        admin_state_up: bool = True,
        qos_policy_id: str | None = None,
        vnic_type: str = constants.VNIC_TYPE_NORMAL,
    ) -> Any:
        """A new port of Octavia's. Raises CreatePortException."""
        with failing(base.CreatePortException):
            port = self.cloud.create_port(
                network_id,
                name=name or "",
                fixed_ips=[Wanted(each.get(constants.SUBNET_ID), each.get(constants.IP_ADDRESS)) for each in fixed_ips],
                address_pairs=[AddressPair(each) for each in secondary_ips],
                security_group_ids=security_group_ids,
                admin_state_up=admin_state_up,
                qos_policy_id=qos_policy_id,
                vnic_type=vnic_type,
                device_owner=OCTAVIA,
            )
        return converting.port(port)

    def set_port_admin_state_up(self, port_id: str, state: bool) -> None:
        """Has a port pass what it may, or nothing. Raises PortNotFound, NetworkServiceError."""
        try:
            self.cabling.set_admin_state(port_id, up=state)
        except NotFoundError as error:
            raise base.PortNotFound(str(error)) from error
        except (AgentError, OSError) as error:
            raise exceptions.NetworkServiceError(net_error=error) from error

    def plug_fixed_ip(self, port_id: str, subnet_id: str, ip_address: str | None = None) -> Any:
        """The port with an address more, which the agent is told of by whoever asks. Raises NetworkException, PortNotFound."""
        with failing(base.NetworkException, base.PortNotFound):
            port = self.cloud.add_fixed_ip(port_id, Wanted(subnet_id, ip_address))
            self.cabling.filter()
        return converting.port(port)

    def unplug_fixed_ip(self, port_id: str, subnet_id: str) -> Any:
        """The port without its addresses of a subnet. Raises NetworkException, PortNotFound."""
        with failing(base.NetworkException, base.PortNotFound):
            port = self.cloud.remove_fixed_ips(port_id, subnet_id)
            self.cabling.filter()
        return converting.port(port)

    def unplug_network(self, compute_id: str, network_id: str) -> None:
        """Unplugs all ports that an amphora has on a network; they remain. Raises NetworkNotFound, UnplugNetworkException."""
        ports = self.cloud.ports_of(compute_id)
        if not ports:
            raise base.NetworkNotFound(f"server {compute_id} is on no network")
        with failing(base.UnplugNetworkException):
            for each in ports:
                if each.network_id == network_id:
                    self.cabling.unplug(each.id)

    def failover_preparation(self, amphora: Any) -> None:
        """Nothing: in Neutron, names in DNS have to be taken from the old amphora's ports."""
