"""What an agent answers in the 1.0 contract, as a client sees it. Octavia's agent writes some numbers as strings; here they are numbers."""

from __future__ import annotations

import msgspec


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent's machine is: its name and the versions of its programs."""

    hostname: str
    haproxy_version: str
    api_version: str
    keepalived_version: str = ""
    ipvsadm_version: str = ""


class Traffic(msgspec.Struct, frozen=True):
    """Bytes that an interface has sent and got since it came into being."""

    network_tx: int = 0
    network_rx: int = 0


class Processors(msgspec.Struct, frozen=True):
    """Ticks of all processors since the start of the machine: all that passed, and what some of them went into."""

    total: int = 0
    user: int = 0
    system: int = 0
    soft_irq: int = 0


class Memory(msgspec.Struct, frozen=True):
    """In kB; see proc(5), meminfo."""

    total: int = 0
    free: int = 0
    buffers: int = 0
    cached: int = 0
    swap_used: int = 0
    shared: int = 0
    slab: int = 0


class Disk(msgspec.Struct, frozen=True):
    """In bytes."""

    used: int = 0
    available: int = 0


class Details(Info, frozen=True, kw_only=True):
    """What the agent's machine is, and how it fares. `load` is that of the last 1, 5 and 15 minutes; `listeners` are ids."""

    networks: dict[str, Traffic] = {}
    active: bool = True
    haproxy_count: int = 0
    lvs_listener_process_count: int = 0
    cpu_count: int = 1
    cpu: Processors = Processors()
    memory: Memory = Memory()
    disk: Disk = Disk()
    load: tuple[float, ...] = ()
    active_tuned_profiles: str = ""
    topology: str = ""
    topology_status: str = ""
    listeners: tuple[str, ...] = ()


class Listener(msgspec.Struct, frozen=True):
    """A listener: `status` is ACTIVE, ERROR …, `type` HTTP, TCP, TERMINATED_HTTPS, UDP …"""

    uuid: str
    status: str
    type: str


class Version(msgspec.Struct, frozen=True):
    """The contract that the agent speaks."""

    api_version: str


class Digest(msgspec.Struct, frozen=True):
    """Of a certificate's file: the MD5 in hexadecimal digits."""

    md5sum: str


class Interface(msgspec.Struct, frozen=True):
    """The name of the interface that has an address."""

    interface: str


class Done(msgspec.Struct, frozen=True):
    """That it went well, and what was done, where the agent tells."""

    message: str = ""
    details: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """Why not. `code` is what Hydria's agent adds to what Octavia's says; the framework that both use says only `error`."""

    message: str = ""
    details: str = ""
    error: str = ""
    code: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.message, self.details, self.error) if part)
