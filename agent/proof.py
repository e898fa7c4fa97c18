"""The proof, at each start, that the listening socket refuses clients without a certificate and those of another authority.

A server that forgets to ask for certificates works as well as one that does, for those who have one; so it is not believed but tried.
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from agent.errors import SystemFault
from agent.memory_file import in_memory

if TYPE_CHECKING:
    from agent.collaborators import Identity

#: Seconds for each attempt, and for the forger.
_TIMEOUT = 5.0
_FORGING = 30.0

#: What OpenSSL calls the alerts by which a server refuses a client for its certificate (RFC 8446, section 6.2; RFC 5246, section 7.2.2).
_REFUSALS = (
    "BAD_CERTIFICATE",
    "CERTIFICATE_REQUIRED",
    "CERTIFICATE_UNKNOWN",
    "DECRYPT_ERROR",
    "HANDSHAKE_FAILURE",
    "UNKNOWN_CA",
    "UNSUPPORTED_CERTIFICATE",
)


class Forger:
    """Forges a certificate, in a process that starts now: it has all that it needs when it is asked (`agent.forging`)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "agent.forging"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def forged(self, authority: bytes) -> bytes:
        """A client's certificate and key from an authority that goes by the name of the real one, with another key. Raises SystemFault."""
        try:
            certificate, complaint = self._process.communicate(authority, _FORGING)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            raise SystemFault(f"no certificate was forged within {_FORGING:g} s") from error
        if self._process.returncode:
            raise SystemFault(f"no certificate can be forged: {complaint.decode(errors='backslashreplace').strip()}")
        return certificate


def prove(address: Any, identity: Identity, forger: Forger) -> None:
    """Tries it at the socket that is bound to `address`. Raises SystemFault where a client was not refused, or it cannot be told; OSError."""
    target = _reachable(address)
    versions = [ssl.TLSVersion.TLSv1_3]
    if identity.context().minimum_version <= ssl.TLSVersion.TLSv1_2:
        versions.append(ssl.TLSVersion.TLSv1_2)
    for version in versions:
        _attempt(target, identity.certificate(), version, None, "without a certificate")
    forged = forger.forged(identity.authority())
    for version in versions:
        _attempt(target, identity.certificate(), version, forged, "with a certificate of another authority of the same name")


def _reachable(address: Any) -> Any:
    """Where a client on this machine finds what is bound to `address`."""
    host, *rest = address
    return ({"::": "::1", "0.0.0.0": "127.0.0.1"}.get(host, host), *rest)  # noqa: S104 - nothing is bound here


def _attempt(target: Any, expected: bytes, version: ssl.TLSVersion, certificate: bytes | None, how: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    if certificate is not None:
        with in_memory(certificate) as path:
            context.load_cert_chain(path)
    with socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET) as raw:
        raw.settimeout(_TIMEOUT)
        try:
            raw.connect(target)
            with context.wrap_socket(raw) as connection:
                if connection.getpeercert(binary_form=True) != expected:
                    raise SystemFault(f"at {target[0]} port {target[1]} somebody else answers")
                # With TLS 1.3 a client learns only now what the server thinks of its certificate. One that served would wait for a request.
                connection.recv(1)
        except ssl.SSLError as error:
            if any(refusal in (error.reason or "") for refusal in _REFUSALS):
                return
            raise SystemFault(f"a client {how} failed, but not as one that is refused: {error}") from error
        except TimeoutError as error:
            raise SystemFault(f"a client {how} was not refused within {_TIMEOUT:g} s") from error
    raise SystemFault(f"a client {how} was not refused as TLS does it")
