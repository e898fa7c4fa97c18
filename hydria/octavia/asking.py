"""What the network driver raises: Octavia's exceptions, so that its flows treat them as what they are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from octavia.network import base

from agent.errors import AgentError, NotFoundError
from hydria.octavia.cloud_things import Network, Port, QosPolicy, SecurityGroup, Subnet, Thing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydria.octavia.cloud import Cloud

T = TypeVar("T", bound=Thing)

_MISSING: dict[type[Thing], Any] = {
    Network: base.NetworkNotFound,
    Subnet: base.SubnetNotFound,
    Port: base.PortNotFound,
    SecurityGroup: base.SecurityGroupNotFound,
    QosPolicy: base.QosPolicyNotFound,
}


def found(cloud: Cloud, kind: type[T], identity: str | None = None, *, name: str | None = None) -> T:
    """The thing of this id, or the first one of this name. Raises NetworkNotFound, PortNotFound, …, NetworkException."""
    with failing(base.NetworkException):
        all_found = [] if identity is None and name is None else cloud.find(kind, identity=identity, name=name)
    if not all_found:
        raise _MISSING[kind](f"{kind.__name__} {identity or name} could not be found")
    return all_found[0]


@contextmanager
def failing(exception: Any, missing: Any = None) -> Iterator[None]:
    """What fails in it is raised as `exception`, or as `missing` where something is not there."""
    try:
        yield
    except NotFoundError as error:
        raise (missing or exception)(str(error)) from error
    except (AgentError, OSError) as error:
        raise exception(str(error)) from error
