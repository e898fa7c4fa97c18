"""What the agent raises: whose fault it is, what happened, a stable code for programs, and the HTTP status that goes with it.

The statuses are those that Octavia's controller takes for errors (400, 404, 409, 500, 503); any other one would count as success there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class AgentError(Exception):
    """Base of all errors of this package; never raised itself."""

    code: str = "agent-error"
    status: int = 500


class InvalidRequest(AgentError):
    """What was sent cannot be meant: an id that is none, a field of the wrong type, a file that is not what it should be."""

    code = "invalid-request"
    status = 400


class NotFoundError(AgentError):
    """There is no such object here."""

    code = "not-found"
    status = 404


class InterfaceNotReady(NotFoundError):
    """The network interface is not there yet; who asked should ask again."""

    code = "interface-not-ready"


class RejectedByHaproxy(AgentError):
    """HAProxy refused a configuration, or could not serve it. `output` is what it said about that, in its own words."""

    code = "rejected-by-haproxy"
    status = 400

    def __init__(self, message: str, output: str) -> None:
        self.output = output
        super().__init__(f"{message}:\n{output.rstrip()}" if output.strip() else f"{message}, without saying why")


class HaproxyExited(RejectedByHaproxy):
    """HAProxy ended where it should have begun, or gone on, to serve."""

    code = "haproxy-exited"


class RejectedByKeepalived(RejectedByHaproxy):
    """As RejectedByHaproxy, of keepalived or nft."""

    code = "rejected-by-keepalived"


class ConflictError(AgentError):
    """What is there already does not allow it: a directory that Hydria did not make, for one. Nothing has been changed."""

    code = "conflict"
    status = 409


class PreconditionFailed(ConflictError):
    """What serves is not what the caller took it for. Nothing has been changed. Only 2.0 has it."""

    code = "precondition-failed"
    status = 412


class GraphRefused(AgentError):
    """The graph cannot be served: `problems` are all that was found, as `compiler.problems.Problem` in JSON. Only 2.0 has it."""

    code = "graph-problems"
    status = 422

    def __init__(self, message: str, problems: Sequence[Mapping[str, Any]]) -> None:
        self.problems = list(problems)
        super().__init__(message)


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


class CommandRefused(SystemFault):
    """HAProxy did not do what it was told while it runs; the message has the command and its words. Some commands before may be in force."""

    code = "command-refused"


class AgentUnreachable(SystemFault):
    """No agent answered: no connection, or one that broke off. After the latter nobody knows whether it did what it was asked."""

    code = "agent-unreachable"


class UntrustedAgent(SystemFault):
    """What answered did not prove that it is the agent that was meant; it has been told nothing."""

    code = "untrusted-agent"


class NotAllowed(AgentError):
    """The agent does not take the certificate of who asked."""

    code = "not-allowed"
    status = 403


class UnexpectedAnswer(SystemFault):
    """The agent's answer is none that it may give."""

    code = "unexpected-answer"
