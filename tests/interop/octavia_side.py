"""Octavia's side, run by the Python of `.venv/octavia`: for each line with a command, a line with what Octavia did.

A command is `{"command": NAME, …arguments}`, the answer `{"result": …, "raised": {"type", "text"} or null, "exchanges": […]}`: what came back
as far as JSON has it, the exception, and every HTTP exchange with an agent on the way. See `Octavia` for the commands.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from octavia.amphorae.backends.agent.agent_jinja_cfg import AgentJinjaTemplater
from octavia.amphorae.drivers.haproxy.rest_api_driver import HaproxyAmphoraLoadBalancerDriver
from octavia.common import data_models
from octavia.db import api as database
from octavia.db import base_models, models
from octavia.network import data_models as network_models
from oslo_config import cfg
from oslo_log import log
from stevedore.driver import DriverManager

from hydria.octavia.graphs import Defaults, graph_of
from hydria.octavia.targets import target_of


class Described:
    """The data models of a load balancer, linked as Octavia's database links them; made from plain data in their own words."""

    def __init__(self, document: dict[str, Any], *, tls_defaults: bool = True) -> None:
        self._complete = with_tls_defaults if tls_defaults else lambda fields, _kind: fields
        self.amphorae = {each["id"]: data_models.Amphora(status="ALLOCATED", **each) for each in document["amphorae"]}
        self.load_balancer = data_models.LoadBalancer(
            **document["load_balancer"],
            vip=data_models.Vip(**document["vip"]),
            additional_vips=[data_models.AdditionalVip(**each) for each in document["additional_vips"]],
            amphorae=list(self.amphorae.values()),
            vrrp_group=data_models.VRRPGroup(**document["vrrp_group"]),
        )
        for amphora in self.amphorae.values():
            amphora.load_balancer = self.load_balancer
        self.pools = {each["id"]: self._pool(each) for each in document["pools"]}
        self.listeners = {each["id"]: self._listener(each) for each in document["listeners"]}
        self.load_balancer.pools = list(self.pools.values())
        self.load_balancer.listeners = list(self.listeners.values())

    def _pool(self, fields: dict[str, Any]) -> data_models.Pool:
        members = [data_models.Member(**each) for each in fields.pop("members")]
        monitor, persistence = fields.pop("health_monitor"), fields.pop("session_persistence")
        pool = data_models.Pool(**self._complete(fields, "pool"), members=members, load_balancer=self.load_balancer)
        for member in members:
            member.pool = pool
        if monitor is not None:
            pool.health_monitor = data_models.HealthMonitor(**monitor, pool=pool)
        if persistence is not None:
            pool.session_persistence = data_models.SessionPersistence(**persistence, pool=pool)
        return pool

    def _listener(self, fields: dict[str, Any]) -> data_models.Listener:
        policies, pools, certificates = fields.pop("l7policies"), fields.pop("pools"), fields.pop("sni_containers")
        cidrs = [data_models.ListenerCidr(listener_id=fields["id"], cidr=each) for each in fields.pop("allowed_cidrs")]
        listener = data_models.Listener(
            **self._complete(fields, "listener"),
            load_balancer=self.load_balancer,
            default_pool=self.pools.get(fields["default_pool_id"]),
            pools=[self.pools[each] for each in pools],
            sni_containers=[data_models.SNI(tls_container_id=each) for each in certificates],
            allowed_cidrs=cidrs,
        )
        for policy in policies:
            rules = [data_models.L7Rule(**each) for each in policy.pop("l7rules")]
            redirect_pool = self.pools.get(policy["redirect_pool_id"])
            listener.l7policies.append(data_models.L7Policy(**policy, l7rules=rules, redirect_pool=redirect_pool, listener=listener))
        for pool in listener.pools:
            pool.listeners.append(listener)
        return listener


def with_tls_defaults(fields: dict[str, Any], kind: str) -> dict[str, Any]:
    """What Octavia's API puts where nobody said anything."""
    options = cfg.CONF.api_settings
    defaults = {
        "tls_ciphers": options[f"default_{kind}_ciphers"],
        "tls_versions": options[f"default_{kind}_tls_versions"],
        "alpn_protocols": options[f"default_{kind}_alpn_protocols"],
    }
    return fields | {name: value for name, value in defaults.items() if fields.get(name) is None}


def subnet(fields: dict[str, Any]) -> network_models.Subnet:
    routes = [network_models.HostRoute(**each) for each in fields["host_routes"]]
    return network_models.Subnet(id=fields["cidr"], cidr=fields["cidr"], gateway_ip=fields["gateway_ip"], host_routes=routes)


