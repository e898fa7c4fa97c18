"""What an agent refuses, as an error to raise: what it raised itself where it says so, what the status means where it does not."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from agent.client_connection import Answer
from agent.errors import (
    AgentError,
    ConflictError,
    DeadlineExceeded,
    GraphRefused,
    InterfaceNotReady,
    InvalidRequest,
    NotAllowed,
    NotFoundError,
    PreconditionFailed,
    ProgramMissing,
    RejectedByHaproxy,
    RejectedByKeepalived,
    SocketFault,
    SystemFault,
    UnexpectedAnswer,
)
from agent.outcomes import GraphRefusal

#: What Hydria's agent raised, by the code that its answer bears; what any agent means, by the status.
_BY_CODE = {
    kind.code: kind
    for kind in (
        ConflictError,
        DeadlineExceeded,
        InterfaceNotReady,
        InvalidRequest,
        NotFoundError,
        PreconditionFailed,
        ProgramMissing,
        SocketFault,
        SystemFault,
    )
}
_REJECTIONS = {kind.code: kind for kind in (RejectedByHaproxy, RejectedByKeepalived)}
_BY_STATUS: dict[int, type[AgentError]] = {
    400: InvalidRequest,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFoundError,
    405: InvalidRequest,
    409: ConflictError,
    500: SystemFault,
    503: SystemFault,
}

#: What both agents say where an interface may still come.
_NOT_YET = "No suitable network interface found"


def refusal(call: str, answer: Answer) -> AgentError:
    """The error for an answer that is no success; `call` says what was asked, and the status."""
    try:
        said = msgspec.json.decode(answer.content, type=GraphRefusal, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = GraphRefusal(error=answer.content[:1000].decode(errors="backslashreplace").strip())
    if said.code == GraphRefused.code:
        return GraphRefused(f"{call} {said}", said.problems)
    if said.code in _REJECTIONS:
        return _REJECTIONS[said.code](f"{call} {said.message}", said.details)
    kind = _BY_CODE.get(said.code) or _BY_STATUS.get(answer.status, UnexpectedAnswer)
    if kind is NotFoundError and _NOT_YET in said.details:
        kind = InterfaceNotReady
    phrase = HTTPStatus(answer.status).phrase if answer.status in set(HTTPStatus) else ""
    return kind(f"{call} {str(said) or phrase}".rstrip())
