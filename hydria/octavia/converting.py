"""A cloud's things in Octavia's words: the data models that its network drivers give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octavia.common import data_models
from octavia.network import data_models as network_models

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hydria.octavia import cloud_things as things


def network(one: things.Network, subnets: Iterable[things.Subnet]) -> Any:
    """With the ids of its subnets."""
    return network_models.Network(
        id=one.id,
        name=one.name,
        subnets=[each.id for each in subnets],
        project_id=one.project_id,
        admin_state_up=True,
        mtu=one.mtu,
        router_external=one.external,
        port_security_enabled=True,
    )


def subnet(one: things.Subnet) -> Any:
    """With its host routes, which agents are given."""
    return network_models.Subnet(
        id=one.id,
        name=one.name,
        network_id=one.network_id,
        project_id=one.project_id,
        gateway_ip=one.gateway_ip,
        cidr=one.cidr,
        ip_version=one.ip_version,
        host_routes=[network_models.HostRoute(destination=each.destination, nexthop=each.nexthop) for each in one.host_routes],
    )


def port(one: things.Port) -> Any:
    """With its fixed addresses."""
    return network_models.Port(
        id=one.id,
        name=one.name,
        device_id=one.device_id,
        device_owner=one.device_owner,
        mac_address=one.mac_address,
        network_id=one.network_id,
        status=one.status,
        project_id=one.project_id,
        admin_state_up=one.admin_state_up,
        fixed_ips=_fixed_ips(one),
        qos_policy_id=one.qos_policy_id,
        security_group_ids=list(one.security_group_ids),
        vnic_type=one.vnic_type,
    )


def interface(one: things.Port) -> Any:
    """A port as that of the machine which has it."""
    return network_models.Interface(
        id=one.id, compute_id=one.device_id, network_id=one.network_id, port_id=one.id, fixed_ips=_fixed_ips(one), vnic_type=one.vnic_type
    )


def security_group(one: things.SecurityGroup) -> Any:
    """With the ids of its rules."""
    return network_models.SecurityGroup(
        id=one.id,
        project_id=one.project_id,
        name=one.name,
        description=one.description,
        security_group_rule_ids=[rule.id for rule in one.rules],
        stateful=True,
    )


def qos_policy(one: things.QosPolicy) -> Any:
    """Its id, which is all that Octavia knows of one."""
    return network_models.QosPolicy(id=one.id)


def availability(one: things.Network, subnets: Sequence[things.Availability]) -> Any:
    """Of the network and of each subnet."""
    return network_models.Network_IP_Availability(
        network_id=one.id,
        tenant_id=one.project_id,
        project_id=one.project_id,
        network_name=one.name,
        total_ips=sum(each.total for each in subnets),
        used_ips=sum(each.used for each in subnets),
        subnet_ip_availability=[
            {
                "subnet_id": each.subnet.id,
                "subnet_name": each.subnet.name,
                "cidr": each.subnet.cidr,
                "ip_version": each.subnet.ip_version,
                "total_ips": each.total,
                "used_ips": each.used,
            }
            for each in subnets
        ],
    )


def vips(one: things.Port, load_balancer: Any, *, octavia_owned: bool = False) -> tuple[Any, list[Any]]:
    """The VIP and the additional ones that a port is, for a load balancer: the first address in the VIP's subnet, and all others."""
    primary = next((each for each in one.fixed_ips if each.subnet_id == load_balancer.vip.subnet_id), None)
    common = {
        "network_id": one.network_id,
        "port_id": one.id,
        "load_balancer": load_balancer,
        "load_balancer_id": load_balancer.id,
    }
    vip = data_models.Vip(
        ip_address=primary and primary.ip_address,
        subnet_id=primary and primary.subnet_id,
        octavia_owned=octavia_owned,
        sg_ids=load_balancer.vip.sg_ids,
        **common,
    )
    more = [each for each in one.fixed_ips if each is not primary]
    return vip, [data_models.AdditionalVip(ip_address=each.ip_address, subnet_id=each.subnet_id, **common) for each in more]


def amphora_with_vip(amphora: Any, vip: Any, port_id: str, address: str | None) -> Any:
    """What is known of an amphora that has a port, and an address of its own, where the VIP is."""
    return data_models.Amphora(
        id=amphora.id,
        compute_id=amphora.compute_id,
        vrrp_ip=address,
        ha_ip=vip.ip_address,
        vrrp_port_id=port_id,
        ha_port_id=vip.port_id,
    )


def network_config(amphora: Any, *, more: Sequence[tuple[str, Any]], **known: Any) -> Any:
    """Everything about an amphora's networks; `more`: additional VIPs, each with its subnet."""
    return network_models.AmphoraNetworkConfig(
        amphora=amphora,
        additional_vip_data=[network_models.AdditionalVipData(ip_address=address, subnet=subnet_of) for address, subnet_of in more],
        **known,
    )


def _fixed_ips(one: things.Port) -> list[Any]:
    return [network_models.FixedIP(subnet_id=each.subnet_id, ip_address=each.ip_address) for each in one.fixed_ips]