def additional_vips(networks: list[dict[str, Any]]) -> list[network_models.AdditionalVipData]:
    """The first network is the VIP's, the others those of the additional VIPs."""
    return [network_models.AdditionalVipData(ip_address=each["ip_address"], subnet=subnet(each)) for each in networks[1:]]


def network_config(networks: list[dict[str, Any]]) -> dict[str, Any]:
    """What Octavia's flows hand to the driver for one amphora."""
    found = network_models.AmphoraNetworkConfig(vip_subnet=subnet(networks[0]), additional_vip_data=additional_vips(networks))
    shown: dict[str, Any] = found.to_dict(recurse=True)
    return shown


def port(fields: dict[str, Any]) -> network_models.Port:
    fixed_ips = [network_models.FixedIP(ip_address=each["ip_address"], subnet=subnet(each)) for each in fields["fixed_ips"]]
    return network_models.Port(
        id=fields["id"],
        mac_address=fields["mac_address"],
        network=network_models.Network(mtu=fields["mtu"]),
        fixed_ips=fixed_ips,
    )


class Recorder:
    """A client of an agent that is not there: notes what it is asked to do, as `[call, arguments…]`."""

    def __init__(self, haproxy_version: str, details: dict[str, Any]) -> None:
        self.calls: list[list[Any]] = []
        self._haproxy_version = haproxy_version
        self._details = details

    def get_api_version(self, *_arguments: Any, **_options: Any) -> dict[str, str]:
        return {"api_version": "1.0"}

    def get_info(self, *_arguments: Any, **_options: Any) -> dict[str, str]:
        return {"haproxy_version": self._haproxy_version}

    def get_details(self, *_arguments: Any) -> dict[str, Any]:
        return self._details

    def get_cert_md5sum(self, *_arguments: Any, **_options: Any) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return lambda _amphora, *arguments, **_options: self.calls.append([name, *map(plain, arguments)])


