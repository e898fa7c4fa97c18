"""`LabVips`: the part of the network driver that is about VIPs: their ports, what amphorae need to have them, who may speak to them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from octavia.common import constants, exceptions, utils
from octavia.network import base
from oslo_config import cfg
from oslo_log import log

from agent.errors import AgentError, ConflictError, NotFoundError
from hydria.octavia import converting
from hydria.octavia.addresses import same
from hydria.octavia.asking import failing, found
from hydria.octavia.cloud_things import OCTAVIA, AddressPair, Network, Port, SecurityGroup, Server, Subnet, Wanted
from hydria.octavia.rules import rules_of

if TYPE_CHECKING:
    from hydria.octavia.cabling import Cabling
    from hydria.octavia.cloud import Cloud

_LOG = log.getLogger(__name__)


class LabVips(base.AbstractNetworkDriver):  # type: ignore[misc] # Octavia has no types
    """See `octavia.network.base.AbstractNetworkDriver`."""

    def __init__(self, cloud: Cloud, cabling: Cabling) -> None:
        self.cloud = cloud
        self.cabling = cabling

    # --- the VIP's port ---

    def allocate_vip(self, load_balancer: Any) -> tuple[Any, list[Any]]:
        """The VIP and the additional ones, on a port that is the user's or a new one. Raises AllocateVIPException, VIPInUseException."""
        vip = load_balancer.vip
        if vip.port_id and (port := self._port_as_wanted(vip)) is not None:
            return converting.vips(port, load_balancer)
        wanted = [Wanted(each.subnet_id, each.ip_address) for each in (vip, *load_balancer.additional_vips)]
        try:
            port = self.cloud.create_port(
                vip.network_id,
                name=f"octavia-lb-{load_balancer.id}",
                project_id=load_balancer.project_id or "",
                device_id=f"lb-{load_balancer.id}",
                device_owner=OCTAVIA,
                admin_state_up=False,
                fixed_ips=[each for each in wanted if each.subnet_id or each.ip_address],
                security_group_ids=vip.sg_ids or (),
            )
        except ConflictError as error:
            raise base.VIPInUseException(str(error), orig_msg=str(error), orig_code=409) from error
        except (AgentError, OSError) as error:
            raise base.AllocateVIPException(str(error), orig_msg=str(error), orig_code=getattr(error, "status", 500)) from error
        return converting.vips(port, load_balancer, octavia_owned=True)

    def _port_as_wanted(self, vip: Any) -> Port | None:
        """The VIP's port; None where it is gone, or was of Octavia and not as it should be. Raises AllocateVIPException."""
        try:
            port = self.cloud.get(Port, vip.port_id)
        except NotFoundError:
            _LOG.warning("Hydria: VIP port %s is not there; a new one is made", vip.port_id)
            return None
        address = vip.ip_address and same(vip.ip_address)
        if port.network_id == vip.network_id and any(
            each.subnet_id == vip.subnet_id and each.ip_address == address for each in port.fixed_ips
        ):
            return port
        if not vip.octavia_owned:
            raise base.AllocateVIPException(f"port {port.id} does not have {address}; it is not Octavia's, so it stays as it is")
        self.delete_port(port.id)
        return None

    def deallocate_vip(self, vip: Any) -> None:
        """Deletes the VIP's port, where it is Octavia's, those of amphorae, and the security group. Raises DeallocateVIPException."""
        load_balancer = vip.load_balancer
        with failing(base.DeallocateVIPException):
            for amphora in load_balancer.amphorae if load_balancer is not None else ():
                if amphora.vrrp_port_id:
                    self.delete_port(amphora.vrrp_port_id)
            if load_balancer is not None:
                self._delete_group(load_balancer.id)
            for port in self.cloud.find(Port, identity=vip.port_id) if vip.port_id else ():
                if port.device_owner == OCTAVIA:
                    self.delete_port(port.id)

    # --- amphorae that can have the VIP ---

    def plug_aap_port(self, load_balancer: Any, vip: Any, amphora: Any, subnet: Any) -> Any:
        """Has an amphora be on the VIP's network, where it may send from the VIPs; what is known of it then. Raises PlugVIPException."""
        with failing(base.PlugVIPException):
            port = self._own_port(amphora, subnet.network_id)
            if port is None:
                port = self.cloud.create_port(
                    subnet.network_id,
                    name=f"{constants.AMP_BASE_PORT_PREFIX}{amphora.id}",
                    fixed_ips=[Wanted(subnet.id)],
                    device_owner=OCTAVIA,
                    security_group_ids=vip.sg_ids or (),
                )
                self._plug_or_delete(port, amphora)
            addresses = [vip.ip_address, *(each.ip_address for each in load_balancer.additional_vips)]
            self.cloud.update_port(
                port.id,
                allowed_address_pairs=tuple(map(AddressPair, addresses)),
                security_group_ids=self._groups(load_balancer, vip, base.PlugVIPException),
            )
            self.cabling.filter()
        own = next((each.ip_address for each in port.fixed_ips if each.subnet_id == subnet.id), None)
        return converting.amphora_with_vip(amphora, vip, port.id, own)

    def plug_port(self, amphora: Any, port: Any) -> Any:
        """Plugs a port into an amphora that runs. Raises AmphoraNotFound, PlugNetworkException."""
        with failing(base.AmphoraNotFound):
            server = self.cloud.get(Server, amphora.compute_id)
        with failing(base.PlugNetworkException):
            return converting.interface(self.cabling.plug(port.id, server))

    def unplug_aap_port(self, vip: Any, amphora: Any, subnet: Any) -> None:
        """Takes the VIP's network from an amphora. Raises UnplugVIPException."""
        with failing(base.UnplugVIPException):
            port = self._own_port(amphora, subnet.network_id)
            if port is None:
                _LOG.info("Hydria: amphora %s has no port on the network of VIP %s", amphora.id, vip.ip_address)
                return
            self.cloud.update_port(port.id, allowed_address_pairs=())
            self.cabling.unplug(port.id)
            if port.name.startswith(constants.AMP_BASE_PORT_PREFIX):
                self.delete_port(port.id)

    def unplug_vip(self, load_balancer: Any, vip: Any) -> None:
        """Takes the VIP's network from all amphorae. Raises PluggedVIPNotFound, UnplugVIPException."""
        try:
            subnet = self.get_subnet(vip.subnet_id)
        except base.SubnetNotFound as error:
            raise base.PluggedVIPNotFound(str(error)) from error
        for amphora in load_balancer.amphorae:
            if amphora.status == constants.AMPHORA_ALLOCATED:
                self.unplug_aap_port(vip, amphora, subnet)

    def get_network_configs(self, load_balancer: Any, amphora: Any = None) -> dict[str, Any]:
        """Amphora → everything about its networks; of all amphorae those of which it can be told. Raises SubnetNotFound, PortNotFound."""
        vip = load_balancer.vip
        common = {"vip_subnet": self.get_subnet(vip.subnet_id), "vip_port": self.get_port(vip.port_id)}
        more = [(each.ip_address, self.get_subnet(each.subnet_id)) for each in load_balancer.additional_vips]
        if amphora is not None:
            return {} if amphora.status == constants.DELETED else {amphora.id: self._network_config(amphora, common, more)}
        configs = {}
        for each in load_balancer.amphorae:
            if each.status != constants.DELETED:
                with suppress(base.NetworkException):
                    configs[each.id] = self._network_config(each, common, more)
        return configs

    # --- who may speak to it ---

    def update_vip_sg(self, load_balancer: Any, vip: Any) -> str:
        """Has the VIP's port be in a group that lets in whom listeners allow; its id. Raises PlugVIPException, PortNotFound."""
        name = utils.get_vip_security_group_name(load_balancer.id)
        with failing(base.PlugVIPException, base.PortNotFound):
            group = next(iter(self.cloud.find(SecurityGroup, name=name)), None) or self.cloud.create_security_group(name)
            self._set_rules(load_balancer, group.id)
            self.cloud.update_port(vip.port_id, security_group_ids=(group.id, *(vip.sg_ids or ())))
        return group.id

    def update_aap_port_sg(self, load_balancer: Any, amphora: Any, vip: Any) -> None:
        """Has an amphora's port be in the groups of the VIP's. Raises PlugVIPException, PortNotFound."""
        with failing(base.PlugVIPException, base.PortNotFound):
            if self.cloud.find(SecurityGroup, name=utils.get_vip_security_group_name(load_balancer.id)):
                self.cloud.update_port(amphora.vrrp_port_id, security_group_ids=self._groups(load_balancer, vip, base.PlugVIPException))
                self.cabling.filter()

    def update_vip(self, load_balancer: Any, for_delete: bool = False) -> None:
        """Has the group let in whom listeners allow now. Raises MissingVIPSecurityGroup."""
        group = next(iter(self.cloud.find(SecurityGroup, name=utils.get_vip_security_group_name(load_balancer.id))), None)
        if group is not None:
            with failing(base.NetworkException):
                self._set_rules(load_balancer, group.id)
        elif not for_delete:
            raise exceptions.MissingVIPSecurityGroup(lb_id=load_balancer.id)

    # --- what both parts need ---

    def get_network(self, network_id: str, context: Any = None) -> Any:  # noqa: ARG002 - all may see all
        """Raises NetworkNotFound."""
        return self.network_of(found(self.cloud, Network, network_id))

    def network_of(self, one: Network) -> Any:
        """As Octavia sees it."""
        return converting.network(one, self.cloud.subnets_of(one.id))

    def get_subnet(self, subnet_id: str, context: Any = None) -> Any:  # noqa: ARG002 - as above
        """Raises SubnetNotFound."""
        return converting.subnet(found(self.cloud, Subnet, subnet_id))

    def get_port(self, port_id: str, context: Any = None) -> Any:  # noqa: ARG002 - as above
        """Raises PortNotFound."""
        return converting.port(found(self.cloud, Port, port_id))

    def get_plugged_networks(self, compute_id: str) -> list[Any]:
        """All ports of an amphora."""
        return [converting.interface(each) for each in self.cloud.ports_of(compute_id)]

    def delete_port(self, port_id: str) -> None:
        """Unplugs and forgets a port; one that is not there is fine. Raises NetworkServiceError."""
        try:
            self.cabling.unplug(port_id)
            self.cloud.delete_port(port_id)
        except NotFoundError:
            _LOG.debug("Hydria: port %s is not there; it counts as deleted", port_id)
        except (AgentError, OSError) as error:
            raise exceptions.NetworkServiceError(net_error=error) from error

    def _own_port(self, amphora: Any, network_id: str) -> Port | None:
        """An amphora's port on a network, but not that by which it is driven."""
        for port in self.cloud.ports_of(amphora.compute_id) if amphora.compute_id else ():
            if port.network_id == network_id and all(each.ip_address != amphora.lb_network_ip for each in port.fixed_ips):
                return port
        return None

    def _plug_or_delete(self, port: Port, amphora: Any) -> None:
        try:
            self.cabling.plug(port.id, self.cloud.get(Server, amphora.compute_id))
        except BaseException:
            self.cloud.delete_port(port.id)
            raise

    def _groups(self, load_balancer: Any, vip: Any, missing: Any) -> tuple[str, ...]:
        name = utils.get_vip_security_group_name(load_balancer.id)
        group = next(iter(self.cloud.find(SecurityGroup, name=name)), None)
        if group is None:
            raise missing(f"there is no security group {name}")
        return (group.id, *(vip.sg_ids or ()))

    def _set_rules(self, load_balancer: Any, group: str) -> None:
        peers = group if cfg.CONF.networking.use_remote_group_for_lb_peer_ports else None
        self.cloud.set_rules(group, rules_of(load_balancer, peers))
        self.cabling.filter()

    def _delete_group(self, load_balancer: str) -> None:
        """Takes all ports from the group of a load balancer, and deletes it: nobody else uses it."""
        for group in self.cloud.find(SecurityGroup, name=utils.get_vip_security_group_name(load_balancer)):
            for port in self.cloud.find(Port):
                if group.id in port.security_group_ids:
                    self.cloud.update_port(port.id, security_group_ids=tuple(each for each in port.security_group_ids if each != group.id))
            self.cloud.delete_security_group(group.id)
        self.cabling.filter()

    def _network_config(self, amphora: Any, common: dict[str, Any], more: list[tuple[str, Any]]) -> Any:
        vrrp_port = self.get_port(amphora.vrrp_port_id)
        # Its MTU is what an amphora is told.
        vrrp_port.network = self.get_network(vrrp_port.network_id)
        ha_port = self.get_port(amphora.ha_port_id)
        return converting.network_config(
            amphora,
            vrrp_port=vrrp_port,
            vrrp_subnet=self.get_subnet(vrrp_port.get_subnet_id(amphora.vrrp_ip)),
            ha_port=ha_port,
            ha_subnet=self.get_subnet(ha_port.get_subnet_id(amphora.ha_ip)),
            more=more,
            **common,
        )
