"""What the agent raises: whose fault it is, what happened, and a stable code for programs."""

from __future__ import annotations


class AgentError(Exception):
    """Base of all errors of this package; never raised itself."""

    code: str = "agent-error"


class RejectedByHaproxy(AgentError):
    """HAProxy refused a configuration, or could not serve it. `output` is what it said about that, in its own words."""

    code = "rejected-by-haproxy"

    def __init__(self, message: str, output: str) -> None:
        self.output = output
        super().__init__(f"{message}:\n{output.rstrip()}" if output.strip() else f"{message}, without saying why")


class ConflictError(AgentError):
    """What is there already does not allow it: a directory that Hydria did not make, for one. Nothing has been changed."""

    code = "conflict"


class SystemFault(AgentError):
    """The machine, or Hydria itself, failed; the configuration is not to blame."""

    code = "system-fault"


class ProgramMissing(SystemFault):
    """A program that is needed is not installed; the message says which package brings it."""

    code = "program-missing"


class DeadlineExceeded(SystemFault):
    """Something took longer than it was given."""

    code = "deadline-exceeded"


class SocketFault(SystemFault):
    """A socket of HAProxy did not answer, or not with a whole answer."""

    code = "socket-fault"
