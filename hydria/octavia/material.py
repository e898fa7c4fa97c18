"""Certificates and keys of a load balancer, from wherever Octavia's certificate manager keeps them (Barbican, Castellan, files)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from octavia.common.tls_utils import cert_parser
from oslo_context import context
from oslo_log import log

from compiler.secrets import Secret
from hydria.octavia.graphs import is_terminated, pools_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOG = log.getLogger(__name__)


class Material:
    """What was fetched, each secret once, with the rights of the project that it is of."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self.secrets: dict[str, Secret] = {}

    def usable(self, listeners: Iterable[Any]) -> tuple[list[Any], list[Any]]:
        """Those whose secrets, and those of whose pools, were fetched into `secrets`; and those of which not all could be: the log says why."""
        fine, failed = [], []
        for listener in listeners:
            try:
                self._fetch(listener)
            except Exception:  # noqa: BLE001 - whatever a certificate manager raises: the other listeners are none of its business
                _LOG.exception("Hydria: listener %s is left out, because its certificates cannot be fetched", listener.id)
                failed.append(listener)
            else:
                fine.append(listener)
        return fine, failed

    def _fetch(self, listener: Any) -> None:
        if is_terminated(listener):
            self._identities(listener)
            self._plain(listener, listener.client_ca_tls_certificate_id)
            self._plain(listener, listener.client_crl_container_id)
        for pool in pools_of([listener]):
            if pool.tls_enabled:
                self._identities(pool)
                self._plain(listener, pool.ca_tls_certificate_id)
                self._plain(listener, pool.crl_container_id)

    def _identities(self, thing: Any) -> None:
        """The certificate of a listener or a pool, and those that a listener has for other names."""
        references = [each.tls_container_id for each in getattr(thing, "sni_containers", ())]
        wanted = [thing.tls_certificate_id, *references] if thing.tls_certificate_id else references
        if all(reference in self.secrets for reference in wanted):
            return
        found = cert_parser.load_certificates_data(self._manager, thing)
        containers = [*([found["tls_cert"]] if thing.tls_certificate_id else []), *found["sni_certs"]]
        for reference, container in zip(wanted, containers, strict=True):
            self.secrets[reference] = Secret(cert_parser.build_pem(container))

    def _plain(self, listener: Any, reference: str | None) -> None:
        if reference and reference not in self.secrets:
            content = self._manager.get_secret(context.RequestContext(project_id=listener.project_id), reference)
            self.secrets[reference] = Secret(content.encode() if isinstance(content, str) else content)
