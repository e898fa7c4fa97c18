"""IPv4 addresses that the network itself gives: dhcpcd, one for an interface, which asks, renews, and outlives us.

Octavia's controller always says which addresses an interface has; this is for others, and for what it said in older days.
"""

from __future__ import annotations

from agent.errors import AgentError
from agent.network.namespaces import command
from agent.processes import Runner

#: Seconds for starting or ending dhcpcd; it asks for an address in the background.
_PATIENCE = 30.0

#: IPv4 only, none made up where nobody answers, and nothing about the machine as a whole: names and clocks are no interface's business.
_START = ("-4", "-L", "-q", "-b", "-C", "resolv.conf", "-C", "hostname", "-C", "ntp.conf")


def start(interface: str, namespace: str, runner: Runner) -> list[str]:
    """Has an interface's address asked for, where that is not done already; what failed."""
    return _dhcpcd([*_START, interface], namespace, runner)


def stop(interface: str, namespace: str, runner: Runner) -> list[str]:
    """Gives an interface's address back; what failed."""
    return _dhcpcd(["-4", "-k", interface], namespace, runner)


def _dhcpcd(arguments: list[str], namespace: str, runner: Runner) -> list[str]:
    try:
        done = runner.run(command(namespace, ["dhcpcd", *arguments]), timeout=_PATIENCE)
    except AgentError as error:
        return [str(error)]
    if done.code != 0:
        return [f"dhcpcd (Debian's package dhcpcd-base) on {arguments[-1]}: {done.output.strip()}"]
    return []
