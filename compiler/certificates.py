"""TLS material as the compiler uses it, and why some cannot be used."""

from __future__ import annotations

import datetime as dt

import msgspec

from compiler.errors import CompilerError


class BadSecret(CompilerError):  # noqa: N818  (callers turn it into a Problem)
    """The secret cannot be used; the message says why and what is needed."""

    code = "bad-secret"


class UnknownSecret(CompilerError):  # noqa: N818  (callers turn it into a Problem)
    """No secret was given under the reference; the message says why."""

    code = "unknown-secret"


class Identity(msgspec.Struct, frozen=True):
    """A private key with its certificate and chain. `pem` is what HAProxy reads: certificate, chain in order, key.

    `names` are those that SNI may ask for: the certificate's DNS names, or its common name where it has none (RFC 9110 4.3.4).
    The dates are those between which all of the chain is valid; an authority that issued itself does not count, as peers have their own copy.
    """

    pem: bytes
    names: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime

    def __repr__(self) -> str:
        return f"Identity(<secret>, names={self.names!r})"


class Authorities(msgspec.Struct, frozen=True):
    """Certificates to verify a peer against; the dates are those between which all are valid."""

    pem: bytes
    not_before: dt.datetime
    not_after: dt.datetime


class Revocations(msgspec.Struct, frozen=True):
    """Certificate revocation lists; `last_update` of the one that begins last, `next_update` of the one that ends first, None where none says."""

    pem: bytes
    last_update: dt.datetime
    next_update: dt.datetime | None