class Octavia:
    """The commands. Arguments of `client` and `driver` may be models: see `_model`."""

    def __init__(self) -> None:
        self.described: Described
        self.driver: HaproxyAmphoraLoadBalancerDriver
        self.exchanges: list[dict[str, Any]] = []

    def configure(self, options: dict[str, dict[str, Any]], driver: str) -> None:
        """Puts options (by group and name) in force, and begins with a new driver, which has this name among Octavia's."""
        for group, values in options.items():
            for name, value in values.items():
                cfg.CONF.set_override(name, value, None if group == "DEFAULT" else group)
        self.driver = DriverManager("octavia.amphora.drivers", driver, invoke_on_load=True).driver
        for client in self.driver.clients.values():
            client.session.hooks["response"].append(self._note)

    def describe(self, document: dict[str, Any], tls_defaults: bool = True) -> None:
        """Makes the data models that the following commands are about. `tls_defaults`: with what the API puts where nobody says anything."""
        self.described = Described(document, tls_defaults=tls_defaults)

    def leave(self, kind: str, identifier: str) -> None:
        """Has an object (of the kind listener, pool, member, l7policy …) be one that is about to be deleted."""
        for each in self._all(kind):
            if each.id == identifier:
                each.provisioning_status = "PENDING_DELETE"

    def forget(self, listener: str) -> None:
        """Has a listener not be there any more, as when Octavia has deleted it from its database."""
        load_balancer = self.described.load_balancer
        load_balancer.listeners = [each for each in load_balancer.listeners if each.id != listener]

    def _all(self, kind: str) -> list[Any]:
        listeners, pools = self.described.listeners.values(), self.described.pools.values()
        policies = [policy for listener in listeners for policy in listener.l7policies]
        return {
            "listener": list(listeners),
            "pool": list(pools),
            "member": [member for pool in pools for member in pool.members],
            "healthmonitor": [pool.health_monitor for pool in pools if pool.health_monitor],
            "l7policy": policies,
            "l7rule": [rule for policy in policies for rule in policy.l7rules],
        }[kind]

    def graph(self, source_hash: str = "consistent") -> dict[str, Any]:
        """The graph that Hydria's driver makes of the load balancer."""
        load_balancer = self.described.load_balancer
        return graph_of(load_balancer, load_balancer.listeners, Defaults(hash=source_hash))

    def targets(self) -> dict[str, dict[str, Any]]:
        """What Hydria's driver tells each amphora of the pair."""
        return {name: target_of(self.described.load_balancer, amphora) for name, amphora in self.described.amphorae.items()}

    def keep_listeners(self) -> None:
        """Has Octavia's database know the listeners, and nothing else."""
        cfg.CONF.set_override("connection", "sqlite://", "database")
        base_models.BASE.metadata.create_all(database.get_engine())
        with database.session().begin() as session:
            session.add_all(models.ProvisioningStatus(name=each) for each in ("PENDING_UPDATE", "ERROR"))
            session.add_all(models.OperatingStatus(name=each) for each in ("ONLINE", "ERROR"))
            session.add_all(models.Protocol(name=each) for each in {each.protocol for each in self.described.listeners.values()})
            session.add(models.ClientAuthenticationMode(name="NONE"))
            session.flush()
            for each in self.described.listeners.values():
                known = {"protocol": each.protocol, "protocol_port": each.protocol_port, "enabled": True}
                session.add(models.Listener(id=each.id, provisioning_status="PENDING_UPDATE", operating_status="ONLINE", **known))

    def listener_statuses(self) -> dict[str, str]:
        """The provisioning status that Octavia's database has for each listener."""
        with database.session().begin() as session:
            return {each.id: each.provisioning_status for each in session.query(models.Listener)}

    def render(self, haproxy_version: str, details: dict[str, Any], networks: list[dict[str, Any]]) -> list[list[Any]]:
        """All that Octavia would send to each amphora for the load balancer: `[amphora, call, arguments…]`."""
        found = []
        for amphora in self.described.amphorae.values():
            recorder = Recorder(haproxy_version, details)
            driver = HaproxyAmphoraLoadBalancerDriver()
            driver.clients = {"base": recorder, "1.0": recorder}
            amphora.api_version = None
            driver.update_amphora_listeners(self.described.load_balancer, amphora)
            if self.described.load_balancer.topology == "ACTIVE_STANDBY":
                driver.update_vrrp_conf(self.described.load_balancer, {amphora.id: network_config(networks)}, amphora)
            found += [[amphora.id, *call] for call in recorder.calls]
        return found

    def agent_config(self, amphora_id: str, topology: str) -> str:
        """The `amphora-agent.conf` that Octavia gives to a new amphora."""
        text: str = AgentJinjaTemplater().build_agent_config(amphora_id, topology)
        return text

    def client(self, method: str, amphora: str, arguments: list[Any]) -> Any:
        """A call of the REST client."""
        model = self._amphora(amphora)
        name = "base" if method == "get_api_version" else "1.0"
        return getattr(self.driver.clients[name], method)(model, *map(self._model, arguments))

    def call(self, method: str, arguments: list[Any]) -> Any:
        """A call of the driver."""
        return getattr(self.driver, method)(*map(self._model, arguments))

    def _amphora(self, identifier: str) -> data_models.Amphora:
        amphora = self.described.amphorae[identifier]
        amphora.api_version = "1.0"
        return amphora

    def _model(self, argument: Any) -> Any:
        """`{"model": KIND, "of": …}` is a model, anything else itself."""
        if not isinstance(argument, dict) or "model" not in argument:
            return argument
        given = argument.get("of")
        kinds: dict[str, Any] = {
            "load_balancer": lambda: self.described.load_balancer,
            "listener": lambda: self.described.listeners[given],
            "amphora": lambda: self._amphora(given),
            "port": lambda: port(given),
            "subnet": lambda: subnet(given),
            "additional_vips": lambda: additional_vips(given),
            "network_config": lambda: network_config(given),
            "network_configs": lambda: dict.fromkeys(self.described.amphorae, network_config(given)),
            "bytes": lambda: str(given).encode(),
        }
        return kinds[argument["model"]]()

    def _note(self, response: Any, **_options: Any) -> None:
        self.exchanges.append(
            {
                "method": response.request.method,
                "path": response.request.path_url,
                "status": response.status_code,
                "type": response.headers.get("Content-Type", ""),
                "etag": response.headers.get("ETag"),
                "text": response.text,
            }
        )


def plain(value: Any) -> Any:
    """What JSON has a word for; of other things, what they are called."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (str, int, float, list, dict, type(None))):
        return value
    return type(value).__name__


def main() -> None:
    # Whatever else is printed here must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    log.register_options(cfg.CONF)
    cfg.CONF([], project="octavia", default_config_files=[])
    octavia = Octavia()
    for line in sys.stdin:
        arguments = json.loads(line)
        octavia.exchanges = []
        answer: dict[str, Any] = {"result": None, "raised": None}
        try:
            answer["result"] = plain(getattr(octavia, arguments.pop("command"))(**arguments))
        except Exception as error:  # noqa: BLE001  (the other side wants to know of any)
            traceback.print_exc()
            answer["raised"] = {"type": type(error).__name__, "text": str(error)}
        answers.write(json.dumps(answer | {"exchanges": octavia.exchanges}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
