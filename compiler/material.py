"""The given secrets as TLS material: `Material`.

What parses them (`compiler.pem`, with all of `cryptography`) is imported when there is something to parse: most load balancers have no
certificates, and an agent that only hears of such ones does without five megabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from compiler.certificates import Authorities, BadSecret, Identity, Revocations, UnknownSecret
from compiler.secrets import Secret, Secrets

_T = TypeVar("_T")


class Material:
    """The given secrets, parsed on demand and once. Methods raise UnknownSecret or BadSecret."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._parsed: dict[tuple[str, str], object] = {}

    def identity(self, reference: str) -> Identity:
        """The key and certificate under a `*_tls_container_ref`."""
        from compiler import pem  # noqa: PLC0415 - as above

        return self._once("identity", reference, pem.identity)

    def authorities(self, reference: str) -> Authorities:
        """The certificates under a `*ca_tls_container_ref`."""
        from compiler import pem  # noqa: PLC0415 - as above

        return self._once("authorities", reference, pem.authorities)

    def revocations(self, reference: str) -> Revocations:
        """The revocation list under a `*crl_container_ref`."""
        from compiler import pem  # noqa: PLC0415 - as above

        return self._once("revocations", reference, pem.revocations)

    def _once(self, kind: str, reference: str, parse: Callable[[Secret], _T]) -> _T:
        if reference not in self._secrets:
            raise UnknownSecret(self._secrets.reasons.get(reference, "no secret was given under this reference"))
        key = (kind, reference)
        if key not in self._parsed:
            try:
                self._parsed[key] = parse(self._secrets[reference])
            except BadSecret as error:
                self._parsed[key] = error
        found = self._parsed[key]
        if isinstance(found, BadSecret):
            raise found
        return found  # type: ignore[return-value]
