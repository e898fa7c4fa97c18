"""The agent's own systemd units: what it may do, and where it may write. docs/privileges.md says why."""

from __future__ import annotations

from pathlib import Path

from agent.options import Options
from agent.settings import Settings
from agent.texts import Text, render, systemd, systemd_line

#: What the agent itself needs of root's capabilities (capabilities(7)).
CAPABILITIES = ("CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SYS_ADMIN")

#: What HAProxy and keepalived need besides, where the agent starts them itself; under systemd they have units of their own.
PROGRAMS_CAPABILITIES = ("CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SYS_RESOURCE")

#: Makes what all of them need, before they are shut in.
NAMESPACE_UNIT = "hydria-namespace.service"

_UNITS = {
    "hydria-restore.service": ("restore", "Hydria: load balancers as they were before the boot"),
    "hydria-agent.service": ("serve", "Hydria's agent: runs load balancers for a controller"),
}


def unit_texts(options: Options, settings: Settings, program: Path) -> dict[str, bytes]:
    """The units that run the `hydria-agent` at `program` with these options and settings, by name."""
    command = [str(program), "--octavia-conf", str(options.octavia_conf), "--namespace", options.namespace]
    command += ["--run-dir", str(options.run_dir), "--state-dir", str(options.state_dir), "--services", options.services]
    writable = [systemd(str(path)) for path in _writable(options, settings)]
    made = {
        name: render(
            "systemd/hydria.service.j2",
            description=systemd_line(description),
            verb=Text(verb),
            command=[systemd(word) for word in command],
            writable=writable,
            capabilities=[Text(capability) for capability in capabilities(options)],
            # What the agent has started is not to end with it; under systemd that is in units of its own.
            kill_mode=Text("process" if options.services == "supervised" else "mixed"),
        )
        for name, (verb, description) in _UNITS.items()
    }
    description = systemd_line("Hydria: the network namespace of the load balancers")
    made[NAMESPACE_UNIT] = render(
        "systemd/hydria-namespace.service.j2", description=description, namespace=systemd(options.namespace), writable=writable
    )
    return made


def capabilities(options: Options) -> tuple[str, ...]:
    """What a unit with these options must leave to the agent."""
    return tuple(sorted(CAPABILITIES + (PROGRAMS_CAPABILITIES if options.services == "supervised" else ())))


def _writable(options: Options, settings: Settings) -> list[Path]:
    """The directories in which the agent writes; where a file is replaced, its directory."""
    found = {
        settings.base_path,
        settings.base_cert_dir,
        settings.agent_server_network_dir,
        settings.agent_server_cert.parent,
        options.octavia_conf.parent,
        options.run_dir,
        options.state_dir,
        *([options.units] if options.services == "systemd" else []),
    }
    return sorted(path for path in found if not found & set(path.parents))
