"""Agents of amphorae by the 2.0 contract, reached and waited for as Octavia's configuration says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from octavia.common import utils
from oslo_log import log

from agent.client import AgentClient
from agent.errors import AgentError, AgentUnreachable, NotFoundError
from hydria.octavia.errors import as_octavia_says

_LOG = log.getLogger(__name__)

T = TypeVar("T")


class Agents:
    """`configuration` is Octavia's. All raises what `errors.as_octavia_says` gives; OSError where certificates cannot be read."""

    def __init__(self, configuration: Any, sleep: Callable[[float], None] = time.sleep) -> None:
        self._configuration = configuration
        self._sleep = sleep

    def speaks_graphs(self, amphora: Any, patience: Mapping[str, Any] | None = None) -> bool:
        """Whether it is one of Hydria's. An agent without the 2.0 contract knows no such path."""
        try:
            self.ask(amphora, AgentClient.loadbalancers, patience, missing=True)
        except NotFoundError:
            return False
        return True

    def ask(self, amphora: Any, call: Callable[[AgentClient], T], patience: Mapping[str, Any] | None = None, *, missing: bool = False) -> T:
        """What a call gives, tried again as often as Octavia would where nobody answers: every call of 2.0 may be made twice.

        `patience` are Octavia's `timeout_dict`. With `missing`, NotFoundError is raised as it is.
        """
        said = self._configuration.haproxy_amphora
        given = patience or {}
        tries = max(1, given.get("conn_max_retries", said.connection_max_retries))
        pause = given.get("conn_retry_interval", said.connection_retry_interval)
        client = self._client(amphora, given.get("req_read_timeout", said.rest_request_read_timeout))
        for left in reversed(range(tries)):
            try:
                return call(client)
            except AgentUnreachable as error:
                if not left:
                    raise as_octavia_says(error) from error
                _LOG.warning("Hydria: amphora %s cannot be reached, trying again: %s", amphora.id, error)
                self._sleep(pause)
            except AgentError as error:
                if missing and isinstance(error, NotFoundError):
                    raise
                raise as_octavia_says(error) from error
        raise AssertionError  # the last try returns or raises

    def _client(self, amphora: Any, timeout: float) -> AgentClient:
        said = self._configuration.haproxy_amphora
        address = amphora.lb_network_ip
        if utils.is_ipv6_lla(address):
            address = f"{address}%{said.lb_network_interface}"
        return AgentClient(
            address, said.bind_port, amphora_id=amphora.id, ca=Path(said.server_ca), certificate=Path(said.client_cert), timeout=timeout
        )
