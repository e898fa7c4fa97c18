"""`Paths`: where things are on an amphora. Octavia's own places where its controller or its operators know them, Hydria's for the rest."""

from __future__ import annotations

from pathlib import Path

import msgspec

from agent.settings import Settings

#: Where Hydria keeps what ends with the machine's uptime: sockets, pid files, locks. Short: a UNIX socket's path has 107 characters.
RUN = Path("/run/hydria")
#: Where Hydria keeps what must survive a reboot and is nobody else's business.
STATE = Path("/var/lib/hydria")
#: The network namespace in which an amphora's traffic lives.
NAMESPACE = "amphora-haproxy"


class Paths(msgspec.Struct, frozen=True):
    """`base` and `certificates` are Octavia's `base_path` and `base_cert_dir`, `interfaces` its `agent_server_network_dir`.

    Ids and names are expected to have been through `agent.identifiers`.
    """

    base: Path
    certificates: Path
    interfaces: Path
    run: Path = RUN
    state: Path = STATE

    @classmethod
    def of(cls, settings: Settings, run: Path = RUN, state: Path = STATE) -> Paths:
        """The places that these settings name."""
        return cls(settings.base_path, settings.base_cert_dir, settings.agent_server_network_dir, run, state)

    # --- HAProxy, one for each load balancer ---

    def loadbalancer(self, lb: str) -> Path:
        """The directory of a load balancer; it exists from the first upload to the deletion."""
        return self.base / lb

    def loading(self, lb: str) -> Path:
        """The generation that HAProxy loads: see `agent.generations`."""
        return self.base / lb / "loading"

    def haproxy_cfg(self, lb: str) -> Path:
        """The configuration as it is loaded; a link, where operators of Octavia look for it."""
        return self.base / lb / "haproxy.cfg"

    def haproxy_additions(self, lb: str) -> Path:
        """What Hydria adds to the configuration: see `templates/haproxy/amphora.cfg.j2`."""
        return self.base / lb / "loading" / "amphora.cfg"

    def servers_state(self, lb: str) -> Path:
        """What HAProxy knew of its servers before the last reload: the `server-state-file` of Octavia's configurations."""
        return self.base / lb / "servers-state"

    def stats_socket(self, lb: str) -> Path:
        """The stats socket that Octavia's configurations open, at level `user`."""
        return self.base / f"{lb}.sock"

    def admin_socket(self, lb: str) -> Path:
        """The stats socket that Hydria adds, at level `admin`, for itself alone."""
        return self.run / f"{lb}.sock"

    def master_socket(self, lb: str) -> Path:
        """The socket of HAProxy's master."""
        return self.run / f"{lb}.master"

    def haproxy_pid(self, lb: str) -> Path:
        """The process id of HAProxy's master, as it writes it itself."""
        return self.run / f"{lb}.pid"

    def health(self, lb: str) -> Path:
        """What keepalived tracks of it: 0 while it serves (see `compiler.lower.keepalived`)."""
        return self.run / f"{lb}.health"

    def loaded(self, lb: str) -> Path:
        """What is known of the worker that runs."""
        return self.run / f"{lb}.loaded"

    @property
    def drains(self) -> Path:
        """Members that get no new clients."""
        return self.run / "drains.json"

    def certificate(self, lb: str, name: str) -> Path:
        """One of a load balancer's certificates, CRLs and lists of them."""
        return self.certificates / lb / name

    # --- keepalived ---

    @property
    def vrrp_conf(self) -> Path:
        """The VRRP configuration as the controller sent it."""
        return self.base / "vrrp" / "octavia-keepalived.conf"

    @property
    def vrrp_check_script(self) -> Path:
        """The script that Octavia's VRRP configurations have keepalived run: 0 while this amphora may be master."""
        return self.base / "vrrp" / "check_script.sh"

    def lvs_conf(self, listener: str) -> Path:
        """The configuration of a UDP or SCTP listener as the controller sent it."""
        return self.base / "lvs" / f"octavia-keepalivedlvs-{listener}.conf"

    @property
    def vrrp_pid(self) -> Path:
        """The process id of the keepalived that speaks VRRP."""
        return self.run / "vrrp.pid"

    def lvs_pid(self, listener: str) -> Path:
        """The process id of a UDP or SCTP listener's keepalived."""
        return self.run / f"lvs-{listener}.pid"

    @property
    def udp_check_script(self) -> Path:
        """The script that Octavia's UDP-CONNECT monitors call: `udp_check.sh ADDRESS PORT`."""
        return self.base / "lvs" / "check" / "udp_check.sh"

    @property
    def probe(self) -> Path:
        """The program that the scripts call: a copy, for users who cannot see where Hydria is installed."""
        return self.base / "probe.py"

    @property
    def ping_script(self) -> Path:
        """The `external-check command` of Octavia's PING monitors."""
        return self.base / "ping-wrapper.sh"

    # --- programs that Hydria keeps running by itself ---

    @property
    def programs_run(self) -> Path:
        """What is known of those that run now, and what they say."""
        return self.run / "programs"

    @property
    def programs_state(self) -> Path:
        """Those that should run."""
        return self.state / "programs"

    # --- the network ---

    def interface(self, name: str) -> Path:
        """What an interface in the namespace is to be like."""
        return self.interfaces / f"{name}.json"

    def packet_filter(self, lb: str) -> Path:
        """The packet filter of a load balancer's UDP and SCTP listeners as it was loaded, for `nft -f`."""
        return self.state / f"filter-{lb}.nft"

    @property
    def rules(self) -> Path:
        """The packet filter of the VIP's interface, for `nft -f`."""
        return self.state / "rules.nft"
