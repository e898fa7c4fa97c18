"""What makes a lab of Octavia's what it is: what whoever makes it may choose, its networks, the files that its parts find. Pure.

The networks are those of `hydria.octavia.layout`, whose pools leave room for whoever is not Octavia's: members below them, clients above.
"""

from __future__ import annotations

import uuid
from typing import Literal

import msgspec

from hydria.lab.topology import Backend

#: The file with the plan, in the lab's directory; a lab that has it is one of Octavia's.
OCTAVIA = "octavia.json"
#: Octavia's configuration, and where its processes are asked for (`hydria.lab.calls`).
CONFIGURATION, CONTROL_SOCKET, CONTROL_LOG = "octavia.conf", "control.sock", "control.log"
#: Octavia's workers, where they are processes of their own.
WORKER, SECOND_WORKER = "worker", "worker-2"
#: What is said by who leads to servers outside.
RELAY_LOG = "relay.log"
#: Where members are seen to.
MEMBERS_SOCKET, MEMBERS_LOG = "members.sock", "members.log"
#: All of a lab's sockets that are no machines'.
SOCKETS = (CONTROL_SOCKET, MEMBERS_SOCKET)
#: Where secrets of TLS listeners are found by their names (Octavia's `local_cert_manager`): certificates, for these hosts, and an authority that
#: has issued them, those of members with TLS, and the one of a client.
SECRETS, AUTHORITY_SECRET, CLIENT = "secrets", "authority", "client.pem"
CERTIFICATES = {"default": ("default.example",), "shop": ("shop.example", "www.shop.example"), "blog": ("*.blog.example",)}

#: Networks, each a bridge of this name.
MANAGEMENT, PUBLIC, PRIVATE = "lb-mgmt", "public", "private"
#: Where Octavia's processes are on the management network, and the port of its health manager.
CONTROLLER, HEARTBEATS = "172.31.0.1", 5555
#: Where the hypervisor is on each, which is the gateway there.
HYPERVISOR_ADDRESSES = {
    MANAGEMENT: (f"{CONTROLLER}/24",),
    PUBLIC: ("192.0.2.1/24", "2001:db8::1/64"),
    PRIVATE: ("198.51.100.1/24", "2001:db8:1::1/64"),
}
#: Addresses of clients, of either family.
CLIENT_ADDRESSES = (*(f"192.0.2.{number}/24" for number in range(201, 249)), *(f"2001:db8::2{number:03x}/64" for number in range(1, 49)))
#: How many members there can be: all addresses below the pool, but some for the user.
MOST_MEMBERS = 80
_FIRST_MEMBER = 11
#: Ports at which members answer: HTTP, and HTTP in TLS; and by UDP.
_PLAIN, _TLS = 80, 443
_DATAGRAMS = 53

#: Who asks, where nobody says who; ids of Keystone's are written without hyphens.
PROJECT, PROJECT_NAME = uuid.UUID("5d0e9b63-8a55-4ad1-9a2e-6f4f2ad0c1b7").hex, "lab"

#: The one region of which Keystone tells.
REGION = "lab"

#: Amphora drivers, by what `--driver` calls them.
Driver = Literal["hydria", "octavia"]
DRIVERS: dict[Driver, str] = {"hydria": "hydria", "octavia": "amphora_haproxy_rest_driver"}

#: What amphorae are, by what `--machines` calls it: the compute flavor that stands for it.
Machines = Literal["namespaces", "uml"]
MACHINES: dict[Machines, str] = {"namespaces": "hydria", "uml": "uml"}


class OctaviaPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`port` of the API on 127.0.0.1, `keystone` that of who says who asks, 0 for nobody; `beats`, `patience`: seconds between two heartbeats, and
    without one until an amphora is failed over.
    """

    name: str
    port: int
    pair: bool = False
    driver: Driver = "hydria"
    machines: Machines = "namespaces"
    members: int = 3
    beats: int = 3
    patience: int = 30
    keystone: int = 0

    @property
    def endpoint(self) -> str:
        """The API's URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def identity(self) -> str:
        """Keystone's URL, which is the same in the lab and where the user is."""
        return f"http://127.0.0.1:{self.keystone}/v3"

    @property
    def environment(self) -> dict[str, str]:
        """What `openstack` wants to be told where nobody asks who it is: see `OctaviaLab.environment`."""
        return {"OS_AUTH_TYPE": "none", "OS_ENDPOINT": self.endpoint}

    @property
    def places(self) -> dict[str, tuple[str, str]]:
        """Member → its addresses, of either family."""
        numbers = {f"member-{number + 1}": _FIRST_MEMBER + number for number in range(self.members)}
        return {name: (f"198.51.100.{number}", f"2001:db8:1::{number}") for name, number in numbers.items()}

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All servers of all members: by each address, plain and in TLS."""
        return tuple(
            Backend(name, name, "", address, port, tls=port == _TLS, statuses={}, check="", udp=port == _DATAGRAMS)
            for name, addresses in self.places.items()
            for address in addresses
            for port in (_PLAIN, _TLS, _DATAGRAMS)
        )
