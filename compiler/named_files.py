"""The files that a configuration names, what each is to HAProxy, and what is in them.

Configuration manual 5.1 (`crt`, `crt-list`, `ca-file`, `crl-file`), 7.1 (`-f`). A file is known by the word that names it, which is also the
name by which the running HAProxy knows it, unless the configuration has a base for such words.

`cryptography`, which is large, is imported where there is a certificate to look into: few load balancers have one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import pairwise

from compiler.haproxy_file import Configuration, Words

#: The certificate's file, and the names that it answers to.
Entry = tuple[str, ...]


class Role(StrEnum):
    """What a file is to HAProxy."""

    CERTIFICATE = "a certificate"
    CRT_LIST = "a list of certificates"
    AUTHORITIES = "authorities"
    REVOCATIONS = "revocation lists"
    PATTERNS = "a list of patterns"
    OTHER = "a file"


_OPTIONS = {"crt": Role.CERTIFICATE, "crt-list": Role.CRT_LIST, "ca-file": Role.AUTHORITIES, "crl-file": Role.REVOCATIONS}
_NAMING = frozenset((*_OPTIONS, "-f"))
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)


def roles(configuration: Configuration, contents: Mapping[str, bytes]) -> dict[str, set[Role]]:
    """The files that the configuration names, directly and in the crt-lists among `contents`."""
    found: dict[str, set[Role]] = {}
    for line in configuration.lines():
        # Nearly all lines name none, and that is seen at once.
        for name, role in () if _NAMING.isdisjoint(line) else in_line(line):
            found.setdefault(name, set()).add(role)
    for name in [name for name, of in found.items() if Role.CRT_LIST in of]:
        for entry in entries(contents.get(name, b"")):
            found.setdefault(entry[0], set()).add(Role.CERTIFICATE)
            for other, role in in_line(("bind", *(word.strip("[]") for word in entry[1:]))):
                found.setdefault(other, set()).add(role)
    return found


def in_line(line: Words) -> Iterator[tuple[str, Role]]:
    """The files that one line names."""
    transport = line[0] in ("bind", "server")
    for word, following in pairwise(line):
        if transport and word in _OPTIONS:
            yield following, _OPTIONS[word]
        elif not transport and word == "-f":
            yield following, Role.OTHER if "-M" in line else Role.PATTERNS


def entries(content: bytes) -> list[Entry]:
    """The lines of a crt-list (5.1 `crt-list`), without comments."""
    split = (re.findall(r"[^ \t\r]+", line.partition("#")[0]) for line in content.decode("latin-1").split("\n"))
    return [tuple(words) for words in split if words]


def patterns(content: bytes) -> frozenset[str]:
    """The patterns of a list for `-f`: a line each, from its first character that is no blank; a line that begins with `#` is a comment,
    one with a blank before it is not (7.1). Raises ValueError where it is not UTF-8.
    """
    lines = (line for line in content.decode().split("\n") if not line.startswith("#"))
    return frozenset(filter(None, (line.lstrip(" \t").partition("\r")[0] for line in lines)))


def payload(content: bytes) -> bytes:
    """PEM as the socket takes it: without the empty lines, at which it would end."""
    return b"".join(line.strip() + b"\n" for line in content.split(b"\n") if line.strip())


def fingerprints(content: bytes) -> list[str]:
    """SHA-1 of each certificate in PEM, the server's own first, in hex as HAProxy shows it. Raises ValueError."""
    from cryptography import x509  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.hashes import SHA1  # noqa: PLC0415

    return [certificate.fingerprint(SHA1()).hex().upper() for certificate in x509.load_pem_x509_certificates(content)]  # noqa: S303  (HAProxy's choice)


def names(content: bytes) -> frozenset[str]:
    """The names for which HAProxy shows a certificate that has none in its list: alternative names, and the common one. Raises ValueError."""
    from cryptography import x509  # noqa: PLC0415 - see above
    from cryptography.x509.oid import ExtensionOID, NameOID  # noqa: PLC0415

    certificate = x509.load_pem_x509_certificates(content)[0]
    found = {str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return frozenset(name.lower() for name in found)
    if isinstance(extension, x509.SubjectAlternativeName):
        found.update(extension.get_values_for_type(x509.DNSName))
    return frozenset(name.lower() for name in found)


def revoked(content: bytes) -> frozenset[str]:
    """The serial numbers in the revocation lists, in hex. Raises ValueError."""
    from cryptography import x509  # noqa: PLC0415 - see above

    lists = [x509.load_pem_x509_crl(match[0]) for match in _PEM.finditer(content) if match[1] == b"X509 CRL"]
    if not lists:
        raise ValueError("no revocation list in it")
    return frozenset(f"{entry.serial_number:X}" for crl in lists for entry in crl)
